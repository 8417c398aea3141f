"""What tests of stores share: how each kind is opened and made to fail, and a scribe who makes their write sets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from konkordat.kernel.change import NO_HASH, Batch, Change, RequestMark, SealedBatch, Transaction
from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.digest import FIRST_KEY, KeyRange, Summary, summary_of
from konkordat.kernel.hlc import Hlc, Stamp, hlc_at, ms_of, tick
from konkordat.kernel.ids import Group, NodeName, Origin, RecordKey, Tenant, record_key
from konkordat.kernel.merge import apply, next_life
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record
from konkordat.store.memory import Data, MemoryReader, MemoryStore, open_memory
from konkordat.store.port import (
    AnswerRow,
    HistoryRow,
    LogRow,
    RecordWrite,
    Store,
    StoreError,
    WriteSet,
)
from konkordat.store.replay import Replay
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.wire.batches import open_body, seal

NODE = NodeName("zurich")
START_MS = 1_800_000_000_000
REPLAY = Replay(lambda body: open_body(body).batch, Policies())
PARENT = Group("event")  # the group that says what a record belongs to, here


def entropy(size: int) -> bytes:
    return bytes(range(size))


# Stores -----------------------------------------------------------------------------------------


class Memory:
    """The memory store, whose disk is its data."""

    name = "memory"

    def __init__(self, path: Path) -> None:
        self._data: Data | None = None
        self._fails = False

    def open(self, segment_rows_max: int = 8) -> MemoryStore:
        if self._data is None:
            self._data = open_memory(NODE, START_MS, entropy).data
        return MemoryStore(self._data, REPLAY, self._before)

    def reopen(self, store: Store) -> MemoryStore:
        store.close()
        return self.open()

    def fail_next(self, store: Store) -> None:
        self._fails = True

    def _before(self, write: WriteSet) -> None:
        if self._fails:
            self._fails = False
            raise StoreError("the test said so")


class Sqlite:
    """The SQLite store in a temporary directory."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path / "data"

    def open(self, segment_rows_max: int = 8) -> SqliteStore:
        return open_sqlite(
            self.path, NODE, START_MS, entropy, replay=REPLAY, segment_rows_max=segment_rows_max
        )

    def reopen(self, store: Store) -> SqliteStore:
        store.close()
        return self.open()

    def fail_next(self, store: Store) -> None:
        """The last step of the next commit fails, when everything has been written."""
        assert isinstance(store, SqliteStore)
        connection = store._connection

        def refuse() -> bool:
            connection.set_commit_hook(None)
            return True

        connection.set_commit_hook(refuse)


Kind = Memory | Sqlite
KINDS: tuple[type[Memory] | type[Sqlite], ...] = (Memory, Sqlite)


# Values -----------------------------------------------------------------------------------------


def key(id: str, collection: str = "sessions", tenant: str = "acme") -> RecordKey:
    return record_key(tenant, collection, id)


