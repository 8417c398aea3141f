"""What cannot be read ends in a clear error, and nothing is imported."""

from __future__ import annotations

import pytest

from konkordat.schedule.interchange import errors, frab_xml, programme
from konkordat.schedule.interchange.read import check_size, read_programme

MIB = 1 << 20
BILLION_LAUGHS = (
    b"<?xml version='1.0'?><!DOCTYPE schedule [<!ENTITY l0 'ha'>"
    + b"".join(b"<!ENTITY l%d '%s'>" % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><schedule><conference><title>&l9;</title></conference></schedule>"
)
EXTERNAL = b"<!DOCTYPE schedule SYSTEM 'file:///etc/passwd'><schedule/>"


def error_of(data: bytes, name: str = "file.xml") -> errors.ProgrammeError:
    with pytest.raises(errors.ProgrammeError) as raised:
        read_programme(data, name)
    return raised.value


@pytest.mark.parametrize("data", [b"", b" \n\t "])
def test_an_empty_file(data: bytes) -> None:
    assert isinstance(error_of(data), errors.EmptyDocument)


def test_a_file_of_100_mb_is_refused_by_its_size_alone() -> None:
    with pytest.raises(errors.TooLarge, match="104857600 bytes, more than the 67108864"):
        check_size(100 * MIB, "huge.xml")
    assert isinstance(error_of(b"<" + b" " * (65 * MIB)), errors.TooLarge)


def test_a_calendar_is_refused_at_a_smaller_size() -> None:
    data = b"BEGIN:VCALENDAR\n" + b" " * (17 * MIB)
    assert isinstance(error_of(data, "huge.ics"), errors.TooLarge)


def test_broken_xml_names_the_line() -> None:
    error = error_of(b"<schedule>\n<conference>\n</schedule>")
    assert isinstance(error, errors.BrokenDocument)
    assert error.line == 3
    assert "conference" in error.reason
    assert "Nothing was imported" in str(error)


def test_a_file_that_stops_in_the_middle() -> None:
    assert isinstance(error_of(b"<schedule><day date='2027-"), errors.BrokenDocument)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"<!doctype html><html><body><p>moved<br></body></html>", "web page"),
        (b"<html><head/></html>", "web page"),
        (b"<rss version='2.0'><channel/></rss>", "rss"),
        (b"<feed xmlns='http://www.w3.org/2005/Atom'/>", "feed"),
        (b'{"sessions": []}', "JSON without schedule"),
        (b"[1, 2]", "JSON without schedule"),
        (b'{"schedule": {"conference": {"days": {}}}}', "JSON without schedule"),
        (b"BEGIN:VCARD\nEND:VCARD\n", "neither"),
        (b"\x89PNG\r\n\x1a\n", "neither"),
        (b"title;room;start\n", "neither"),
    ],
)
def test_something_else_is_named_for_what_it_is(data: bytes, found: str) -> None:
    error = error_of(data, "download")
    assert isinstance(error, errors.NotASchedule)
    assert found in error.found


@pytest.mark.parametrize("data", [BILLION_LAUGHS, EXTERNAL])
def test_entities_and_document_types_are_not_read(data: bytes) -> None:
    assert isinstance(error_of(data), errors.ForbiddenContent)


def test_entities_in_the_very_first_attribute_do_not_blow_up() -> None:
    data = BILLION_LAUGHS.replace(b"<schedule>", b"<schedule a='&l9;'>")
    assert isinstance(error_of(data), errors.BrokenDocument)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<schedule>" + b"<a>" * 100 + b"</a>" * 100 + b"</schedule>", "deep.xml"),
        (b"<schedule>" + b"<a>" * 100_000, "deeper.xml"),
        (b'{"schedule":' * 100_000, "deep.json"),
        (b"BEGIN:VCALENDAR\n" + b"BEGIN:VEVENT\n" * 1_000, "deep.ics"),
    ],
)
def test_deep_nesting(data: bytes, name: str) -> None:
    assert isinstance(error_of(data, name), errors.TooDeep)


@pytest.mark.parametrize(
    "data",
    [
        b"<schedule><conference><title>Forum</title></conference></schedule>",
        b'{"schedule": {"conference": {"days": []}}}',
        b"BEGIN:VCALENDAR\nEND:VCALENDAR\n",
    ],
)
def test_a_schedule_without_a_session(data: bytes) -> None:
    assert isinstance(error_of(data), errors.EmptyProgramme)


def test_a_schedule_without_a_single_date() -> None:
    data = b"<schedule><day><room name='Aula'><event id='1'/></room></day></schedule>"
    assert isinstance(error_of(data), errors.NoDates)


def test_more_sessions_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frab_xml, "SESSIONS_MAX", 2)
    day = b"<day date='2027-06-01'><room name='Aula'>" + b"<event/>" * 3 + b"</room></day>"
    error = error_of(b"<schedule>" + day + b"</schedule>")
    assert isinstance(error, errors.TooMany)
    assert "more than 2 sessions" in str(error)


def test_broken_json_names_the_line() -> None:
    error = error_of(b'{"schedule":\n\n}', "schedule.json")
    assert isinstance(error, errors.BrokenDocument)
    assert error.line == 3


@pytest.mark.parametrize(
    "data",
    [
        b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\nEND:VCALENDAR\n",
        b"BEGIN:VCALENDAR\nEND:VCALENDAR\nEND:VCALENDAR\n",
        b"BEGIN:VCALENDAR\nthis is no property\nEND:VCALENDAR\n",
    ],
)
def test_a_broken_calendar(data: bytes) -> None:
    assert isinstance(error_of(data, "broken.ics"), errors.BrokenDocument)


def test_a_time_zone_that_does_not_exist() -> None:
    with pytest.raises(errors.BadTimeZone, match="Europe/Zuerich is not a time zone"):
        read_programme(
            b"<schedule><day date='2027-06-01'><room name='A'><event/></room></day></schedule>",
            "forum.xml",
            "Europe/Zuerich",
        )


def test_every_error_says_what_it_did_and_has_a_code_of_its_own() -> None:
    classes = errors.ProgrammeError.__subclasses__()
    assert len({cls.code for cls in classes}) == len(classes)
    assert all("Nothing was imported" in (cls.__doc__ or "") for cls in classes)


def test_the_limits_leave_room_for_the_largest_events() -> None:
    assert programme.SIZE_BYTES_MAX >= 20 * 2_130_356
    assert programme.SESSIONS_MAX >= 100 * 872
