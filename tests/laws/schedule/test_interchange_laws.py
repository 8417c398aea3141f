"""Programmes survive being written and read; and no bytes at all do worse than a named error."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from konkordat.schedule.interchange.errors import ProgrammeError
from konkordat.schedule.interchange.frab_json import write_frab_json
from konkordat.schedule.interchange.frab_xml_writer import write_frab_xml
from konkordat.schedule.interchange.icalendar_writer import uid_of, write_icalendar
from konkordat.schedule.interchange.plan import plan_import
from konkordat.schedule.interchange.programme import (
    Placement,
    Programme,
    ProgrammeEvent,
    ProgrammeRoom,
    ProgrammeSession,
    ProgrammeSpeaker,
    ProgrammeVenue,
)
from konkordat.schedule.interchange.read import read_programme
from konkordat.schedule.interchange.texts import one_line, paragraphs
from konkordat.schedule.model import Attachment, Link, Recording
from konkordat.schedule.registry import COLLECTIONS
from konkordat.schedule.sample import sample_programme

characters = st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029")
lines = st.text(characters, max_size=20).map(one_line)
labels = lines.filter(bool)
prose = st.text(characters, max_size=60).map(paragraphs)
external_ids = st.one_of(st.integers(1, 2**31 - 1).map(str), labels)
urls = st.sampled_from(
    ["https://a.ch/x?y=1&z=2", "http://b.ch/<>\"'", "/relative", "mailto:a@b.ch"]
)
guids = st.one_of(st.none(), st.uuids(version=4).map(str), st.just("OQzXwQcnHSLD9Qd7Iu7Rqw"))
FIRST = date(2027, 6, 1)


@st.composite
def placements(draw: st.DrawFn, rooms: list[str]) -> Placement:
    day = FIRST + timedelta(days=draw(st.integers(0, 2)))
    clock = f"{draw(st.integers(4, 22)):02}:{draw(st.integers(0, 59)):02}"
    return Placement(draw(st.sampled_from(rooms)), f"{day}T{clock}", draw(st.integers(1, 60)))


@st.composite
def sessions(
    draw: st.DrawFn, number: int, external_id: str, rooms: list[str], people: list[str]
) -> ProgrammeSession:
    placement = draw(st.none() | placements(rooms))
    length = placement.duration_minutes if placement else None
    license_ = draw(lines)
    return ProgrammeSession(
        external_id=external_id,
        title=draw(labels),
        guid=draw(guids) if number == 0 else None,
        uid=draw(st.none() | labels),
        slug=f"slug-{number}",
        subtitle=draw(lines),
        abstract=draw(prose),
        description=draw(prose),
        type=draw(st.sampled_from(["talk", "workshop", "other"])),
        type_label=draw(st.sampled_from([None, "Meisterkurs", "devroom"])),
        track=draw(lines) or None,
        language=draw(st.sampled_from([None, "de", "fr-CH"])),
        speakers=tuple(draw(st.lists(st.sampled_from(people), unique=True, max_size=3))),
        duration_minutes=draw(st.sampled_from([length, 90])) or length,
        state=draw(st.sampled_from(["confirmed", "draft", "cancelled"])),
        seats=draw(st.none() | st.integers(0, 500)),
        url=draw(st.none() | urls),
        links=tuple(draw(st.lists(st.builds(Link, url=urls, title=lines), max_size=2))),
        attachments=tuple(
            draw(st.lists(st.builds(Attachment, url=urls, title=lines, type=lines), max_size=2))
        ),
        recording=Recording(license=license_, optout=draw(st.booleans())) if license_ else None,
        placement=placement,
        revision=draw(st.integers(0, 5)),
        updated_at_ms=draw(st.none() | st.integers(1, 2**41)),
    )


@st.composite
def programmes(draw: st.DrawFn) -> Programme:
    rooms = draw(st.lists(labels, min_size=1, max_size=3, unique=True))
    people = draw(st.lists(external_ids, min_size=1, max_size=4, unique=True))
    ids = draw(st.lists(external_ids, min_size=1, max_size=4, unique=True))
    venues = draw(st.lists(labels, min_size=1, max_size=2, unique=True))
    event = ProgrammeEvent(
        slug="forum-2027",
        title=draw(labels),
        subtitle=draw(lines),
        start_date=FIRST.isoformat(),
        end_date=(FIRST + timedelta(days=2)).isoformat(),
        time_zone=draw(st.sampled_from(["Europe/Zurich", "America/St_Johns", "UTC"])),
        day_starts_at=draw(st.sampled_from(["04:00", "00:00"])),
        language=draw(st.sampled_from([None, "de"])),
        url=draw(st.sampled_from([None, "https://example.ch"])),
        version=draw(lines),
    )
    capacities = st.none() | st.integers(0, 900)
    return Programme(
        source=draw(st.sampled_from(["frab", "ics"])),
        event=event,
        venues=tuple(ProgrammeVenue(name, draw(st.none() | labels)) for name in venues),
        rooms=tuple(
            ProgrammeRoom(room, draw(st.sampled_from(venues)), draw(capacities)) for room in rooms
        ),
        speakers=tuple(ProgrammeSpeaker(id_, draw(labels), draw(prose)) for id_ in people),
        sessions=tuple(
            draw(sessions(number, id_, rooms, people)) for number, id_ in enumerate(ids)
        ),
    )


def by_id(programme: Programme) -> dict[str, ProgrammeSession]:
    return {session.external_id: session for session in programme.sessions}


# A programme is dear to make up: the number of examples is this file's own.
@settings(max_examples=60)
@pytest.mark.row("S0-40")
@pytest.mark.parametrize("write", [write_frab_xml, write_frab_json])
@given(programme=programmes())
def test_a_programme_survives_frab(write: Any, programme: Programme) -> None:
    again = read_programme(write(programme), "forum")
    assert again.findings == ()
    assert (again.source, again.event, again.venues) == (
        programme.source,
        programme.event,
        programme.venues,
    )
    assert again.rooms == programme.rooms
    assert set(again.speakers) == set(programme.speakers)
    assert by_id(again) == by_id(programme)


@settings(max_examples=60)
@pytest.mark.row("S0-40")
@given(programme=programmes())
def test_a_calendar_carries_what_calendars_can(programme: Programme) -> None:
    placed = {
        uid_of(s, programme.event.slug): s for s in programme.sessions if s.placement is not None
    }
    if not placed or len(placed) < sum(s.placement is not None for s in programme.sessions):
        return
    again = read_programme(write_icalendar(programme), "forum.ics")
    names = {speaker.external_id: speaker.name for speaker in programme.speakers}
    found = {speaker.external_id: speaker.name for speaker in again.speakers}
    assert {session.uid for session in again.sessions} == set(placed)
    for session in again.sessions:
        original = placed[session.uid or ""]
        assert session.title == original.title
        assert session.placement == original.placement
        assert session.revision == original.revision
        assert (session.state == "cancelled") == (original.state == "cancelled")
        assert session.track == original.track
        assert [found[s] for s in session.speakers] == [names[s] for s in original.speakers]


@settings(max_examples=60)
@given(programme=programmes())
def test_every_plan_is_made_of_valid_bodies(programme: Programme) -> None:
    plan = plan_import(programme)
    for operation in plan.operations:
        spec = COLLECTIONS[operation.collection]
        msgspec.convert({"id": operation.id, **operation.data}, spec.body)
    assert len({operation.id for operation in plan.operations}) == len(plan.operations)


# Any bytes at all ------------------------------------------------------------------------------


@cache
def documents() -> list[bytes]:
    programme = read_programme(sample_programme())
    small = structs.replace(programme, sessions=programme.sessions[:4])
    return [write_frab_xml(small), write_frab_json(small), write_icalendar(small)]


SPLINTERS = (
    *(b"<", b">", b'"', b"'", b"{", b"}", b"[", b"]", b":", b";", b"\n", b"\r\n ", b"\0", b"\xff"),
    *(b"-1", b"99999999999999999999", b"null", b"true", b"&#0;", b"&amp;", b"]]>", b"?>", b"<!--"),
    *(b"2027-03-28T02:30", b"9999-12-31T23:59", b"0000-00-00", b"+99:99", b"T", b"Z", b"W"),
    *(b"BEGIN:VEVENT\n", b"END:VEVENT\n", b"DTSTART;TZID=Foo/Bar:20270101T000000\n"),
    *(b"DTSTART:99991231T235959Z\n", b"DURATION:P99999999D\n", b"RRULE:FREQ=DAILY\n"),
    *(b"CATEGORIES:\n", b"SEQUENCE:x\n", b"DTSTART;VALUE=DATE:20270101\n", b"UID:\n"),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(documents())))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = draw(st.sampled_from(SPLINTERS))
            case _:
                start = draw(st.integers(0, len(data) - 1))
                data[at:at] = data[start : start + draw(st.integers(1, 200))]
    return bytes(data) or b"x"


def read_and_use(data: bytes) -> None:
    """Whatever can be read can be planned, and written again."""
    programme = read_programme(data, "file")
    for operation in plan_import(programme).operations:
        spec = COLLECTIONS[operation.collection]
        msgspec.convert({"id": operation.id, **operation.data}, spec.body)
    for write in (write_frab_xml, write_frab_json):
        assert len(read_programme(write(programme), "again").sessions) == len(programme.sessions)
    write_icalendar(programme)


@settings(max_examples=300)
@given(damaged())
def test_a_damaged_file_is_read_or_refused_by_name(data: bytes) -> None:
    with suppress(ProgrammeError):
        read_and_use(data)


@settings(max_examples=300)
@given(st.sampled_from([b"", b"<schedule>", b'{"schedule":', b"BEGIN:VCALENDAR\n"]), st.binary())
def test_noise_is_refused_by_name(head: bytes, noise: bytes) -> None:
    with pytest.raises(ProgrammeError):
        read_programme(head + noise, "noise")
