"""The SQLite store and the store in memory are given the same work, and must never be told apart."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from konkordat.kernel.change import RequestMark
from konkordat.kernel.claim import ClaimState, Resource
from konkordat.kernel.digest import KeyRange
from konkordat.kernel.ids import Collection, Origin, RecordId, RecordKey, Tenant, record_key
from konkordat.store.port import Span, Store, StoreError, WriteSet
from support.stores import START_MS, Memory, Put, Scribe, Sqlite, brute_summary, claim, everything

tenants = st.sampled_from(["a", "b"])
collections = st.sampled_from(["rooms", "sessions"])
names = st.integers(0, 30).map(lambda n: f"r{n:02}") | st.sampled_from(["", "'", "ä", "🎪"]).map(
    lambda text: f"x{text}"
)
keys = st.builds(record_key, tenants, collections, names)
values = st.none() | st.integers(-9, 9) | st.text(max_size=5)
fields = st.dictionaries(st.sampled_from(["title", "slot", "ö"]), values, max_size=2)
parents = st.dictionaries(st.just("event"), st.sampled_from(["e", "f"]), max_size=1)
puts = st.builds(
    lambda key, fields, parent: Put(key, {**fields, **parent}), keys, fields, parents
) | st.builds(lambda key: Put(key, deletes=True), keys)
marks = st.none() | st.integers(0, 5).map(lambda n: RequestMark(bytes([n]) * 16, b"b" * 16))
origins = st.sampled_from([None, Origin("basel.7"), Origin("bern.3")])
# Several batches, each of some transactions, each of some changes.
batches = st.lists(
    st.tuples(
        origins,
        st.lists(st.tuples(st.lists(puts, max_size=8), marks), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=3,
)
resources = st.sampled_from(["room/1", "room/2"])
times = st.integers(0, 20).map(lambda n: n * 1_000_000)
ways = st.sampled_from([1, 2, 5, 16])


class Twins(RuleBasedStateMachine):
    """The scribe knows what must be there; the twin in memory says what every read must give."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name)
        self.kinds = (Memory(path), Sqlite(path))
        self.stores: list[Store] = [kind.open() for kind in self.kinds]
        self.scribe = Scribe(self.stores[0])
        self.reader = self.stores[1].reader()

    def teardown(self) -> None:
        self.reader.close()
        for store in self.stores:
            store.close()
        self.folder.cleanup()

    def same(self, read: Any) -> Any:
        """The result of a read, which must be the same for both and for a reader of the second."""
        memory, sqlite = self.stores
        expected = read(memory)
        assert read(sqlite) == expected
        assert read(self.reader) == expected
        return expected

    def write(self, made: list[Any], **rest: Any) -> WriteSet:
        scribe, sealed = self.scribe, []
        for origin, transactions in made:
            # A stamp is made on the records as the scribe has them, so batch after batch.
            done = [scribe.transaction(*some, request=mark) for some, mark in transactions]
            sealed.append(scribe.seal(*done, origin=origin))
        return scribe.write_set(*sealed, **rest)

    # What happens ---------------------------------------------------------------------------

    @rule(made=batches)
    def commit(self, made: list[Any]) -> None:
        write = self.write(made)
        for store in self.stores:
            store.commit(write)

    @rule(made=batches, wanted=st.lists(keys, max_size=10))
    def commit_after_loading(self, made: list[Any], wanted: list[RecordKey]) -> None:
        write = self.write(made)
        for store in self.stores:
            store.load([*wanted, *(w.record.key for w in write.records)])
            store.commit(write)

    @rule(made=batches)
    def fail_to_commit(self, made: list[Any]) -> None:
        scribe = self.scribe
        before = scribe.records.copy(), scribe.frontier.copy(), scribe.heads.copy()
        write = self.write(made)
        scribe.records, scribe.frontier, scribe.heads = before
        for kind, store in zip(self.kinds, self.stores, strict=True):
            kind.fail_next(store)
            try:
                store.commit(write)
            except StoreError:
                continue
            raise AssertionError("the commit went through")

    @precondition(lambda self: self.scribe.records)
    @rule(
        data=st.data(),
        resource=resources,
        start=times,
        size=st.sampled_from([1, 1_000_000, 1 << 21, 1 << 30, 1 << 33]),
        part=st.sampled_from(["slot", "part"]),
        state=st.sampled_from(ClaimState),
        quantity=st.integers(0, 3),
    )
    def claim(
        self,
        data: Any,
        resource: str,
        start: int,
        size: int,
        part: str,
        state: ClaimState,
        quantity: int,
    ) -> None:
        owner = data.draw(st.sampled_from(sorted(self.scribe.records)))
        until, tenant = start + size, owner.tenant
        made = claim(owner, start, until, resource, part, state, tenant=tenant, quantity=quantity)
        for store in self.stores:
            store.commit(WriteSet(self.scribe.hlc, claims=[made]))

    @rule(owner=keys, part=st.sampled_from(["slot", "part"]))
    def let_go(self, owner: RecordKey, part: str) -> None:
        gone = claim(owner, 0, 1, part=part).claim.id
        for store in self.stores:
            store.commit(WriteSet(self.scribe.hlc, claims_gone=[gone]))

    @rule(ahead_ms=st.sampled_from([-1, 0, 1]))
    def forget_answers(self, ahead_ms: int) -> None:
        write = WriteSet(self.scribe.hlc, answers_forgotten_before_ms=START_MS + ahead_ms)
        for store in self.stores:
            store.commit(write)

    @rule()
    def reopen(self) -> None:
        self.reader.close()
        pairs = zip(self.kinds, self.stores, strict=True)
        self.stores = [kind.reopen(store) for kind, store in pairs]
        memory, sqlite = self.stores
        assert memory.book == sqlite.book
        self.reader = sqlite.reader()

    # What must be -----------------------------------------------------------------------------

    @rule(
        tenant=tenants,
        collection=collections,
        after=names,
        limit=st.integers(0, 40),
        parent=st.sampled_from([None, "", "e", "f"]),
        deleted=st.booleans(),
    )
    def scan(
        self,
        tenant: str,
        collection: str,
        after: str,
        limit: int,
        parent: str | None,
        deleted: bool,
    ) -> None:
        where = Tenant(tenant), Collection(collection)
        self.same(lambda s: s.scan(*where, RecordId(after), limit, parent, deleted))
        self.same(lambda s: s.count(*where, parent))

    @rule(asked=st.lists(st.tuples(resources, times, times, tenants), max_size=4))
    def claims_on(self, asked: list[tuple[str, int, int, str]]) -> None:
        spans = [Span(Resource(Tenant(t), r), min(a, b), max(a, b) + 1) for r, a, b, t in asked]
        self.same(lambda s: sorted(s.claims_on(spans), key=repr))

    @rule(
        resource=resources,
        a=times,
        b=times,
        tenant=tenants,
        states=st.sets(st.sampled_from(ClaimState)),
    )
    def taken(self, resource: str, a: int, b: int, tenant: str, states: set[ClaimState]) -> None:
        span = Span(Resource(Tenant(tenant), resource), min(a, b), max(a, b) + 1)
        self.same(lambda s: s.taken(span, sorted(states)))

    @rule(a=keys, b=keys, open_end=st.booleans(), ways=ways, limit=st.integers(0, 20))
    def digests(self, a: RecordKey, b: RecordKey, open_end: bool, ways: int, limit: int) -> None:
        range_ = KeyRange(min(a, b), None if open_end else max(a, b))
        records = self.scribe.records.values()
        expected = self.same(lambda s: s.summary(range_))
        assert expected == brute_summary(records, range_)
        self.same(lambda s: s.fingerprints(range_, limit))
        parts = self.stores[1].split(range_, ways)
        assert 1 <= len(parts) <= ways
        assert [parts[0].range.low, parts[-1].range.high] == list(range_)
        for part, following in pairwise(parts):
            assert part.range.high == following.range.low
        for part in parts:
            assert part.summary == brute_summary(records, part.range)

    @rule(origin=origins, after=st.integers(0, 9), limit=st.integers(0, 5), size=times)
    def log(self, origin: Origin | None, after: int, limit: int, size: int) -> None:
        asked = origin or self.scribe.origin
        self.same(lambda s: s.batches(asked, after, limit, size // 10_000))
        self.same(lambda s: s.answer([bytes([n]) * 16 for n in range(6)]))

    @invariant()
    def alike(self) -> None:
        found = self.same(everything)
        assert found["records"] == self.scribe.records
        assert found["frontier"] == self.scribe.frontier

    @rule()
    def check(self) -> None:
        assert [store.check() for store in self.stores] == [[], []]


TestTwins = Twins.TestCase
# Files are opened and synced for every example: fewer of them, in proportion to the profile.
TestTwins.settings = settings(
    max_examples=max(30, settings.default.max_examples // 50), stateful_step_count=20
)
