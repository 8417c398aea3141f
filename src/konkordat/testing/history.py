"""What a simulated run leaves behind for its judges: everything that was asked, answered, read, committed and lost.

A history is a list of these values in order of virtual time. Checkers look at nothing else, so each can be shown good
and bad histories that were written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from konkordat.kernel.claim import ClaimId, DecidedClaim, Resource
from konkordat.kernel.digest import Summary
from konkordat.kernel.frontier import Frontier
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import NodeName, Origin, RecordKey
from konkordat.kernel.record import Record


class Sight(msgspec.Struct, frozen=True):
    """A record as somebody was shown it."""

    key: RecordKey
    life: int  # 0 = shown as unknown
    stamps: Mapping[str, Stamp] = {}  # per group
    values: Mapping[str, bytes] = {}

    @property
    def alive(self) -> bool:
        return self.life % 2 == 1


class Constituted(msgspec.Struct, frozen=True):
    """Claims are decided by seats; these nodes are to be the first members."""

    at_us: int
    members: tuple[NodeName, ...]


class Asked(msgspec.Struct, frozen=True):
    """A client sent a write to a node; sent again after silence, it has another cause and the same request."""

    at_us: int
    client: str
    cause: str
    node: NodeName
    tenant: str
    kind: str  # "put" | "remove" | "create" | "book" …
    keys: tuple[RecordKey, ...]
    request: str = ""  # the idempotency key
    body: str = ""  # what distinguishes requests of one key


class Told(msgspec.Struct, frozen=True):
    """An answer to a write reached its client."""

    at_us: int
    client: str
    cause: str
    node: NodeName
    outcome: str  # "accepted" | "replayed" | "refused:<code>"
    stamp: Stamp | None = None
    sights: tuple[Sight, ...] = ()
    frontier: Frontier = {}
    claims: tuple[DecidedClaim, ...] = ()


class Read(msgspec.Struct, frozen=True):
    """A read that was answered; `sight` is None when the node refused because it had not what `token` names."""

    at_us: int
    client: str
    node: NodeName
    tenant: str
    token: Frontier
    sight: Sight | None
    frontier: Frontier = {}
    claims: tuple[DecidedClaim, ...] = ()  # of the record


class LoggedBatch(msgspec.Struct, frozen=True):
    """A batch as a commit took it in."""

    origin: Origin
    seq: int
    hash: bytes
    last_hlc: Hlc


class Wrote(msgspec.Struct, frozen=True):
    """A node made a commit durable."""

    at_us: int
    node: NodeName
    now_ms: int  # by the node's own clock
    hlc: Hlc
    batches: tuple[LoggedBatch, ...]
    frontier: Frontier  # after it
    root: Summary  # after it
    lives: Mapping[RecordKey, int] = {}  # of the records it wrote
    # What may be told of claims from now on: the feed tells it, and whoever reads sees it.
    claims: tuple[DecidedClaim, ...] = ()
    gone: tuple[ClaimId, ...] = ()  # of which nothing is told any more
    capacities: Mapping[Resource, int] = {}  # of which there is so much from now on


class Started(msgspec.Struct, frozen=True):
    """A process began on a disk."""

    at_us: int
    node: NodeName
    origin: Origin
    hlc: Hlc
    frontier: Frontier
    root: Summary


class Stopped(msgspec.Struct, frozen=True):
    """A process ended: by a fault, or by itself because it must not go on."""

    at_us: int
    node: NodeName
    why: str
    unexpected: bool = False  # by an exception that no operator is told about: a bug


class DiskFailed(msgspec.Struct, frozen=True):
    """A commit was reported as failed, whatever is on the disk."""

    at_us: int
    node: NodeName
    how: str


class DiskChanged(msgspec.Struct, frozen=True):
    """A disk was lost, or an old copy was put in its place. Batches that were nowhere else are gone, and may be."""

    at_us: int
    node: NodeName
    why: str  # "lost" | "restored"
    frontier: Frontier  # what the disk has now
    elsewhere: Frontier  # the most that any other disk has of each origin


class Spoilt(msgspec.Struct, frozen=True):
    """A record on a disk was put back to an earlier state, digests and all: what a bug in merging would leave."""

    at_us: int
    node: NodeName
    key: RecordKey


class Healed(msgspec.Struct, frozen=True):
    """The last fault ended."""

    at_us: int


class Agreed(msgspec.Struct, frozen=True):
    """All nodes have the same frontier and digest."""

    at_us: int


class GaveUp(msgspec.Struct, frozen=True):
    """They had not, when the time for it was over."""

    at_us: int
    why: str


class Gauged(msgspec.Struct, frozen=True):
    """The fullest that something bounded has been."""

    node: NodeName
    what: str
    most: int
    limit: int


class Entry(msgspec.Struct, frozen=True):
    """A change in the audit trail."""

    stamp: Stamp
    seq: int
    position: int
    key: RecordKey
    life: int
    fields: Mapping[str, bytes]
    actor: str
    cause: str
    request: bytes = b""  # hash of the idempotency key, b"" if there was none


class FinalBatch(msgspec.Struct, frozen=True):
    """A batch as a node has it in the end."""

    origin: Origin
    seq: int
    hash: bytes  # as stored
    body: bytes


class Final(msgspec.Struct, frozen=True):
    """Everything a node has in the end."""

    node: NodeName
    frontier: Frontier
    root: Summary
    batches: tuple[FinalBatch, ...]  # of each origin in sequence
    records: Mapping[RecordKey, Record]
    claims: Mapping[ClaimId, DecidedClaim]
    history: Mapping[RecordKey, tuple[Stamp, ...]]  # where each record was written
    complaints: tuple[str, ...] = ()  # of the store's own check
    quarantined: Mapping[Origin, str] = {}
    forgotten: tuple[str, ...] = ()  # places taken that it would know otherwise if it started again


Happening = (
    Constituted
    | Asked
    | Told
    | Read
    | Wrote
    | Started
    | Stopped
    | DiskFailed
    | DiskChanged
    | Spoilt
    | Healed
    | Agreed
    | GaveUp
    | Gauged
    | Final
)
History = list[Happening]


def spoilt_keys(history: History) -> set[RecordKey]:
    """Records that were wrong somewhere for a while: what was shown of them is nobody's fault."""
    return {h.key for h in history if isinstance(h, Spoilt)}
