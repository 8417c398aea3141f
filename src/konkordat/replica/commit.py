"""One commit in the making: the records it has loaded, what it changed, and the write set that comes of it.

Load first, then merge in memory, then one transaction. Nothing here is visible to anybody until the store has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from konkordat.kernel.change import Change, RequestMark, SealedBatch, Transaction
from konkordat.kernel.claim import Claim, Resource
from konkordat.kernel.digest import EMPTY, Summary, summary_of
from konkordat.kernel.hlc import Hlc, Stamp, ms_of
from konkordat.kernel.ids import Collection, NodeName, Origin, RecordKey, Tenant
from konkordat.kernel.merge import apply, join
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record
from konkordat.replica.claims import ClaimBook
from konkordat.replica.domain import Domain
from konkordat.replica.messages import Committed, FeedEntry
from konkordat.replica.sums import Sums
from konkordat.store.port import (
    AnswerRow,
    HistoryRow,
    LogRow,
    Reader,
    RecordWrite,
    Span,
    WriteSet,
)

# A request mark, and the records that its request wrote.
Repeat = tuple[RequestMark, tuple[RecordKey, ...]]


class Applied(msgspec.Struct, frozen=True, gc=False):
    """A change that took effect, before its record's last state is known."""

    key: RecordKey
    stamp: Stamp
    seq: int
    transaction: Transaction
    groups: tuple[str, ...]
    before_life: int


