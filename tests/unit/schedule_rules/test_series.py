"""A series is booked in one transaction: all of it, or what fits; 09:00 stays 09:00 (row S0-8).

Bugs of others: a recurring link skips the check (cal.com #22803); only the first occurrence is cancelled downstream
(cal.com #5273); a weekly series drifts at the DST change (cal.com #1092, #4702, #10517, #12137).
"""

from __future__ import annotations

from typing import Any

import pytest

from konkordat.schedule import places
from konkordat.schedule.series import session_id
from unit.schedule_rules.seated import Seated
from unit.schedule_rules.world import (
    World,
    but,
    create,
    delete,
    forum,
    patch,
    slot,
    talk,
    uid,
)

pytestmark = pytest.mark.row("S0-8")

AUTUMN = create(
    "events", "term", slug="term", name={"de": "Semester"}, time_zone="Europe/Zurich",
    start_date="2027-03-01", end_date="2027-12-31",
)  # fmt: skip
WEEKLY = "FREQ=WEEKLY;BYDAY=TU;COUNT=4"
HOURS_MS = 3_600_000


@pytest.fixture
def world() -> World:
    world = forum()
    world.carry_out(AUTUMN)
    return world


@pytest.fixture
def seated() -> Seated:
    from unit.schedule_rules.world import FORUM

    seated = Seated()
    seated.carry_out(*FORUM, AUTUMN)
    return seated


def series(name: str, start: str = "2027-10-19T09:00", rule: str = WEEKLY, /, **more: Any) -> Any:
    fields = {"title": {"de": name}, "speakers": [uid("anna")]}
    at = more.pop("slot", None) or slot(start)
    return create("series", name, event=uid("term"), slot=at, rule=rule, session=fields, **more)


def lesson(start: str, **more: Any) -> Any:
    return talk("Gast", slot(start), event=uid("term"), **more)


def starts(world: World, name: str) -> list[str]:
    """Wall times of the series' sessions, in order."""
    found = [
        (record, world.domain.claims(record))
        for record in world.records.values()
        if record.key.collection == "sessions" and record.alive
    ]
    own = [r for r, _ in found if value(r, "series") == uid(name)]
    return sorted(value(record, "slot")["local_start"] for record in own)


def value(record: Any, group: str) -> Any:
    from konkordat.kernel import canonical
    from konkordat.kernel.ids import Group

    register = record.fields.get(Group(group))
    return None if register is None else canonical.decode(register.value)


def test_a_series_becomes_a_session_for_each_occurrence(world: World) -> None:
    notes = world.carry_out(series("Werkstatt"))
    (note,) = notes.series
    times = ["2027-10-19T09:00", "2027-10-26T09:00", "2027-11-02T09:00", "2027-11-09T09:00"]
    assert [one.recurrence_id for one in note.occurrences] == times
    assert starts(world, "Werkstatt") == times
    for one in note.occurrences:
        session = world.records[
            world.get("series", "Werkstatt").key._replace(
                collection="sessions",
                id=one.session,  # type: ignore[arg-type]
            )
        ]
        assert value(session, "recurrence_id") == one.recurrence_id
        assert value(session, "title.de") == "Werkstatt"
        assert value(session, "speakers") == [uid("anna")]


