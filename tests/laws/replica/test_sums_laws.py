"""What is kept of how much is taken is what the rows say, whatever commits do to them; and so it is within a commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import NodeName, Origin, RecordKey, Tenant, record_key
from konkordat.kernel.record import Record
from konkordat.replica.claims import ClaimBook, held_id
from konkordat.replica.domain import PLAIN_CLAIM, Wanted
from konkordat.replica.sums import IN_THE_WAY, RESOURCES_MAX, Sums
from konkordat.store.memory import MemoryStore, open_memory
from konkordat.store.port import Span, WriteSet

pytestmark = pytest.mark.row("S0-35")

ORIGIN = Origin("bern.1")
SESSIONS = tuple(Resource(Tenant("acme"), f"session/{n}") for n in range(3))
OWNERS = tuple(record_key("acme", "registrations", f"r{n}") for n in range(5))
ALWAYS, LATER = (0, 1), (1, 3)
SPANS = tuple(Span(s, *time) for s in SESSIONS for time in (ALWAYS, (0, 2)))

resources = st.sampled_from(SESSIONS)
owners = st.sampled_from(OWNERS)
times = st.sampled_from([ALWAYS, ALWAYS, ALWAYS, LATER])
places = st.tuples(resources, times, st.integers(0, 4))
Place = tuple[Resource, tuple[int, int], int]


class Wishes:
    """A domain in which a record's actor names what it claims."""

    def __init__(self) -> None:
        self.of_actor: dict[str, tuple[Claim, ...]] = {"": ()}

    def claims(self, record: Record) -> Sequence[Claim]:
        return self.of_actor[record.actor]

    def wanted(self, record: Record, claim: Claim) -> Wanted:
        return PLAIN_CLAIM

    def capacity_owner(self, resource: Resource) -> None:
        return None

    def capacity(self, owner: Record | None) -> int:
        return 3


class Commits(RuleBasedStateMachine):
    """One commit after the other, as a replica makes them; any of them may come to nothing."""

    @initialize(by_seats=st.sampled_from([True, True, False]), kept=st.sampled_from([1, 2, 9]))
    def begin(self, by_seats: bool, kept: int) -> None:
        self.store: MemoryStore = open_memory(NodeName("bern"), 0, bytes)
        self.by_seats, self.kept = by_seats, kept
        self.states = IN_THE_WAY if by_seats else (ClaimState.CONFIRMED,)
        self.domain: Any = Wishes()
        self.records: dict[RecordKey, Record] = {}
        self.sums = Sums(kept)
        self.clock = 0
        self.open()

    def open(self) -> None:
        self.book = ClaimBook(self.store, self.domain, self.by_seats, self.sums)
        self.written: dict[RecordKey, Record] = {}

    def claim(self, id: ClaimId, place: Place) -> Claim:
        self.clock += 1
        resource, (start, until), quantity = place
        return Claim(id, resource, start, until, quantity, Stamp(Hlc(self.clock), ORIGIN))

    # What a commit does ----------------------------------------------------------------------

    @rule(owner=owners, wanted=st.lists(places, max_size=2))
    def write(self, owner: RecordKey, wanted: list[Place]) -> None:
        """A record comes, moves, wants another quantity, or goes."""
        made = tuple(self.claim(ClaimId(owner, f"p{n}"), p) for n, p in enumerate(wanted))
        actor = f"a{len(self.domain.of_actor)}"
        self.domain.of_actor[actor] = made
        at = Stamp(Hlc(self.clock), ORIGIN)
        new = Record(owner, 1, {}, at, at, actor)
        self.book.record_changed(self.written.get(owner, self.records.get(owner)), new)
        self.book.settle({})
        self.written[owner] = new

    @rule(
        owner=owners,
        part=st.sampled_from(["p0", "p1"]),
        place=places,
        state=st.sampled_from(ClaimState),
        held=st.none() | places,
    )
    def tell(
        self, owner: RecordKey, part: str, place: Place, state: ClaimState, held: Place | None
    ) -> None:
        """A decision, perhaps of another place than was wished; the old place is kept, or let go."""
        if not self.by_seats:
            return
        id = ClaimId(owner, part)
        self.book.know([owner])
        self.book.tell(DecidedClaim(self.claim(id, place), state))
        if held is not None:
            self.book.tell(DecidedClaim(self.claim(held_id(id), held), ClaimState.CONFIRMED))
        else:
            self.book.withdraw(held_id(id))

    @rule(owner=owners, part=st.sampled_from(["p0", "p1"]))
    def withdraw(self, owner: RecordKey, part: str) -> None:
        if self.by_seats:
            self.book.know([owner])
            self.book.withdraw(ClaimId(owner, part))
            self.book.withdraw(held_id(ClaimId(owner, part)))

    @rule(span=st.sampled_from(SPANS))
    def ask(self, span: Span) -> None:
        assert self.book.taken(span) == self.added_up(self.present(), span)

    @rule(asked=st.lists(owners, max_size=3))
    def ask_who(self, asked: list[RecordKey]) -> None:
        there = {d.claim for d in self.present() if d.state in self.states and d.claim.quantity}
        held = self.book.held(asked)
        assert len(held) == len(set(held))
        assert set(held) == {claim for claim in there if claim.id.owner in asked}

    # And what becomes of it --------------------------------------------------------------------

    @rule()
    def commit(self) -> None:
        after = self.book.sums_after()
        write = WriteSet(Hlc(1), claims=self.book.changed(), claims_gone=self.book.gone())
        self.store.commit(write)
        self.sums.adopt(after)
        self.records |= self.written
        self.open()

    @rule()
    def come_to_nothing(self) -> None:
        self.open()

    @rule()
    def start_anew(self) -> None:
        self.sums = Sums(self.kept)
        self.open()

    # What must be --------------------------------------------------------------------------------

    @invariant()
    def what_is_kept_is_what_is_committed(self) -> None:
        assert len(self.sums) <= self.kept
        for span in self.sums.among(SESSIONS):
            assert self.sums.get(span) == self.added_up(self.store.every_claim(), span)

    def present(self) -> list[DecidedClaim]:
        """The rows as the commit would leave them."""
        rows = {d.claim.id: d for d in self.store.every_claim()}
        rows |= {d.claim.id: d for d in self.book.changed()}
        return [d for id, d in rows.items() if id not in self.book.gone()]

    def added_up(self, rows: list[DecidedClaim], span: Span) -> int:
        largest = dict.fromkeys(OWNERS, 0)
        for claim in (d.claim for d in rows if d.state in self.states):
            there = claim.start_ms < span.until_ms and span.start_ms < claim.until_ms
            if claim.resource == span.resource and there:
                largest[claim.id.owner] = max(largest[claim.id.owner], claim.quantity)
        return sum(largest.values())


TestCommits = Commits.TestCase
TestCommits.settings = settings(
    max_examples=max(50, settings.default.max_examples // 5), stateful_step_count=40
)


def test_no_more_sums_are_kept_than_there_is_room_for_and_the_least_used_go_first() -> None:
    sums = Sums(2)
    first, second, third = (Span(s, 0, 1) for s in SESSIONS)
    sums.keep(first, 1)
    sums.keep(second, 2)
    assert sums.get(first) == 1
    sums.keep(third, 3)
    assert [sums.get(span) for span in (first, second, third)] == [1, None, 3]
    sums.adopt({second: 9, third: 4})
    assert [sums.get(span) for span in (first, second, third)] == [1, None, 4]
    assert RESOURCES_MAX == 10_000
