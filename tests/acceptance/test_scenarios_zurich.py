"""A conference in Zurich: a second booking is refused live, and another node sees the first one at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from konkordat.client import Conflict
from support.town import Town, Witness, slot, state_of, town

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("zurich"), "zurich", "geneva", "basel") as nodes:
        yield nodes


@pytest.fixture(scope="module")
def event(place: Town) -> str:
    event = place.event("zurich", "summit")
    place.share()
    return event


@pytest.mark.row("S0-43")
@pytest.mark.row("S0-8")
@pytest.mark.parametrize("elsewhere", ["zurich", "geneva", "basel"])
def test_a_second_booking_is_refused_live_wherever_it_is_made(
    elsewhere: str, place: Town, event: str
) -> None:
    _, (hall, _) = place.venue("zurich", rooms=2)
    body = {"event": event, "title": {"en": "First"}, "slot": slot(hall, 1, "10:00")}
    with Witness(place, elsewhere) as witness:
        began = time.monotonic()
        first = place.at["zurich"].create("sessions", body)
        seen_at = witness.sees(first["id"], lambda record: record["slot"]["room"] == hall)
    print(f"seen at {elsewhere} after {(seen_at - began) * 1000:.1f} ms")
    with pytest.raises(Conflict) as refused:
        place.at[elsewhere].create("sessions", body | {"title": {"en": "Second"}})
    assert refused.value.code == "slot_taken"
    assert [conflict["id"] for conflict in refused.value.conflicts] == [first["id"]]
    assert any(free["local_start"] != "2027-06-01T10:00" for free in refused.value.alternatives)
    told = place.settled([first["id"]])
    assert {state_of(records[first["id"]]) for records in told.values()} == {"confirmed"}


@pytest.mark.row("S0-43")
@pytest.mark.row("S0-9")
def test_two_who_could_not_know_of_each_other_are_decided_alike_everywhere(
    place: Town, event: str
) -> None:
    _, (hall, _) = place.venue("zurich", rooms=2)
    place.share()
    place.cut("geneva")
    body = {"event": event, "title": {"en": "Twice"}, "slot": slot(hall, 2, "10:00")}
    here = place.at["zurich"].create("sessions", body)["id"]
    there = place.at["geneva"].create("sessions", body)["id"]
    told = place.settled([here], names=["zurich", "basel"])
    assert {state_of(records[here]) for records in told.values()} == {"confirmed"}
    assert state_of(place.at["geneva"].get("sessions", there)) == "tentative"
    place.mend("geneva")
    for name, records in place.settled([here, there]).items():
        assert state_of(records[here]) == "confirmed", name
        assert state_of(records[there]) == "displaced", name
        assert [c["id"] for c in records[there]["slot"]["reason"]["claims"]] == [here]