def test_a_weekly_series_does_not_drift_when_the_clocks_change(world: World) -> None:
    world.carry_out(series("Werkstatt"))  # clocks go back on 31 October 2027
    claims = [
        claim
        for record in world.records.values()
        if record.key.collection == "sessions"
        for claim in world.domain.claims(record)
        if claim.quantity
    ]
    of_day = sorted((c.start_ms // (24 * HOURS_MS), c.start_ms // HOURS_MS % 24) for c in claims)
    assert [hour for _, hour in of_day] == [7, 7, 8, 8]  # UTC, of 09:00 in Zurich


def test_a_time_that_the_clocks_skip_is_refused_naming_the_occurrence_and_what_exists(
    world: World,
) -> None:
    nights = series("Nacht", "2027-03-21T02:30", "FREQ=WEEKLY;COUNT=3")
    refusal = world.refused(nights)
    assert refusal.code == "local_time_does_not_exist"
    assert refusal.extra["occurrence"] == "2027-03-28T02:30"
    assert refusal.extra["suggestions"] == ["2027-03-28T01:30", "2027-03-28T03:30"]
    (note,) = world.carry_out(but(nights, on_conflict="skip_occurrence")).series
    assert [one.recurrence_id for one in note.skipped] == ["2027-03-28T02:30"]


def test_a_series_of_which_one_does_not_fit_is_refused_as_a_whole(world: World) -> None:
    world.carry_out(lesson("2027-11-02T09:30"))
    before = dict(world.records)
    refusal = world.refused(series("Werkstatt"))
    assert (refusal.code, refusal.extra["occurrence"]) == ("slot_taken", "2027-11-02T09:00")
    assert world.records == before


def test_the_occurrences_that_do_not_fit_are_skipped_where_that_is_asked_for(world: World) -> None:
    world.carry_out(lesson("2027-11-02T09:30"))
    op = but(series("Werkstatt"), on_conflict="skip_occurrence")
    (note,) = world.carry_out(op).series
    (skipped,) = note.skipped
    assert (skipped.recurrence_id, skipped.code, skipped.in_the_way) == (
        "2027-11-02T09:00",
        "slot_taken",
        (uid("Gast"),),
    )
    assert len(note.occurrences) == len(starts(world, "Werkstatt")) == 3
    assert world.value("series", "Werkstatt", "exdates") == ["2027-11-02T09:00"]


def test_two_series_that_meet_in_one_place_are_checked_against_each_other(world: World) -> None:
    refusal = world.refused(series("a"), series("b", "2027-10-26T09:30", "FREQ=DAILY;COUNT=2"))
    assert (refusal.code, refusal.extra["occurrence"]) == ("slot_taken", "2027-10-26T09:30")


def test_a_series_that_overlaps_itself_names_no_session_that_is_not_there(world: World) -> None:
    """409 named the session of the first occurrence, which nobody could look up: nothing was written."""
    op = series("Dauer", "", "FREQ=DAILY;COUNT=3", slot=slot("2027-10-19T09:00", 1_500))
    refusal = world.refused(op)
    assert (refusal.code, refusal.extra["occurrence"]) == ("slot_taken", "2027-10-20T09:00")
    assert refusal.conflicts == ()
    assert "by another occurrence of the same request" in refusal.detail


def test_an_exception_that_is_no_time_of_the_rule_is_pointed_at(world: World) -> None:
    refusal = world.refused(series("Werkstatt", exdates=["2027-10-20T09:00"]))
    assert (refusal.code, refusal.pointer) == ("bad_recurrence", "/exdates")


def test_what_of_a_series_cannot_change_is_told_in_whole_words(world: World) -> None:
    world.carry_out(series("Werkstatt"))
    refusal = world.refused(patch("series", "Werkstatt", rule="FREQ=DAILY;COUNT=2"))
    assert refusal.detail == "The rule of a series cannot change. Make another series there."


def test_what_is_excepted_is_not_made_and_counts_all_the_same(world: World) -> None:
    world.carry_out(series("Werkstatt", exdates=["2027-10-26T09:00"]))
    assert starts(world, "Werkstatt") == [
        "2027-10-19T09:00", "2027-11-02T09:00", "2027-11-09T09:00",
    ]  # fmt: skip


def test_an_exception_made_later_takes_the_session_away_and_taken_back_brings_it_again(
    world: World,
) -> None:
    world.carry_out(series("Werkstatt"))
    world.carry_out(patch("series", "Werkstatt", exdates=["2027-10-26T09:00"]))
    assert "2027-10-26T09:00" not in starts(world, "Werkstatt")
    world.carry_out(lesson("2027-10-26T09:00"))
    assert world.refused(patch("series", "Werkstatt", exdates=[])).code == "slot_taken"
    world.carry_out(delete("sessions", "Gast"))
    world.carry_out(patch("series", "Werkstatt", exdates=[]))
    assert "2027-10-26T09:00" in starts(world, "Werkstatt")


def test_deleting_a_series_deletes_every_session_and_not_only_the_first(world: World) -> None:
    world.carry_out(series("Werkstatt"))
    world.carry_out(delete("series", "Werkstatt"))
    assert starts(world, "Werkstatt") == []


def test_an_occurrence_is_moved_by_itself_and_stays_what_it_is(world: World) -> None:
    (note,) = world.carry_out(series("Werkstatt")).series
    second = note.occurrences[1].session
    op = patch("sessions", "x", slot=slot("2027-10-27T14:00"))
    world.carry_out(but(op, id=second))
    assert starts(world, "Werkstatt")[1] == "2027-10-27T14:00"
    world.carry_out(series("Werkstatt"))  # the same again
    assert starts(world, "Werkstatt")[1] == "2027-10-27T14:00"


def test_writing_the_same_series_again_changes_nothing(world: World) -> None:
    world.carry_out(series("Werkstatt"))
    before = dict(world.records)
    assert world.carry_out(series("Werkstatt")).effects == ("unchanged",)
    assert world.records == before


@pytest.mark.parametrize(
    "change",
    [{"rule": "FREQ=DAILY;COUNT=2"}, {"slot": {"local_start": "2027-10-20T09:00"}}],
)
def test_what_a_series_was_made_from_does_not_change(world: World, change: dict[str, Any]) -> None:
    world.carry_out(series("Werkstatt"))
    assert world.refused(patch("series", "Werkstatt", **change)).code == "fixed"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("FREQ=WEEKLY;COUNT=65", "too_many_occurrences"),
        ("FREQ=DAILY;UNTIL=20281231", "too_many_occurrences"),
        ("FREQ=WEEKLY", "bad_recurrence"),
        ("FREQ=WEEKLY;COUNT=3;UNTIL=20271231", "bad_recurrence"),
        ("FREQ=SECONDLY;COUNT=3", "bad_recurrence"),
        ("FREQ=WEEKLY;COUNT=0", "bad_recurrence"),
        ("FREQ=WEEKLY;COUNT=3;COUNT=4", "bad_recurrence"),
        ("FREQ=WEEKLY;COUNT=3;BYSETPOS=1", "bad_recurrence"),
        ("FREQ=WEEKLY;COUNT=3;BYDAY=1TU", "bad_recurrence"),
        ("FREQ=WEEKLY;COUNT=3;BYDAY=MO", "bad_recurrence"),  # the slot is on a Tuesday
        ("FREQ=YEARLY;COUNT=20", "bad_recurrence"),
        ("FREQ=WEEKLY;UNTIL=20270101", "bad_recurrence"),
        ("FREQ=WEEKLY;UNTIL=20271399", "bad_recurrence"),
        ("nonsense", "bad_recurrence"),
    ],
)
def test_a_rule_outside_the_subset_is_refused_with_a_code(
    world: World, rule: str, code: str
) -> None:
    refusal = world.refused(series("Werkstatt", "2027-10-19T09:00", rule))
    assert (refusal.code, refusal.pointer) == (code, "/rule")


