"""What the API needs of the node it belongs to. `konkordat.node` fulfils it; tests may with less."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from konkordat.kernel.claim import ClaimId
from konkordat.kernel.ids import NodeName, Origin
from konkordat.replica.messages import Command, Committed, Outcome
from konkordat.replica.status import SeatingView
from konkordat.store.port import Reader


class Overloaded(Exception):
    """The node has more work queued than it can do soon. Nothing was written. Retry after `retry_after_ms`."""

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(retry_after_ms)
        self.retry_after_ms = retry_after_ms


class NodeStopped(Exception):
    """The node is stopping or its store failed: {reason}. Whether the write took effect is unknown:
    retry with the same key."""


class FeedGap(Exception):
    """This subscriber read too slowly and its queue was full. It is closed; resume from the last token."""


class PeerStatus(msgspec.Struct, frozen=True):
    """A node of the cluster as this node sees it."""

    name: NodeName
    origin: Origin
    alive: bool
    health: str  # joining | ready | fenced | stopping | lost
    frontier: Mapping[Origin, int]
    behind: int  # batches that we have and it lacks
    ahead: int  # batches that it has and we lack
    lag_ms: float  # age of the oldest batch that it lacks; 0 when none
    clock_offset_ms: float  # its clock minus ours
    digest: str  # short form of its root digest
    records: int
    api_url: str
    release: str
    heard_ms_ago: float


class NodeStatus(msgspec.Struct, frozen=True):
    """This node and its peers."""

    name: NodeName
    origin: Origin
    cluster: str
    health: str
    ready: bool
    frontier: Mapping[Origin, int]
    digest: str
    records: int
    queue: int  # inputs waiting
    queue_max: int
    uptime_s: float
    release: str
    peers: tuple[PeerStatus, ...]
    quarantined: Mapping[Origin, str]  # origin -> why its batches are not taken
    problems: tuple[str, ...]  # what an operator should look at, in words
    seating: SeatingView | None = None  # who decides what is scarce; None: nobody, here


class Gate(Protocol):
    """One node. All methods are called on its event loop thread."""

    name: NodeName
    cluster: str

    async def submit(self, command: Command) -> Outcome:
        """Carry out a command; returns when it is durable or refused. Raises Overloaded, NodeStopped."""

    async def submit_many(self, commands: list[Command]) -> list[Outcome]:
        """The same for several independent commands, handed over together so that they share one commit."""

    def reader(self) -> Reader:
        """The reader of the event loop thread. Reads take microseconds to a few milliseconds; pages are bounded. Claims
        are told as they are by the clock (`ends.AsOfNow`)."""

    def frontier(self) -> Mapping[Origin, int]:
        """The frontier that reads see now."""

    async def reached(self, frontier: Mapping[Origin, int], timeout_s: float) -> bool:
        """Wait until reads see at least this frontier; False when time runs out first."""

    async def decided(self, claims: Iterable[ClaimId], timeout_s: float) -> bool:
        """Wait until none of the claims is tentative; False when time runs out first, or too many wait."""

    def feed(self) -> AbstractAsyncContextManager[AsyncIterator[Committed]]:
        """Every commit from now on. Bounded: raises FeedGap in a reader that is too slow."""

    def status(self) -> NodeStatus: ...

    def now_ms(self) -> int: ...

    def new_id(self) -> str:
        """A fresh UUIDv7."""

    def log(self, level: str, event: str, **fields: Any) -> None:
        """One structured log line."""
