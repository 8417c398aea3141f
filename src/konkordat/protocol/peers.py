"""What a node knows of its peers: only what they said themselves, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from konkordat.kernel.digest import EMPTY, Summary
from konkordat.kernel.hlc import AHEAD_MS_MAX
from konkordat.kernel.ids import NodeName, Origin
from konkordat.wire.messages import Heartbeat

PEERS_MAX: Final = (
    64  # a mesh beyond this wants another topology; bounds what strangers can make us keep
)
SILENT_AFTER_MS: Final = 2_000  # eight missed heartbeats
# A node whose clock is this far from most others stops stamping before its stamps would be quarantined.
FENCE_AT_MS: Final = AHEAD_MS_MAX * 8 // 10


class Peer(msgspec.Struct):
    """Mutable on purpose: one table, one mutator."""

    name: NodeName
    joined: bool = False  # the link says it is there
    heard_ms: int = 0  # our clock at its last heartbeat; 0 = never
    # Its clock minus ours at its last heartbeat. The way of the heartbeat makes it less than the truth, never more.
    clock_offset_ms: int = 0
    sees_us_ahead_ms: int = (
        0  # our clock minus its own, as it told: also less than the truth, never more
    )
    origin: Origin = Origin("")
    frontier: Mapping[Origin, int] = {}
    root: Summary = EMPTY
    data_format: int = 0
    api_url: str = ""
    release: str = ""
    sessions: int = 0
    health: str = "joining"
    slow_until_ms: int = 0  # after an unanswered pull, others are asked first until then

    def alive(self, now_ms: int) -> bool:
        """Both signs are needed to be alive: the link, or a fresh heartbeat where a link cannot tell."""
        return self.heard_ms > 0 and now_ms - self.heard_ms <= SILENT_AFTER_MS


class Peers:
    """The table of peers."""

    def __init__(self) -> None:
        self.table: dict[NodeName, Peer] = {}

    def get(self, name: NodeName) -> Peer | None:
        """The peer of that name, made if unknown; None when the table is full."""
        peer = self.table.get(name)
        if peer is None and len(self.table) < PEERS_MAX:
            peer = self.table[name] = Peer(name)
        return peer

    def heard(self, peer: Peer, beat: Heartbeat, us: NodeName, now_ms: int) -> None:
        peer.heard_ms = now_ms
        peer.clock_offset_ms = beat.now_ms - now_ms
        peer.sees_us_ahead_ms = beat.clocks.get(us, 0)
        peer.origin, peer.frontier, peer.root = beat.origin, beat.frontier, beat.root
        peer.data_format, peer.api_url = beat.data_format, beat.api_url
        peer.release, peer.sessions, peer.health = beat.release, beat.sessions, beat.health

    def alive(self, now_ms: int) -> list[Peer]:
        return [p for p in self.table.values() if p.alive(now_ms)]

    def has(self, name: NodeName, origin: Origin, seq: int) -> None:
        """A peer showed that it has an origin up to `seq`, before its next heartbeat says so."""
        peer = self.table.get(name)
        if peer is not None and peer.frontier.get(origin, 0) < seq:
            peer.frontier = {**peer.frontier, origin: seq}

    def clocks(self, now_ms: int) -> dict[NodeName, int]:
        """How far ahead of ours the clocks of living peers are, at the least: what our heartbeats tell."""
        return {p.name: p.clock_offset_ms for p in self.alive(now_ms)}

    def clock_disagrees(self, now_ms: int) -> bool:
        """True when our clock is certainly too far from those of a majority of all nodes heard, ourselves counted as
        agreeing.

        A heartbeat that took long looks like a clock that is behind. So only what looks ahead counts: theirs as seen by
        us, and ours as seen by them. A slow line then hides a wrong clock at worst, and never fences a right one.
        """
        heard = self.alive(now_ms)
        far = [
            p for p in heard if p.clock_offset_ms > FENCE_AT_MS or p.sees_us_ahead_ms > FENCE_AT_MS
        ]
        return len(far) * 2 > len(heard) + 1