class Commit:
    """The working state of one commit. Fulfils the View on which commands are decided."""

    def __init__(
        self,
        store: Reader,
        domain: Domain,
        policies: Policies,
        now_ms: int,
        roster: int | None = None,
        sums: Sums | None = None,
        members: frozenset[NodeName] = frozenset(),
    ) -> None:
        self.now_ms = now_ms
        self.members = members
        self.roster = roster or 0  # None: claims are not decided by seats here
        self._store = store
        self._domain = domain
        self._policies = policies
        self._first: dict[RecordKey, Record | None] = {}  # as loaded
        self._last: dict[RecordKey, Record] = {}  # as changed
        self.claims = ClaimBook(store, domain, roster is not None, sums, now_ms)
        self._log: list[LogRow] = []
        self._history: list[HistoryRow] = []
        self._answers: list[AnswerRow] = []
        self.answered: dict[
            bytes, Repeat
        ] = {}  # by key hash: requests answered by batches of this commit
        self._applied: list[Applied] = []

    # View ------------------------------------------------------------------------------------

    def record(self, key: RecordKey) -> Record | None:
        changed = self._last.get(key)
        if changed is not None:
            return changed
        if key not in self._first:
            self.load([key])
        return self._first[key]

    def granted(self, resource: Resource, start_ms: int, until_ms: int) -> Sequence[Claim]:
        return self.claims.granted(resource, start_ms, until_ms)

    def taken(self, resource: Resource, start_ms: int, until_ms: int) -> int:
        return self.claims.taken(Span(resource, start_ms, until_ms))

    def held(self, owners: Iterable[RecordKey]) -> Sequence[Claim]:
        wanted = list(owners)
        if not self.claims.knows(wanted):
            # Other commands of this commit will ask for theirs: one query for all. A record that is not here may have
            # claims, whose decision came first.
            kinds = {owner.collection for owner in wanted}
            self.claims.know(key for key in self._first if key.collection in kinds)
        return self.claims.held(wanted)

    def living(self, tenant: Tenant, collection: Collection, parent: str) -> int:
        def counts(record: Record | None) -> bool:
            return record is not None and record.alive and self._domain.parent(record) == parent

        changed = [
            (self._first[key], after)
            for key, after in self._last.items()
            if key.tenant == tenant and key.collection == collection
        ]
        more = sum(counts(after) - counts(before) for before, after in changed)
        return self._store.count(tenant, collection, parent) + more

    # Building --------------------------------------------------------------------------------

    def load(self, keys: Iterable[RecordKey]) -> None:
        """Bring records into the commit, all in one query."""
        unknown = [key for key in keys if key not in self._first]
        if unknown:
            wanted = list(dict.fromkeys(unknown))
            found = self._store.load(wanted)
            for key in wanted:
                self._first[key] = found.get(key)

    def merge(self, transaction: Transaction, origin: Origin, seq: int) -> None:
        """Merge one transaction into the records."""
        stamp = Stamp(transaction.hlc, origin)
        for change in transaction.changes:
            before = self.record(change.key)
            after = apply(before, change, stamp, transaction.actor, self._policies)
            self._applied.append(
                Applied(
                    change.key,
                    stamp,
                    seq,
                    transaction,
                    tuple(change.fields),
                    before.life if before else 0,
                )
            )
            if after is not before:
                self._replace(before, after, change)

    def restore(self, record: Record) -> bool:
        """Join a peer's state of a record into ours; True if that changed ours."""
        before = self.record(record.key)
        after = record if before is None else join(before, record, self._policies)
        if after == before:
            return False
        self._replace(before, after, None)
        return True

    def _replace(self, before: Record | None, after: Record, change: Change | None) -> None:
        key = after.key
        self._last[key] = after
        relevant = self._domain.claim_groups(key.collection)
        if not relevant:
            return
        same_life = before is not None and before.life == after.life
        if change is not None and same_life and relevant.isdisjoint(change.fields):
            return
        resource = self._domain.owned_resource(key)
        if resource is not None and self._domain.capacity(before) != self._domain.capacity(after):
            self.claims.capacity_changed(resource)
        if change is None:
            self.claims.record_repaired(after)
        else:
            self.claims.record_changed(before, after)

    def settle(self) -> None:
        """Decide the claims that changes since the last call touched."""
        owners = self.claims.dirty_owners()
        if owners:
            self.load(owners)
        self.claims.settle({key: self.record(key) for key in owners})

    def log(self, sealed: SealedBatch) -> None:
        """Book a batch: its log row, and where it wrote what."""
        batch = sealed.batch
        first = batch.transactions[0].hlc if batch.transactions else Hlc(0)
        last = batch.transactions[-1].hlc if batch.transactions else Hlc(0)
        self._log.append(
            LogRow(batch.origin, batch.seq, sealed.hash, first, last, sealed.body, self.now_ms)
        )
        position = 0
        for number, transaction in enumerate(batch.transactions):
            for change in transaction.changes:
                self._history.append(
                    HistoryRow(change.key, transaction.hlc, batch.origin, batch.seq, position)
                )
                position += 1
            if transaction.request is not None:
                keys = tuple([change.key for change in transaction.changes])
                self.answered[transaction.request.key_hash] = (transaction.request, keys)
                # A clock that is far behind must not make its requests look long past as soon as they arrive.
                at_ms = max(ms_of(transaction.hlc), self.now_ms)
                self._answers.append(
                    AnswerRow(transaction.request, batch.origin, batch.seq, number, at_ms)
                )

    # Results ---------------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        return not (self._log or self._last or self.claims.changed() or self.claims.gone())

    def changed_records(self) -> Iterable[Record]:
        """The records as the commit leaves them, of those that it changed."""
        return self._last.values()

    def write_set(self, hlc: Hlc, forget_before_ms: int) -> tuple[WriteSet, Summary, Summary]:
        """The write set, and what the commit takes from and adds to the root digest."""
        taken = added = EMPTY
        records = []
        for key, after in self._last.items():
            before, now = summary_of(self._first[key]), summary_of(after)
            taken, added = taken.plus(before), added.plus(now)
            records.append(RecordWrite(after, before, now, self._domain.parent(after)))
        write = WriteSet(
            hlc,
            self._log,
            records,
            self._history,
            self._answers,
            self.claims.changed(),
            self.claims.gone(),
            forget_before_ms,
        )
        return write, taken, added

    def committed(self, frontier: Mapping[Origin, int]) -> Committed:
        """The feed's news of this commit, when it is durable."""
        claims, gone = tuple(self.claims.changed()), tuple(self.claims.gone())
        entries = self._entries()
        told = {entry.key for entry in entries}
        owners = dict.fromkeys([d.claim.id.owner for d in claims])
        beside = [key for key in (owners | self._last) if key not in told]
        known = [(key, self._last.get(key) or self._first.get(key)) for key in beside]
        touched = owners | dict.fromkeys([e.key for e in entries]) | self._last
        return Committed(
            entries,
            claims,
            frontier,
            gone,
            {key: record for key, record in known if record is not None},
            self.claims.whole(touched),
        )

    def _entries(self) -> tuple[FeedEntry, ...]:
        """What took effect, in order, with the records' states after the commit."""
        return tuple(
            [
                FeedEntry(
                    a.key,
                    a.stamp,
                    a.seq,
                    a.transaction.actor,
                    a.transaction.cause_id,
                    a.groups,
                    self._known(a.key),
                    a.before_life,
                )
                for a in self._applied
            ]
        )

    def _known(self, key: RecordKey) -> Record:
        record = self._last.get(key) or self._first[key]
        assert record is not None, "an applied change leaves a record"
        return record