@pytest.mark.parametrize(
    ("rule", "times"),
    [
        ("FREQ=DAILY;COUNT=3", ["10-19", "10-20", "10-21"]),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=3", ["10-19", "11-02", "11-16"]),
        ("FREQ=WEEKLY;BYDAY=TU,TH;COUNT=3", ["10-19", "10-21", "10-26"]),
        ("FREQ=MONTHLY;BYDAY=3TU;COUNT=2", ["10-19", "11-16"]),
        ("FREQ=WEEKLY;UNTIL=20271102", ["10-19", "10-26", "11-02"]),
        ("FREQ=WEEKLY;UNTIL=20271102T090000", ["10-19", "10-26", "11-02"]),
        ("FREQ=WEEKLY;UNTIL=20271102T075959Z", ["10-19", "10-26"]),
    ],
)
def test_rules_of_the_subset_say_what_rfc_5545_says(
    world: World, rule: str, times: list[str]
) -> None:
    world.carry_out(series("Werkstatt", "2027-10-19T09:00", rule))
    assert starts(world, "Werkstatt") == [f"2027-{time}T09:00" for time in times]


def test_alternatives_move_with_their_occurrence(world: World) -> None:
    other = {"room": uid("attic"), "local_start": "2027-10-19T10:00"}
    (note,) = world.carry_out(
        series("Werkstatt", slot=slot("2027-10-19T09:00", alternatives=[other]))
    ).series
    session = next(r for r in world.records.values() if r.key.id == note.occurrences[1].session)
    assert value(session, "slot")["alternatives"] == [
        {"room": uid("attic"), "local_start": "2027-10-26T10:00"}
    ]


def test_an_unknown_speaker_is_named_where_it_stands(world: World) -> None:
    op = create(
        "series", "x", event=uid("term"), slot=slot("2027-10-19T09:00"), rule=WEEKLY,
        session={"title": {"de": "x"}, "speakers": [uid("nobody")]},
    )  # fmt: skip
    refusal = world.refused(op)
    assert (refusal.code, refusal.pointer) == ("unknown_reference", "/session/speakers/0")


def test_the_id_of_an_occurrence_is_the_same_everywhere() -> None:
    assert session_id(uid("s"), "2027-10-19T09:00") == session_id(uid("s"), "2027-10-19T09:00")
    assert session_id(uid("s"), "2027-10-19T09:00") != session_id(uid("s"), "2027-10-26T09:00")
    assert session_id(uid("s"), "2027-10-19T09:00")[:13] == uid("s")[:13]


# Decided by a seat --------------------------------------------------------------------------------


def told(seated: Seated, name: str) -> list[str]:
    from konkordat.kernel.ids import RecordId

    times = ["2027-10-19T09:00", "2027-10-26T09:00", "2027-11-02T09:00", "2027-11-09T09:00"]
    keys = [seated.key("x")._replace(id=RecordId(session_id(uid(name), time))) for time in times]
    claims = seated.table["zurich"].store.claims_of(keys)
    return [
        str(decided.state)
        for key in keys
        for decided in claims.get(key, ())
        if decided.claim.quantity
    ]


def test_a_seat_grants_all_of_a_series_or_none_of_it(
    seated: Seated, monkeypatch: pytest.MonkeyPatch
) -> None:
    seated.carry_out(lesson("2027-11-02T09:30"))
    with monkeypatch.context() as blindly:
        blindly.setattr(places.Places, "holders", lambda *_: [])
        seated.carry_out(series("a"))
    assert told(seated, "a") == ["displaced"] * 4
    seated.carry_out(delete("series", "a"), delete("sessions", "Gast"))
    seated.carry_out(series("b"))
    assert told(seated, "b") == ["confirmed"] * 4


def test_a_seat_grants_what_fits_of_a_series_that_may_skip(
    seated: Seated, monkeypatch: pytest.MonkeyPatch
) -> None:
    seated.carry_out(lesson("2027-11-02T09:30"))
    monkeypatch.setattr(places.Places, "holders", lambda *_: [])
    seated.carry_out(but(series("a"), on_conflict="skip_occurrence"))
    assert told(seated, "a") == ["confirmed", "confirmed", "displaced", "confirmed"]
