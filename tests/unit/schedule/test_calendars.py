from __future__ import annotations

import pytest
from icalendar import Calendar
from msgspec import structs

from konkordat.schedule.interchange.icalendar_writer import uid_of, write_icalendar
from konkordat.schedule.interchange.programme import (
    Placement,
    Programme,
    ProgrammeSession,
    ProgrammeSpeaker,
)
from konkordat.schedule.interchange.read import read_programme
from support.frab import event, found, only, read


def calendar(*lines: str, head: str = "X-WR-CALNAME:Forum 2027") -> Programme:
    text = "\r\n".join(
        ["BEGIN:VCALENDAR", "VERSION:2.0", head, "BEGIN:VEVENT", *lines, "END:VEVENT"]
    )
    return read_programme(f"{text}\r\nEND:VCALENDAR\r\n".encode(), "forum.ics")


BASICS = ("UID:1@forum", "SUMMARY:Netze", "LOCATION:Aula")
ZURICH = ("DTSTART;TZID=Europe/Zurich:20270601T090000", "DTEND;TZID=Europe/Zurich:20270601T094500")


def test_an_event_becomes_a_session() -> None:
    programme = calendar(*BASICS, *ZURICH, "CATEGORIES:Technik,Netz", "SEQUENCE:3")
    session = only(programme)
    assert (session.uid, session.title, session.track) == ("1@forum", "Netze", "Technik")
    assert session.placement == Placement("Aula", "2027-06-01T09:00", 45)
    assert (session.revision, session.state) == (3, "confirmed")
    assert (programme.event.time_zone, programme.event.slug) == ("Europe/Zurich", "forum-2027")


def test_a_calendar_without_a_zone_of_its_own_takes_that_of_most_events() -> None:
    programme = calendar(
        *BASICS, "DTSTART;TZID=Asia/Tokyo:20270601T090000", "DURATION:PT45M", head="X-A:b"
    )
    assert programme.event.time_zone == "Asia/Tokyo"
    assert only(programme).placement == Placement("Aula", "2027-06-01T09:00", 45)


@pytest.mark.parametrize(
    "times",
    [
        ("DTSTART;TZID=Europe/Zurich:20270328T023000", "DURATION:PT45M"),
        (
            "DTSTART;TZID=Europe/Zurich:20270328T103000",
            "DTEND;TZID=Europe/Zurich:20270328T093000",
        ),
    ],
    ids=["skipped by the clocks", "ends before it starts"],
)
def test_a_calendar_of_nothing_but_unfit_times_keeps_its_sessions(times: tuple[str, ...]) -> None:
    programme = calendar(*BASICS, *times)
    assert only(programme).placement is None
    assert (programme.event.start_date, programme.event.end_date) == ("2027-03-28", "2027-03-28")


def test_utc_is_shown_in_the_zone_of_the_calendar() -> None:
    programme = calendar(
        *BASICS,
        "DTSTART:20270601T070000Z",
        "DTEND:20270601T074500Z",
        head="X-WR-TIMEZONE:Europe/Zurich",
    )
    assert only(programme).placement == Placement("Aula", "2027-06-01T09:00", 45)


def test_a_night_session_over_the_change_of_clocks_has_its_true_length() -> None:
    programme = calendar(
        *BASICS,
        "DTSTART;TZID=Europe/Zurich:20270328T013000",
        "DTEND;TZID=Europe/Zurich:20270328T033000",
    )
    placement = only(programme).placement
    assert placement is not None
    assert placement.duration_minutes == 60


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("DTSTART;VALUE=DATE:20270601", "DTEND;VALUE=DATE:20270602"), "all_day"),
        (("DTSTART;TZID=Europe/Zurich:20270601T090000",), "bad_duration"),
        ((ZURICH[0], "DTEND;TZID=Europe/Zurich:20270601T080000"), "ends_before_start"),
        ((ZURICH[0], "DTEND;TZID=Europe/Zurich:20270601T090000"), "ends_before_start"),
        ((ZURICH[0], "DURATION:-PT5M"), "ends_before_start"),
        ((ZURICH[0], "DTEND:20270601T100000"), "bad_duration"),
        (
            (
                "DTSTART;TZID=Europe/Zurich:20270328T023000",
                "DTEND;TZID=Europe/Zurich:20270328T033000",
            ),
            "local_time_does_not_exist",
        ),
        (("DTEND;TZID=Europe/Zurich:20270601T080000",), "no_start"),
    ],
)
def test_what_has_no_time_is_kept_without_its_slot(lines: tuple[str, ...], code: str) -> None:
    other = "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:2@forum\r\nSUMMARY:B\r\nLOCATION:B\r\n"
    programme = calendar(*BASICS, *lines, other + "\r\n".join(ZURICH))
    assert (code, "1@forum") in found(programme)
    assert programme.sessions[0].placement is None
    assert programme.sessions[1].placement is not None


