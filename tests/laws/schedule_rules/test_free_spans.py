"""What is shown as free is free, and nothing else is: against trying every time, one by one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Collection, Group, Origin, RecordId, RecordKey, Tenant
from konkordat.schedule.alternatives import Asking
from konkordat.schedule.free import free_spans
from konkordat.schedule.rulebook import Rulebook
from konkordat.schedule.rules import Site
from konkordat.schedule.slots import Candidate, Place
from konkordat.schedule.times import MINUTE_MS, Interval, local_text, to_local, to_utc_ms, zone

TENANT = Tenant("acme")
ROOM = "0197464f-3b1c-7c07-8d1e-2f6a0b9c4d11"
NAME = f"room/{ROOM}"
KEY = RecordKey(TENANT, Collection("sessions"), RecordId(""))
ZURICH: Any = zone("Europe/Zurich")
STEP = 10  # minutes between the times that are tried
STEPS = 24  # of the window: four hours
STARTS = ("2027-06-01T22:00", "2027-03-28T00:00", "2027-10-31T00:00")  # two of them change clocks

minutes = st.integers(0, 3).map(lambda n: n * STEP)
EVENING = b'[{"weekdays":["sun","tue"],"opens":"23:00","closes":"00:30"}]'
# They meet at a wall time that one of the days does not have, and another has twice.
NIGHT = (
    b'[{"weekdays":["sun"],"opens":"01:00","closes":"02:30"},'
    b'{"weekdays":["sun","mon","tue","wed"],"opens":"02:30","closes":"05:00"}]'
)
hours = st.sampled_from([b"null", EVENING, NIGHT])


@st.composite
def situations(draw: st.DrawFn) -> tuple[Asking, Interval]:
    """A room with rules of its own, what is booked there, and when somebody looks."""
    start = to_utc_ms(draw(st.sampled_from(STARTS)), ZURICH.key)
    assert isinstance(start, int)
    window = Interval(start, start + STEPS * STEP * MINUTE_MS)
    room = {
        "max_concurrent": str(draw(st.integers(1, 3))).encode(),
        "setup_minutes": str(draw(minutes)).encode(),
        "teardown_minutes": str(draw(minutes)).encode(),
        "bookable_hours": draw(hours),
    }
    held = draw(st.lists(st.tuples(st.integers(-6, STEPS + 6), st.integers(1, 8)), max_size=8))
    claims = [_claim(n, start, at, long) for n, (at, long) in enumerate(held)]

    def look_up(collection: Collection, id: object) -> dict[Group, bytes] | None:
        return {Group(k): v for k, v in room.items()} if id == ROOM else None

    def holders(_: Resource, start_ms: int, until_ms: int) -> list[Claim]:
        return [c for c in claims if c.start_ms < until_ms and start_ms < c.until_ms]

    book = Rulebook(TENANT, look_up, start)
    return Asking(book, holders, KEY, None), window


def _claim(number: int, base: int, at: int, long: int) -> Claim:
    owner = RecordKey(TENANT, Collection("sessions"), RecordId(f"s{number}"))
    start = base + at * STEP * MINUTE_MS
    until = start + long * STEP * MINUTE_MS
    stamp = Stamp(Hlc(number + 1), Origin("a.1"))
    return Claim(ClaimId(owner, "slot"), Resource(TENANT, NAME), start, until, 1, stamp)


def _fits(asking: Asking, interval: Interval) -> bool:
    """As a booking is held against the rules."""
    local = to_local(interval.start_ms, ZURICH)
    long = (interval.until_ms - interval.start_ms) // MINUTE_MS
    wish = Candidate(Place(NAME, interval), local_text(local), ZURICH.key, long, local.fold)
    there = asking.book.buffered(wish)
    return asking.may_have(there) and not asking.blocking(there)


@given(situations())
def test_a_session_fits_where_it_lies_in_a_free_span_and_nowhere_else(
    situation: tuple[Asking, Interval],
) -> None:
    asking, window = situation
    spans = [s.place.interval for s in free_spans(asking, Site(NAME, ZURICH), window)]
    assert all(a.until_ms < b.start_ms for a, b in pairwise(spans)), "in order, and not cut up"
    times = range(window.start_ms, window.until_ms + 1, STEP * MINUTE_MS)
    for start in times:
        for until in times:
            if start < until:
                inside = any(s.start_ms <= start and until <= s.until_ms for s in spans)
                assert inside == _fits(asking, Interval(start, until)), (start, until, spans)
