"""A commit that decides only what hangs together with its changes ends where deciding everything would end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel.claim import Claim, ClaimId, DecidedClaim, Resource, decide
from konkordat.kernel.hlc import Stamp, hlc_at
from konkordat.kernel.ids import Origin, RecordKey, Tenant, record_key
from konkordat.kernel.record import Record
from konkordat.replica.claims import ClaimBook
from konkordat.store.port import Span
from support.effort import share

pytestmark = pytest.mark.row("S0-9")

ROOMS = tuple(Resource(Tenant("acme"), f"room/{name}") for name in ("hall", "attic"))
ORIGIN = Origin("bern.1")
Held = dict[ClaimId, DecidedClaim]


class Shelf:
    """A store's claims, as far as a ClaimBook asks."""

    def __init__(self) -> None:
        self.claims: Held = {}

    def claims_on(self, spans: Sequence[Span]) -> list[DecidedClaim]:
        return [
            d
            for d in self.claims.values()
            if any(
                d.claim.resource == s.resource
                and d.claim.start_ms < s.until_ms
                and s.start_ms < d.claim.until_ms
                for s in spans
            )
        ]

    def claims_of(self, owners: Iterable[RecordKey]) -> dict[RecordKey, list[DecidedClaim]]:
        wanted = set(owners)
        found: dict[RecordKey, list[DecidedClaim]] = {}
        for d in self.claims.values():
            if d.claim.id.owner in wanted:
                found.setdefault(d.claim.id.owner, []).append(d)
        return found


class Halls:
    """A domain in which a record's actor says what it claims, and every room hosts as many as `capacities` says."""

    def __init__(self, wishes: Mapping[str, tuple[Claim, ...]], capacities: list[int]) -> None:
        self.wishes = wishes
        self.capacities = capacities

    def claims(self, record: Record) -> Sequence[Claim]:
        return self.wishes[record.actor]

    def capacity_owner(self, resource: Resource) -> RecordKey:
        return record_key("acme", "rooms", resource.name)

    def capacity(self, owner: Record | None) -> int:
        assert owner is not None
        return self.capacities[owner.life]


def of_record(key: RecordKey, name: str) -> Record:
    at = Stamp(hlc_at(1), ORIGIN)
    return Record(key, 1, {}, at, at, name)


@st.composite
def stories(draw: st.DrawFn) -> list[list[tuple[int, tuple[Claim, ...]]]]:
    """Commits, each some records' new claims: (number of the record, claims)."""
    clock = draw(st.permutations(range(1, 41)))
    story = []
    for _ in range(draw(st.integers(1, 5))):
        commit = []
        for number in draw(st.lists(st.integers(0, 6), max_size=4)):
            key = record_key("acme", "sessions", f"s{number}")
            wish = []
            for part in draw(st.sets(st.sampled_from(["slot", "second"]))):
                start = draw(st.integers(0, 25))
                until = start + draw(st.integers(1, 5))
                stamp = Stamp(hlc_at(clock.pop() if clock else 99), ORIGIN)
                room = draw(st.sampled_from(ROOMS))
                quantity = draw(st.integers(0, 2))
                wish.append(Claim(ClaimId(key, part), room, start, until, quantity, stamp))
            commit.append((number, tuple(wish)))
        story.append(commit)
    return story


def play(shelf: Shelf, story: list[list[tuple[int, tuple[Claim, ...]]]], capacity: int) -> None:
    """Carry out the commits, each through a book of its own."""
    wishes: dict[str, tuple[Claim, ...]] = {"": ()}
    domain: Any = Halls(wishes, [capacity])
    records: dict[int, Record] = {}
    hall = {
        domain.capacity_owner(room): Record(
            domain.capacity_owner(room), 0, {}, Stamp(hlc_at(1), ORIGIN), Stamp(hlc_at(1), ORIGIN)
        )
        for room in ROOMS
    }
    store: Any = shelf
    for commit in story:
        book = ClaimBook(store, domain)
        for number, wish in commit:
            name = f"w{len(wishes)}"
            wishes[name] = wish
            new = of_record(record_key("acme", "sessions", f"s{number}"), name)
            book.record_changed(records.get(number), new)
            records[number] = new
            book.settle(hall)
        for id_ in book.gone():
            shelf.claims.pop(id_, None)
        shelf.claims |= {d.claim.id: d for d in book.changed()}


def decided_anew(shelf: Shelf, capacity: int) -> Held:
    claims = [d.claim for d in shelf.claims.values()]
    result: Held = {}
    for room in ROOMS:
        result |= decide((c for c in claims if c.resource == room), capacity)
    return result


@share(0.1)
@given(stories(), st.integers(1, 3))
def test_commits_leave_what_deciding_everything_gives(
    story: list[list[tuple[int, tuple[Claim, ...]]]], capacity: int
) -> None:
    shelf = Shelf()
    play(shelf, story, capacity)
    assert shelf.claims == decided_anew(shelf, capacity)


@share(0.1)
@given(stories(), st.integers(1, 3))
def test_only_the_last_wishes_of_records_are_left(
    story: list[list[tuple[int, tuple[Claim, ...]]]], capacity: int
) -> None:
    shelf = Shelf()
    play(shelf, story, capacity)
    last = {number: wish for commit in story for number, wish in commit}
    assert {d.claim for d in shelf.claims.values()} == {c for wish in last.values() for c in wish}


@share(0.1)
@given(stories(), st.integers(1, 3), st.integers(1, 3))
def test_a_change_of_capacity_decides_the_whole_place_anew(
    story: list[list[tuple[int, tuple[Claim, ...]]]], before: int, after: int
) -> None:
    shelf = Shelf()
    play(shelf, story, before)
    domain: Any = Halls({"": ()}, [after])
    store: Any = shelf
    book = ClaimBook(store, domain)
    for room in ROOMS:
        book.capacity_changed(room)
    at = Stamp(hlc_at(1), ORIGIN)
    owners = [domain.capacity_owner(room) for room in ROOMS]
    book.settle({owner: Record(owner, 0, {}, at, at) for owner in owners})
    shelf.claims |= {d.claim.id: d for d in book.changed()}
    assert shelf.claims == decided_anew(shelf, after)
