"""What a replica is told once, at its start."""

from __future__ import annotations

from typing import Final

import msgspec

from konkordat.kernel.hlc import AHEAD_MS_MAX
from konkordat.kernel.ids import NodeName
from konkordat.protocol.seats.patience import SeatSettings

HEARTBEAT_MS: Final = 250
TICK_MS: Final = 50  # how often the shell sends a Tick: the resolution of every deadline inside
DATA_FORMAT: Final = (
    1  # what digests and records mean; nodes of different formats do not compare digests
)


class ReplicaSettings(msgspec.Struct, frozen=True):
    """Identity towards peers, and the few choices an operator has."""

    cluster: str
    api_url: str = ""  # where clients reach this node; told to peers
    release: str = ""
    started_ms: int = 0
    # Who decides what is scarce: the nodes of the first roster; empty where another says the roster. None: claims
    # are decided by the rule that the earlier keeps its place, which promises nothing across nodes.
    members: tuple[NodeName, ...] | None = None
    seats: SeatSettings = SeatSettings()
    # It is to have peers. Then it says no first roster before it heard one of them: a node whose disk is empty cannot
    # know by itself whether that was done before.
    connects: bool = False
    # Stamps further ahead of our clock wait in quarantine. Larger tolerates worse clocks, and lets a bad one win for
    # longer; smaller holds changes back when clocks drift.
    ahead_ms_max: int = AHEAD_MS_MAX
