"""What others need is not deleted, and says so when it moves under them (row S0-8).

Bug of others: the event moved and the room booking stayed (indico #4068).
"""

from __future__ import annotations

from typing import Any

import pytest

from unit.schedule_rules.seated import Seated, seated_forum
from unit.schedule_rules.world import create, delete, patch, slot, talk, uid

pytestmark = pytest.mark.row("S0-8")


@pytest.fixture
def seated() -> Seated:
    return seated_forum()


def series() -> Any:
    at, titled = slot("09:00"), {"title": {"de": "Frühstück"}}
    rule = "FREQ=DAILY;COUNT=2"
    return create("series", "s", event=uid("forum"), rule=rule, slot=at, session=titled)


def test_an_event_with_sessions_is_not_deleted(seated: Seated) -> None:
    seated.carry_out(talk("a", slot("09:00")), talk("b"))
    refusal = seated.refused(delete("events", "forum"))
    assert refusal.code == "in_use"
    assert refusal.extra["sessions"] == 2


def test_an_event_goes_with_its_sessions_in_one_transaction_or_after_them(seated: Seated) -> None:
    seated.carry_out(talk("a", slot("09:00")), talk("b"))
    seated.carry_out(delete("sessions", "a"))
    seated.carry_out(delete("sessions", "b"), delete("events", "forum"))


def test_a_session_is_not_made_while_its_event_is_deleted(seated: Seated) -> None:
    refusal = seated.refused(delete("events", "forum"), talk("a"))
    assert refusal.code in {"in_use", "unknown_reference"}


def test_an_event_with_a_series_is_deleted_after_that(seated: Seated) -> None:
    seated.carry_out(series())
    assert seated.refused(delete("events", "forum")).code == "in_use"
    seated.carry_out(delete("series", "s"))
    seated.carry_out(delete("events", "forum"))


def test_a_venue_with_rooms_is_not_deleted(seated: Seated) -> None:
    assert seated.refused(delete("venues", "kkl")).extra["rooms"] == 2
    seated.carry_out(delete("rooms", "hall"), delete("rooms", "attic"))
    assert seated.refused(delete("venues", "kkl")).extra["booths"] == 1
    seated.carry_out(delete("booths", "stand"), delete("venues", "kkl"))


def test_an_event_that_moves_says_that_its_sessions_stay(seated: Seated) -> None:
    seated.carry_out(talk("a", slot("09:00")))
    notes = seated.carry_out(patch("events", "forum", start_date="2027-06-02")).notes
    assert [(w.code, w.pointer) for w in notes.warnings] == [("sessions_stay", "/start_date")]
    assert seated.told("a") == {"slot": "confirmed"}  # nobody moves a booking unasked


def test_an_event_without_sessions_moves_without_a_word(seated: Seated) -> None:
    assert not seated.carry_out(patch("events", "forum", start_date="2027-06-02")).notes.warnings
