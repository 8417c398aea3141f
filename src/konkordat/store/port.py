"""The port of a store: what the replica and the API may ask of whatever keeps a node's data.

Synchronous and single-writer. `commit` is the only way to change anything, it is one transaction, and what it wrote is
durable when it returns; log, records, history, digests, claims, frontier and clock change together or not at all.
tests/contract runs the same tests against every store.
"""

from __future__ import annotations

from collections.abc import Collection as CollectionOf
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol

import msgspec

from konkordat.kernel.change import RequestMark
from konkordat.kernel.claim import ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.digest import KeyRange, Summary
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Collection, NodeName, Origin, RecordId, RecordKey, Tenant
from konkordat.kernel.record import Record

PAGE_ROWS_MAX: Final = 10_000  # no single read returns more, whatever is asked for
SEGMENT_ROWS_MAX: Final = (
    512  # records behind one stored digest: what a leaf comparison reads at most
)
BEFORE_ALL_IDS: Final = RecordId("")  # sorts before every record's id


class StoreError(Exception):
    """The store failed: {reason}."""


class StoreUnusableError(StoreError):
    """The data directory cannot be used: {reason}. It was not changed."""


class StoreWriteError(StoreError):
    """The store could not make a commit durable: {reason}. Nothing of it was acknowledged.

    The node must stop acknowledging: after a failed sync nobody knows what is on the disk (fsyncgate, 2018).
    """


class StoreFullError(StoreWriteError):
    """The disk is full. The commit was rolled back and nothing of it was acknowledged. Free space,
    then restart the node."""


class CorruptStoreError(StoreError):
    """A stored object does not match its checksum: {reason}. It was not used."""


class Bookkeeping(msgspec.Struct, frozen=True):
    """What a node must know to go on: read once at start, afterwards kept in memory by the replica."""

    node: NodeName
    origin: Origin  # the present incarnation
    hlc: Hlc  # the last stamp given or seen
    frontier: Mapping[Origin, int]
    heads: Mapping[Origin, bytes]  # hash of the batch at the frontier, per origin
    root: Summary  # over all records


class LogRow(msgspec.Struct, frozen=True, gc=False):
    """One batch in the log."""

    origin: Origin
    seq: int
    hash: bytes  # 32 bytes; `batch_hash(body)`, verified whenever the row is read
    first_hlc: Hlc
    last_hlc: Hlc
    body: bytes  # as its origin encoded it
    arrived_ms: int  # Unix ms of this node's commit; local, not part of the replicated data


class RecordWrite(msgspec.Struct, frozen=True, gc=False):
    """A record's new state, and what that does to the digests."""

    record: Record
    before: Summary  # of the old state alone; empty if there was none
    after: Summary  # of the new state alone
    parent: str = (
        ""  # what the record belongs to (an event's id), for listing; derived by the domain
    )


class HistoryRow(NamedTuple):
    """Where a record was written: change `position` (over the whole batch, from 0) of a batch."""

    key: RecordKey
    hlc: Hlc
    origin: Origin
    seq: int
    position: int


class AnswerRow(NamedTuple):
    """A client request that had its effect, by which transaction of which batch."""

    mark: RequestMark
    origin: Origin
    seq: int
    position: int  # of the transaction in the batch, from 0
    at_ms: int  # the later of its stamp and its arrival here, Unix ms; rows are forgotten after ANSWER_LIFE_MS


ANSWER_LIFE_MS: Final = 24 * 3_600_000  # how long a repeated Idempotency-Key is recognised


class WriteSet(msgspec.Struct, frozen=True):
    """One commit."""

    hlc: Hlc
    log: Sequence[LogRow] = ()
    records: Sequence[RecordWrite] = ()  # each key once
    history: Sequence[HistoryRow] = ()
    answers: Sequence[AnswerRow] = ()
    claims: Sequence[
        DecidedClaim
    ] = ()  # new, moved or decided otherwise: replaces the claim of the same id
    claims_gone: Sequence[ClaimId] = ()
    answers_forgotten_before_ms: int = 0  # 0 = forget none

    # The new frontier and heads follow from `log`, which holds each origin's rows in sequence.


