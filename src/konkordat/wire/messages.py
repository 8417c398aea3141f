"""What peers say to each other, as values. `codec` makes frames of them; spec/konkordat.proto is the truth."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from konkordat.kernel.digest import KeyRange, Summary
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin, RecordKey
from konkordat.kernel.record import Record


class Heartbeat(msgspec.Struct, frozen=True):
    """Who I am, what I have, what time I think it is."""

    origin: Origin
    frontier: Mapping[Origin, int]
    root: Summary
    now_ms: int
    hlc: Hlc
    data_format: int
    api_url: str = ""
    release: str = ""
    started_ms: int = 0
    sessions: int = 0
    health: str = "ready"
    # How far ahead of its own the sender saw its peers' clocks, at the least (their heartbeats took time to arrive).
    clocks: Mapping[NodeName, int] = {}


class Push(msgspec.Struct, frozen=True):
    """Batches of one origin that were just committed, in sequence, each as the bytes its origin encoded."""

    bodies: tuple[bytes, ...]
    sent_ms: int = 0


class Pull(msgspec.Struct, frozen=True):
    """Send me what comes after these."""

    id: int
    wants: tuple[tuple[Origin, int], ...]
    bytes_max: int


class Page(msgspec.Struct, frozen=True):
    """The answer to a Pull."""

    id: int
    bodies: tuple[bytes, ...]  # of each origin in sequence
    more: bool  # the limit cut it short


class Compare(msgspec.Struct, frozen=True):
    """My digests of these ranges at this frontier; or, of one small range, of every record in it."""

    id: int
    frontier: Mapping[Origin, int]
    ranges: tuple[tuple[KeyRange, Summary], ...] = ()
    leaf: KeyRange | None = None
    keys: tuple[tuple[RecordKey, Summary], ...] = ()


class Fetch(msgspec.Struct, frozen=True):
    """Send me these records whole."""

    id: int
    keys: tuple[RecordKey, ...]


class States(msgspec.Struct, frozen=True):
    """The answer to a Fetch."""

    id: int
    frontier: Mapping[Origin, int]
    records: tuple[Record, ...]


class Goodbye(msgspec.Struct, frozen=True):
    """I am stopping on purpose."""

    reason: str = ""


Message = Heartbeat | Push | Pull | Page | Compare | Fetch | States | Goodbye
