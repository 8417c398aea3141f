"""What is wrong with one session does not stop the import: it is kept, and the finding says why."""

from __future__ import annotations

import pytest

from konkordat.schedule.interchange.programme import Placement
from konkordat.schedule.interchange.read import read_programme
from support.frab import event, found, only, read


def test_a_session_in_order_has_its_slot_and_no_finding() -> None:
    programme = read(event())
    assert only(programme).placement == Placement("Aula", "2027-06-01T09:00", 45)
    assert programme.findings == ()


@pytest.mark.parametrize("duration", ["00:00", "-00:30", "0:00"])
def test_a_session_that_ends_before_it_starts(duration: str) -> None:
    programme = read(event(duration=duration))
    assert found(programme) == [("ends_before_start", "1")]
    assert only(programme).placement is None


def test_a_session_without_a_room() -> None:
    data = b"""<schedule><day date='2027-06-01'><room name=''>
        <event id='7'><start>09:00</start><duration>00:45</duration><title>Netze</title></event>
        </room></day></schedule>"""
    programme = read_programme(data, "forum.xml")
    assert found(programme) == [("no_room", "7")]
    assert only(programme).placement is None
    assert only(programme).duration_minutes == 45


def test_a_local_time_that_does_not_exist_names_the_times_that_do() -> None:
    # At 02:30 the day has begun only if it begins before.
    programme = read(
        event(start="02:30"), date="2027-03-28", conference="<day_change>00:00</day_change>"
    )
    assert found(programme) == [("local_time_does_not_exist", "1")]
    detail = programme.findings[0].detail
    assert "2027-03-28T01:30" in detail
    assert "2027-03-28T03:30" in detail
    assert only(programme).placement is None


def test_such_a_time_is_found_with_the_offset_of_the_place_too() -> None:
    programme = read(event(more="<date>2027-03-28T02:30:00+01:00</date>"), date="2027-03-28")
    assert found(programme) == [("local_time_does_not_exist", "1")]


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (event(start=""), "no_start"),
        (event(start="25:00"), "bad_start"),
        (event(start="nine"), "bad_start"),
        (event(duration=""), "bad_duration"),
        (event(duration="an hour"), "bad_duration"),
        (event(duration="900:00"), "too_long"),
        (event(more="<date>2027-13-01T09:00:00</date>"), "bad_date"),
        (event(more="<date>soon</date>"), "bad_date"),
    ],
)
def test_times_that_cannot_be_read(part: str, code: str) -> None:
    programme = read(part, conference="<start>2027-06-01</start>")
    assert found(programme) == [(code, "1")]
    assert only(programme).placement is None


def test_a_day_without_a_date() -> None:
    programme = read(event(), date="someday", conference="<start>2027-06-01</start>")
    assert found(programme) == [("bad_date", "1")]


def test_two_sessions_with_one_id_are_both_kept() -> None:
    programme = read(event("5"), event("5", start="10:00", title="Zweite"))
    assert found(programme) == [("duplicate_id", "5#2")]
    assert [(s.external_id, s.placement is None) for s in programme.sessions] == [
        ("5", False),
        ("5#2", True),
    ]


def test_a_session_without_a_title_is_given_one() -> None:
    programme = read(event(title=" "))
    assert found(programme) == [("no_title", "1")]
    assert only(programme).title == "(untitled)"
    assert only(programme).placement is not None


def test_a_text_beyond_the_limit_is_cut_and_reported() -> None:
    programme = read(event(title="x" * 501))
    assert found(programme) == [("text_too_long", "1")]
    assert len(only(programme).title) == 500


def test_a_link_that_would_run_code_is_left_out_and_reported() -> None:
    links = "<links><link href='javascript:alert(1)'>x</link><link href='/a b'>y</link></links>"
    programme = read(event(more=links))
    assert found(programme) == [("bad_link", "1")]
    assert [link.url for link in only(programme).links] == ["/a%20b"]


def test_a_language_that_is_none_is_reported() -> None:
    programme = read(event(more="<language>Swiss German!</language>"))
    assert found(programme) == [("bad_language", "1")]
    assert only(read(event(more="<language>de_CH</language>"))).language == "de-CH"


def test_one_person_with_two_names_is_reported() -> None:
    person = "<persons><person id='3'>{}</person></persons>"
    programme = read(
        event("1", more=person.format("Anna Muster")),
        event("2", start="10:00", more=person.format("Anna Beispiel")),
    )
    assert found(programme) == [("speaker_name_differs", "2")]
    assert [speaker.name for speaker in programme.speakers] == ["Anna Muster"]


def test_an_unknown_time_zone_of_the_file_is_reported_for_the_event() -> None:
    programme = read(event(), conference="<time_zone_name>Europe/Zuerich</time_zone_name>")
    assert found(programme) == [("unknown_time_zone", "")]
    assert programme.event.time_zone == "Europe/Zurich"


def test_a_finding_names_the_line() -> None:
    programme = read("\n\n" + event(duration="00:00"))
    assert "(line 3)" in programme.findings[0].detail


def test_extras_that_cannot_be_read_are_reported_and_left_out() -> None:
    data = b"<schedule><?konkordat {broken?><day date='2027-06-01'><room name='A'><event id='1'>"
    data += b"<title>x</title><start>09:00</start><duration>00:30</duration>"
    data += b"</event></room></day></schedule>"
    assert found(read_programme(data, "forum.xml")) == [("bad_extension", "")]