def value(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def claim(
    owner: RecordKey,
    start_ms: int,
    until_ms: int,
    resource: str = "room/1",
    part: str = "slot",
    state: ClaimState = ClaimState.CONFIRMED,
    against: Sequence[ClaimId] = (),
    origin: str = "zurich.1",
    tenant: str = "acme",
    quantity: int = 1,
) -> DecidedClaim:
    stamp = Stamp(hlc_at(START_MS), Origin(origin))
    place = Resource(Tenant(tenant), resource)
    made = Claim(ClaimId(owner, part), place, start_ms, until_ms, quantity, stamp)
    return DecidedClaim(made, state, tuple(against))


@dataclass(frozen=True)
class Put:
    """Groups of a record to be written, as JSON-like values; or its deletion."""

    key: RecordKey
    fields: dict[str, Any] = field(default_factory=dict)
    deletes: bool = False


def parent_of(record: Record) -> str:
    register = record.fields.get(PARENT)
    return str(json.loads(register.value)) if register else ""


# Writing ----------------------------------------------------------------------------------------


class Scribe:
    """Writes into a store what a replica would: batches of any origins, with the records they make. It has its own
    idea of all records, so that a test can tell what the store should have."""

    def __init__(self, store: Store) -> None:
        book = store.book
        self.origin = book.origin
        self.frontier: dict[Origin, int] = dict(book.frontier)
        self.heads: dict[Origin, bytes] = dict(book.heads)
        self.hlc: Hlc = book.hlc
        self.records: dict[RecordKey, Record] = {}

    def transaction(
        self, *puts: Put, request: RequestMark | None = None, actor: str = "cred-1"
    ) -> Transaction:
        """Made on what the records are now; its stamp is the next."""
        self.hlc = tick(self.hlc, START_MS)
        changes = [
            Change(
                put.key,
                next_life(self.records.get(put.key), put.deletes),
                {Group(g): value(v) for g, v in put.fields.items()},
            )
            for put in puts
        ]
        return Transaction(self.hlc, tuple(changes), actor, request=request)

    def seal(self, *transactions: Transaction, origin: Origin | None = None) -> SealedBatch:
        """The next batch of an origin, ours if none is named."""
        origin = origin or self.origin
        seq = self.frontier.get(origin, 0) + 1
        previous = self.heads.get(origin, NO_HASH)
        sealed = seal(Batch(origin, seq, previous, transactions))
        self.frontier[origin], self.heads[origin] = seq, sealed.hash
        return sealed

    def write_set(self, *batches: SealedBatch, **rest: Any) -> WriteSet:
        """What commits these batches; `rest` are further members of the write set."""
        first: dict[RecordKey, Record | None] = {}
        log: list[LogRow] = []
        history: list[HistoryRow] = []
        answers: list[AnswerRow] = []
        for sealed in batches:
            batch = sealed.batch
            stamps = [t.hlc for t in batch.transactions]
            row = LogRow(
                batch.origin, batch.seq, sealed.hash, stamps[0], stamps[-1], sealed.body, START_MS
            )
            log.append(row)
            self._merge(batch, first, history, answers)
        records = [
            RecordWrite(
                self.records[k],
                summary_of(before),
                summary_of(self.records[k]),
                parent_of(self.records[k]),
            )
            for k, before in first.items()
            if before is not self.records[k]
        ]
        return WriteSet(self.hlc, log, records, history, answers, **rest)

    def _merge(
        self,
        batch: Batch,
        first: dict[RecordKey, Record | None],
        history: list[HistoryRow],
        answers: list[AnswerRow],
    ) -> None:
        position = 0
        for number, transaction in enumerate(batch.transactions):
            stamp = Stamp(transaction.hlc, batch.origin)
            for change in transaction.changes:
                before = self.records.get(change.key)
                first.setdefault(change.key, before)
                after = apply(before, change, stamp, transaction.actor, Policies())
                self.records[change.key] = after
                history.append(
                    HistoryRow(change.key, transaction.hlc, batch.origin, batch.seq, position)
                )
                position += 1
            if transaction.request is not None:
                at_ms = ms_of(transaction.hlc)
                answers.append(
                    AnswerRow(transaction.request, batch.origin, batch.seq, number, at_ms)
                )

    def commit(
        self, store: Store, *puts: Put, origin: Origin | None = None, **rest: Any
    ) -> WriteSet:
        """One batch of one transaction, committed."""
        transactions = [self.transaction(*puts)] if puts else []
        batches = [self.seal(*transactions, origin=origin)] if puts else []
        write = self.write_set(*batches, **rest)
        store.commit(write)
        return write


def put(id: str, collection: str = "sessions", tenant: str = "acme", **fields: Any) -> Put:
    return Put(key(id, collection, tenant), fields)


def drop(id: str, collection: str = "sessions", tenant: str = "acme") -> Put:
    return Put(key(id, collection, tenant), deletes=True)


# Judging ----------------------------------------------------------------------------------------


def brute_summary(records: Iterable[Record], range_: KeyRange) -> Summary:
    """The digest of a range, from its records alone."""
    result = Summary()
    for record in records:
        if record.key in range_:
            result = result.plus(summary_of(record))
    return result


def everything(store: Store | MemoryReader) -> dict[str, Any]:
    """All that a store says of itself, to be compared."""
    whole = KeyRange(FIRST_KEY, None)
    prints = store.fingerprints(whole, 10_000)
    keys = [k for k, _summary in prints]
    return {
        "records": store.load(keys),
        "prints": prints,
        "summary": store.summary(whole),
        "frontier": store.frontier(),
        "log": {origin: store.batches(origin, 0, 10_000) for origin in store.frontier()},
        "history": {k: store.history(k, 10_000) for k in keys},
        "claims": {k: sorted(v, key=repr) for k, v in store.claims_of(keys).items()},
    }
