"""Reading frab XML and JSON: what means what."""

from __future__ import annotations

import msgspec
import pytest

from konkordat.schedule.interchange.programme import Placement, ProgrammeVenue
from konkordat.schedule.interchange.read import detect_format, read_programme
from support.frab import event, found, only, read

ONE = (
    "<schedule><conference><title>Forum</title></conference><day date='2027-06-01'>"
    "<room name='Grüner Saal'><event id='1'><title>Ü</title><start>09:00</start>"
    "<duration>00:45</duration></event></room></day></schedule>"
)


def start(programme_event: str, **kwargs: str) -> str:
    placement = only(read(programme_event, **kwargs)).placement
    assert placement is not None
    return placement.local_start


# Days ------------------------------------------------------------------------------------------


def test_a_start_after_midnight_is_on_the_next_calendar_date() -> None:
    assert start(event(start="00:30")) == "2027-06-02T00:30"
    assert start(event(start="03:59")) == "2027-06-02T03:59"
    assert start(event(start="04:00")) == "2027-06-01T04:00"


def test_the_change_of_day_is_the_files_to_choose() -> None:
    programme = read(event(start="08:00"), conference="<day_change>09:00:00</day_change>")
    assert only(programme).placement == Placement("Aula", "2027-06-02T08:00", 45)
    assert programme.event.day_starts_at == "09:00"
    assert (programme.event.start_date, programme.event.end_date) == ("2027-06-01", "2027-06-01")


def test_a_date_with_time_wins_over_day_and_start() -> None:
    moment = "<date>2027-06-03T14:00:00+02:00</date>"
    assert start(event(start="09:00", more=moment)) == "2027-06-03T14:00"


def test_a_date_without_time_is_the_day() -> None:
    assert start(event(start="00:30", more="<date>2027-06-02</date>")) == "2027-06-03T00:30"


def test_the_event_is_as_long_as_its_sessions_need() -> None:
    programme = read(
        event(),
        event("2", more="<date>2027-06-05T14:00:00</date>"),
        conference="<start>2027-06-02</start><end>2027-06-03</end>",
    )
    assert (programme.event.start_date, programme.event.end_date) == ("2027-06-01", "2027-06-05")


# Time zones ------------------------------------------------------------------------------------


def zone_of(moment: str, conference: str = "") -> tuple[str, str]:
    programme = read(event(more=f"<date>{moment}</date>"), conference=conference)
    placement = only(programme).placement
    assert placement is not None
    return programme.event.time_zone, placement.local_start


def test_the_zone_that_the_file_names_rules() -> None:
    named = "<time_zone_name>Asia/Tokyo</time_zone_name>"
    assert zone_of("2027-06-01T09:00:00", named) == ("Asia/Tokyo", "2027-06-01T09:00")
    assert zone_of("2027-06-01T09:00:00+09:00", named) == ("Asia/Tokyo", "2027-06-01T09:00")


def test_another_offset_than_the_zones_means_an_instant() -> None:
    named = "<time_zone_name>UTC</time_zone_name>"
    assert zone_of("2020-12-14T09:00:00+01:00", named) == ("UTC", "2020-12-14T08:00")


def test_offsets_that_the_usual_zone_has_confirm_it() -> None:
    assert zone_of("2027-06-01T09:00:00+02:00") == ("Europe/Zurich", "2027-06-01T09:00")


def test_other_offsets_make_a_zone_of_their_own() -> None:
    assert zone_of("2027-06-01T09:00:00-05:00") == ("Etc/GMT+5", "2027-06-01T09:00")
    assert zone_of("2027-06-01T09:00:00+01:00") == ("Etc/GMT-1", "2027-06-01T09:00")
    assert zone_of("2027-06-01T09:00:00+05:30") == ("UTC", "2027-06-01T03:30")


def test_an_instant_is_shown_in_the_usual_zone() -> None:
    assert zone_of("2027-06-01T09:00:00Z") == ("Europe/Zurich", "2027-06-01T11:00")


def test_the_offset_tells_which_of_two_equal_wall_times_is_meant() -> None:
    data = event("1", more="<date>2027-10-31T02:30:00+02:00</date>")
    later = event("2", more="<date>2027-10-31T02:30:00+01:00</date>")
    folds = [s.placement.fold for s in read(data, later).sessions if s.placement]
    assert folds == [0, 1]


# The rest --------------------------------------------------------------------------------------


