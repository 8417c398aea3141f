"""Claims are found by the time they take and by the record that makes them."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from konkordat.kernel.claim import ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Tenant
from konkordat.store.port import Span, Store, WriteSet
from konkordat.store.sqlite.claims import REACHES_MS
from konkordat.store.sqlite.statements import sql
from support.stores import START_MS, Kind, Scribe, Sqlite, claim, key, put

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def span(start_ms: int, until_ms: int, resource: str = "room/1", tenant: str = "acme") -> Span:
    return Span(Resource(Tenant(tenant), resource), start_ms, until_ms)


def found(store: Store, *spans: Span) -> list[str]:
    claims = store.claims_on(spans)
    assert len(claims) == len({c.claim.id for c in claims}), "each once"
    return sorted(c.claim.id.owner.id for c in claims)


@pytest.fixture
def booked(store: Store, scribe: Scribe) -> Store:
    """Room 1 from 100 to 200 by a, from 200 to 300 by b; room 2 from 100 to 200 by c."""
    claims = [
        claim(key("a"), 100, 200),
        claim(key("b"), 200, 300),
        claim(key("c"), 100, 200, "room/2"),
    ]
    scribe.commit(store, put("a"), put("b"), put("c"), claims=claims)
    return store


@pytest.mark.parametrize(
    ("start_ms", "until_ms", "owners"),
    [
        (0, 100, []),
        (0, 101, ["a"]),
        (99, 100, []),
        (100, 101, ["a"]),
        (199, 200, ["a"]),
        (200, 201, ["b"]),
        (199, 201, ["a", "b"]),
        (150, 160, ["a"]),
        (0, 1000, ["a", "b"]),
        (299, 300, ["b"]),
        (300, 400, []),
        (200, 300, ["b"]),
    ],
)
def test_intervals_are_half_open(
    booked: Store, start_ms: int, until_ms: int, owners: list[str]
) -> None:
    assert found(booked, span(start_ms, until_ms)) == owners


def test_several_spans_are_asked_at_once_and_each_claim_comes_once(booked: Store) -> None:
    spans = [span(0, 150), span(150, 250), span(0, 150, "room/2"), span(0, 150, "room/3")]
    assert found(booked, *spans) == ["a", "b", "c"]
    assert found(booked, *[span(n, n + 1) for n in range(0, 400, 10)]) == ["a", "b"]
    assert booked.claims_on([]) == []


def test_another_tenants_room_of_the_same_name_is_another_room(booked: Store) -> None:
    assert found(booked, span(0, 1000, tenant="other")) == []


def test_the_widest_span_finds_everything(booked: Store) -> None:
    assert found(booked, span(-(1 << 62), 1 << 62)) == ["a", "b"]


def test_claims_come_back_as_they_were(store: Store, scribe: Scribe) -> None:
    rivals = [claim(key(f"r{n}"), 0, 1).claim.id for n in range(16)]
    made = [
        claim(key("a"), 1, 2, state=ClaimState.DISPLACED, against=rivals, quantity=7),
        claim(key("a"), 1, 2, part="equipment", origin="basel.9", state=ClaimState.TENTATIVE),
        claim(key("a"), 1, 2, "seat's/ä", tenant="other", part="🎪", quantity=0),
    ]
    scribe.commit(store, put("a"), claims=made)
    (of_a,) = store.claims_of([key("a"), key("nobody"), key("a", "rooms")]).values()
    assert sorted(of_a, key=repr) == sorted(made, key=repr)
    assert store.claims_on([span(1, 2, "seat's/ä", "other")]) == [made[2]]


def test_a_claim_is_replaced_by_one_of_the_same_id(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, put("a"), claims=[claim(key("a"), 0, 10)])
    moved = claim(key("a"), 5 * HOUR, 9 * DAY, "room/2", state=ClaimState.DISPLACED)
    store.commit(WriteSet(scribe.hlc, claims=[moved]))
    assert found(store, span(0, 10)) == []
    assert store.claims_on([span(DAY, DAY + 1, "room/2")]) == [moved]
    assert store.claims_of([key("a")]) == {key("a"): [moved]}


def test_a_claim_that_is_gone_is_found_no_more(kind: Kind, booked: Store) -> None:
    booked.commit(WriteSet(Hlc(1), claims_gone=[claim(key("a"), 0, 0).claim.id]))
    assert found(booked, span(0, 1000)) == ["b"]
    assert booked.claims_of([key("a"), key("b")]).keys() == {key("b")}
    nobody = claim(key("z", "halls"), 0, 0).claim.id
    booked.commit(WriteSet(Hlc(1), claims_gone=[nobody]))
    again = kind.reopen(booked)
    assert found(again, span(0, 1000)) == ["b"]
    again.close()


def test_short_and_long_claims_are_found_alike(store: Store, scribe: Scribe) -> None:
    lengths = [1, MINUTE, *(r + d for r in REACHES_MS[:-1] for d in (-1, 0, 1)), 400 * DAY]
    claims = [claim(key(f"r{n:02}"), START_MS, START_MS + size) for n, size in enumerate(lengths)]
    scribe.commit(store, *[put(c.claim.id.owner.id) for c in claims], claims=claims)
    for size in lengths:
        until = START_MS + size
        reaching = sorted(c.claim.id.owner.id for c in claims if c.claim.until_ms >= until)
        assert found(store, span(until - 1, until)) == reaching
    assert found(store, span(START_MS - 1, START_MS)) == []


IN_THE_WAY = (ClaimState.CONFIRMED, ClaimState.TENTATIVE)


def test_what_is_taken_counts_the_states_asked_for(store: Store, scribe: Scribe) -> None:
    states = [*ClaimState]
    claims = [
        claim(key(state), 0, 1, state=state, quantity=10**n) for n, state in enumerate(states)
    ]
    scribe.commit(store, *[put(state) for state in states], claims=claims)
    for n, state in enumerate(states):
        assert store.taken(span(0, 1), [state]) == 10**n
    assert store.taken(span(0, 1), IN_THE_WAY) == 11
    assert store.taken(span(0, 1), states) == 11_111


def test_what_is_taken_counts_what_overlaps_the_time_on_the_resource(booked: Store) -> None:
    assert booked.taken(span(99, 100), IN_THE_WAY) == 0
    assert booked.taken(span(199, 200), IN_THE_WAY) == 1
    assert booked.taken(span(199, 201), IN_THE_WAY) == 2
    assert booked.taken(span(0, 1000, "room/3"), IN_THE_WAY) == 0
    assert booked.taken(span(0, 1000, tenant="other"), IN_THE_WAY) == 0
    assert booked.taken(span(-(1 << 62), 1 << 62), IN_THE_WAY) == 2


def test_of_each_record_the_largest_quantity_is_taken(store: Store, scribe: Scribe) -> None:
    """Who moves holds the old place and wants a new one: only one of them will be."""
    claims = [
        claim(key("a"), 0, 1, quantity=2, state=ClaimState.TENTATIVE),
        claim(key("a"), 0, 1, quantity=5, part="slot@held"),
        claim(key("b"), 0, 1, quantity=3),
        claim(key("a", "holds"), 0, 1, quantity=4),
        claim(key("c"), 0, 1, quantity=0),
    ]
    scribe.commit(store, put("a"), put("b"), put("c"), put("a", "holds"), claims=claims)
    assert store.taken(span(0, 1), IN_THE_WAY) == 5 + 3 + 4


def test_what_is_taken_follows_the_claims(kind: Kind, booked: Store) -> None:
    moved = claim(key("a"), 100, 200, "room/2", quantity=3)
    booked.commit(WriteSet(Hlc(1), claims=[moved], claims_gone=[claim(key("b"), 0, 0).claim.id]))
    again = kind.reopen(booked)
    assert again.taken(span(0, 1000), IN_THE_WAY) == 0
    reader = again.reader()
    assert reader.taken(span(0, 1000, "room/2"), IN_THE_WAY) == 4
    reader.close()
    again.close()


times = st.integers(0, 40).map(lambda n: n * 7 * MINUTE) | st.integers(0, 3 * DAY)


@settings(max_examples=max(50, settings.default.max_examples // 20))  # each opens a store
@given(
    st.lists(st.tuples(times, times, st.sampled_from("12")), max_size=12),
    st.lists(st.tuples(times, times, st.sampled_from("12")), min_size=1, max_size=4),
)
def test_any_claims_are_found_by_any_spans_as_the_words_say(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[int, int, str]],
    asked: list[tuple[int, int, str]],
) -> None:
    store = Sqlite(tmp_path_factory.mktemp("claims")).open()
    claims: list[DecidedClaim] = []
    for n, (a, b, room) in enumerate(made):
        claims.append(claim(key(f"r{n:02}"), min(a, b), max(a, b) + 1, f"room/{room}"))
    if claims:
        scribe = Scribe(store)
        scribe.commit(store, *[put(c.claim.id.owner.id) for c in claims], claims=claims)
    spans = [span(min(a, b), max(a, b) + 1, f"room/{room}") for a, b, room in asked]
    expected = sorted(
        c.claim.id.owner.id
        for c in claims
        if any(
            c.claim.resource == s.resource
            and c.claim.start_ms < s.until_ms
            and s.start_ms < c.claim.until_ms
            for s in spans
        )
    )
    assert found(store, *spans) == expected
    store.close()


def test_the_classes_in_the_query_are_those_of_the_rows() -> None:
    classes = ", ".join(
        f"({n}, 1 << {longest.bit_length() - 1})" for n, longest in enumerate(REACHES_MS)
    )
    assert f"VALUES {classes}" in sql("claims_on")
    assert f"VALUES {classes}" in sql("taken")
    assert all(b == 1 << (b.bit_length() - 1) for b in REACHES_MS)
    assert all(a < b for a, b in combinations(REACHES_MS, 2))


def test_every_claim_comes_with_its_state_and_its_end(store: Store, scribe: Scribe) -> None:
    names = [key(name) for name in ("asks", "done", "hold", "lost")]
    asks, done, hold, lost = (claim(owner, 100, 200) for owner in names)
    claims = [
        DecidedClaim(asks.claim, ClaimState.TENTATIVE),
        done,
        DecidedClaim(hold.claim, ClaimState.CONFIRMED, expires_ms=5_000),
        DecidedClaim(lost.claim, ClaimState.DISPLACED, (done.claim.id,)),
    ]
    scribe.commit(store, *(put(owner.id) for owner in names), claims=claims)
    assert store.every_claim() == claims