class Span(NamedTuple):
    """A time on a resource, [start_ms, until_ms)."""

    resource: Resource
    start_ms: int
    until_ms: int


class RangeSummary(NamedTuple):
    range: KeyRange
    summary: Summary


class Reader(Protocol):
    """Reads on a consistent snapshot of committed state. One thread at a time per reader; readers
    do not block the writer."""

    def load(self, keys: Iterable[RecordKey]) -> dict[RecordKey, Record]:
        """The records that exist (deleted ones included), in one query per few hundred keys."""

    def scan(
        self,
        tenant: Tenant,
        collection: Collection,
        after: RecordId = BEFORE_ALL_IDS,
        limit: int = 100,
        parent: str | None = None,
        include_deleted: bool = False,
    ) -> list[Record]:
        """Up to `limit` records in order of id, ids > `after`, of one parent if given."""

    def count(self, tenant: Tenant, collection: Collection, parent: str | None = None) -> int:
        """How many living records."""

    def claims_on(self, spans: Sequence[Span]) -> list[DecidedClaim]:
        """Every claim that overlaps one of the spans, each once."""

    def taken(self, span: Span, states: CollectionOf[ClaimState]) -> int:
        """How much the claims take that overlap the span and are in one of the states: of each record the largest
        quantity, added up. Reads them all, but decodes and verifies none."""

    def claims_of(self, owners: Iterable[RecordKey]) -> dict[RecordKey, list[DecidedClaim]]:
        """The claims that these records make."""

    def every_claim(self) -> list[DecidedClaim]:
        """All claims, in order of id. Read once, at start."""

    def batches(
        self, origin: Origin, after: int, limit: int = 256, bytes_max: int = 1 << 20
    ) -> list[LogRow]:
        """Batches of an origin with seq > `after`, in sequence: at least one if there is one, then
        while both limits hold.

        Raises CorruptStoreError for a row whose body does not match its hash.
        """

    def history(
        self, key: RecordKey, limit: int = 100, before: tuple[Hlc, Origin] | None = None
    ) -> list[HistoryRow]:
        """Where a record was written, newest first by (hlc, origin)."""

    def answer(self, key_hashes: Iterable[bytes]) -> dict[bytes, AnswerRow]:
        """Requests that already had their effect, by key hash."""

    def summary(self, range_: KeyRange) -> Summary:
        """The digest of a range. Reads stored segment digests, and rows only at the two edges."""

    def split(self, range_: KeyRange, ways: int) -> Sequence[RangeSummary]:
        """Up to `ways` adjoining parts that make up the range, with their digests; about equal in records."""

    def fingerprints(self, range_: KeyRange, limit: int) -> list[tuple[RecordKey, Summary]]:
        """Key and summary of up to `limit` records of a range, in order of key."""

    def frontier(self) -> dict[Origin, int]:
        """The frontier of this reader's snapshot."""

    def moment(self) -> AbstractContextManager[None]:
        """Everything read in the block is of one snapshot, whatever is committed meanwhile. Keep it short, wait for
        nothing in it, and open no second one inside: what others write cannot be tidied up before it ends."""

    def close(self) -> None: ...


class Store(Reader, Protocol):
    """A node's data. Used by one owner thread."""

    book: Bookkeeping  # as of opening

    def commit(self, write: WriteSet) -> None:
        """Make all of it durable, or none. Raises StoreFullError, StoreWriteError."""

    def reader(self) -> Reader:
        """A new reader, for another thread."""

    def check(self) -> list[str]:
        """Recompute everything derivable (hashes and chains, records from the log, digests,
        frontier) and name each difference.

        Empty when all is well. Reads everything; a node runs it only when asked to.
        """