def test_a_series_is_its_first_occurrence_and_says_so() -> None:
    programme = calendar(*BASICS, *ZURICH, "RRULE:FREQ=WEEKLY;COUNT=5")
    assert found(programme) == [("recurrence_not_expanded", "1@forum")]
    assert only(programme).placement is not None


def test_seconds_are_dropped_and_reported() -> None:
    programme = calendar(
        *BASICS,
        "DTSTART;TZID=Europe/Zurich:20270601T090030",
        "DTEND;TZID=Europe/Zurich:20270601T094530",
    )
    assert found(programme) == [("seconds_dropped", "1@forum")]
    assert only(programme).placement == Placement("Aula", "2027-06-01T09:00", 45)


def test_a_cancelled_event_is_a_cancelled_session() -> None:
    assert only(calendar(*BASICS, *ZURICH, "STATUS:CANCELLED")).state == "cancelled"


def test_escapes_in_texts_are_undone_in_the_name_of_the_calendar_too() -> None:
    programme = calendar(
        "UID:1@forum",
        "SUMMARY:Netze\\, die\\; halten",
        "LOCATION:A",
        *ZURICH,
        head="X-WR-CALNAME:Forum\\, Bern",
    )
    assert (programme.event.title, only(programme).title) == ("Forum, Bern", "Netze, die; halten")


# Writing ---------------------------------------------------------------------------------------


def written(programme: Programme) -> list[dict[str, str]]:
    calendars = Calendar.from_ical(write_icalendar(programme))
    return [
        {key: str(component.get(key)) for key in component}
        for component in calendars.walk("VEVENT")
    ]


@pytest.mark.row("S0-40")
def test_a_session_keeps_its_uid_and_its_sequence_grows() -> None:
    before = read(event())
    session = structs.replace(
        only(before),
        revision=4,
        placement=Placement("Aula", "2027-06-01T11:00", 45),
    )
    after = structs.replace(before, sessions=(session,))
    (old,), (new,) = written(before), written(after)
    assert old["UID"] == new["UID"] == "1@forum-2027"
    assert (old["SEQUENCE"], new["SEQUENCE"]) == ("0", "4")


@pytest.mark.row("S0-40")
def test_a_cancelled_session_stays_in_the_calendar_as_cancelled() -> None:
    programme = read(event())
    session = structs.replace(only(programme), state="cancelled")
    (component,) = written(structs.replace(programme, sessions=(session,)))
    assert component["STATUS"] == "CANCELLED"


def test_a_session_without_place_and_time_is_in_no_calendar() -> None:
    assert written(read(event(), event("2", duration="00:00")))[1:] == []


def test_the_uid_is_the_one_the_session_came_with() -> None:
    session = only(calendar(*BASICS, *ZURICH))
    assert uid_of(session, "other") == "1@forum"


def test_the_same_programme_is_the_same_bytes() -> None:
    programme = read(event())
    assert write_icalendar(programme) == write_icalendar(programme)
    assert b"DTSTAMP:19700101T000000Z" in write_icalendar(programme)
    assert b"DTSTAMP:20270101T000000Z" in write_icalendar(programme, 1798761600000)


def test_a_speaker_keeps_id_and_name_whatever_the_id_ends_with() -> None:
    """A backslash before the colon was taken for an escape: the name began with the colon."""
    speakers = (ProgrammeSpeaker("a\\", "Ada"), ProgrammeSpeaker("100%5C", "Beat"))
    session = ProgrammeSession(
        external_id="1",
        title="Netze",
        speakers=("a\\", "100%5C"),
        placement=Placement("Aula", "2027-06-01T09:00", 30),
    )
    programme = structs.replace(read(event()), speakers=speakers, sessions=(session,))
    again = read_programme(write_icalendar(programme), "forum.ics")
    assert [(s.external_id, s.name) for s in again.speakers] == [("a\\", "Ada"), ("100%5C", "Beat")]