def test_everything_a_session_can_have_is_read() -> None:
    session = only(
        read(
            event(
                more="""<slug>netze</slug><subtitle>Wie  sie halten</subtitle><track>Netze</track>
                <type>devroom</type><language>de</language><abstract>Kurz.</abstract>
                <description>Lang &amp;
                breit.</description><url>https://example.ch/1</url>
                <recording><license>CC0</license><optout>true</optout></recording>
                <persons><person id='3'>Anna Muster</person><person>Beat</person></persons>
                <links><link href='https://example.ch/a'>A</link></links>
                <attachments><attachment href='/b.pdf' type='slides'>B</attachment></attachments>
                <answers><question><event>not a session</event></question></answers>"""
            )
        )
    )
    assert (session.slug, session.subtitle, session.track) == ("netze", "Wie sie halten", "Netze")
    assert (session.type, session.type_label, session.language) == ("talk", "devroom", "de")
    assert session.speakers == ("3", "Beat")
    assert session.url == "https://example.ch/1"
    assert [(a.url, a.title, a.type) for a in session.attachments] == [("/b.pdf", "B", "slides")]
    assert session.recording is not None
    assert (session.recording.license, session.recording.optout) == ("CC0", True)
    assert session.description.startswith("Lang &")


def test_an_unknown_type_keeps_its_word() -> None:
    session = only(read(event(more="<type>Keysigning</type>")))
    assert (session.type, session.type_label) == ("other", "Keysigning")


def test_rooms_without_sessions_and_the_venue_are_kept() -> None:
    data = ONE.replace("<title>Forum</title>", "<title>F</title><venue>ULB</venue><city>B</city>")
    data = data.replace("</day>", "<room name='Empty'/></day>")
    programme = read_programme(data.encode(), "forum.xml")
    assert [room.name for room in programme.rooms] == ["Grüner Saal", "Empty"]
    assert programme.venues == (ProgrammeVenue("ULB", "B"),)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "utf-8-sig"])
def test_xml_is_read_in_the_encoding_it_declares(encoding: str) -> None:
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    data = f"<?xml version='1.0' encoding='{declared}'?>{ONE}".encode(encoding)
    programme = read_programme(data, "schedule")
    assert (only(programme).title, programme.rooms[0].name) == ("Ü", "Grüner Saal")


def test_the_content_decides_the_format_and_the_name_helps() -> None:
    assert detect_format(b"\n <?xml version='1.0'?>", "x.json") == "xml"
    assert detect_format(b'  {"schedule": {}}', "x.xml") == "json"
    assert detect_format(b"begin:vcalendar\r\n", "x") == "ics"
    assert detect_format(b"garbage", "x.ICS") == "ics"
    assert detect_format(b"garbage", "x.txt") is None


def test_json_as_pretalx_exports_it_is_read() -> None:
    entry = {
        "guid": "8079583e-8321-506c-95af-fd2903a5f075",
        "code": "G9JGWY",
        "id": 25,
        "logo": None,
        "date": "2027-06-01T09:00:00+02:00",
        "start": "09:00",
        "duration": "00:30",
        "room": "Grey Room",
        "slug": "democon-25-hardware",
        "url": "https://example.ch/democon/talk/G9JGWY/",
        "title": "Hardware",
        "subtitle": "",
        "track": None,
        "type": "Lightning talk",
        "language": "en",
        "abstract": None,
        "description": "Long.",
        "recording_license": "",
        "do_not_record": True,
        "persons": [{"code": "NQTF8Y", "name": "Ada", "biography": "Once.", "avatar": None}],
        "links": [{"title": "More", "url": "https://example.ch/more", "type": "related"}],
        "attachments": [],
        "answers": [],
    }
    rooms = [{"name": "Grey Room", "guid": "x", "description": None, "capacity": 120}]
    days = [{"index": 1, "date": "2027-06-01", "rooms": {"Grey Room": [entry]}}]
    conference = {"acronym": "democon", "title": {"en": "DemoCon"}, "days": days, "rooms": rooms}
    data = msgspec.json.encode({"schedule": {"version": "v1", "conference": conference}})
    programme = read_programme(data, "schedule.json")
    session = only(programme)
    assert found(programme) == []
    assert (programme.event.title, programme.rooms[0].capacity) == ("DemoCon", 120)
    assert (session.external_id, session.type, session.type_label) == (
        "25",
        "lightning",
        "Lightning talk",
    )
    assert session.placement == Placement("Grey Room", "2027-06-01T09:00", 30)
    assert [(s.external_id, s.biography) for s in programme.speakers] == [("NQTF8Y", "Once.")]
    assert session.recording is not None
    assert session.recording.optout


def test_json_with_values_of_the_wrong_type_is_read_as_far_as_it_goes() -> None:
    entry = {"id": True, "title": 7, "persons": "x", "links": [1, "https://example.ch"], "room": []}
    days = [{"date": 3, "rooms": {"A": [entry, "x"], "B": {}}}, "no day"]
    conference = {"days": days, "start": "2027-06-01", "rooms": [5]}
    data = msgspec.json.encode({"schedule": {"conference": conference, "version": []}})
    programme = read_programme(data, "schedule.json")
    assert only(programme).title == "7"
    assert {code for code, _ in found(programme)} == {"bad_date", "bad_duration"}
