from __future__ import annotations

from typing import Any

import msgspec
import pytest

from konkordat.schedule.fields import DURATION_MINUTES_MAX, TITLE_CHARS_MAX
from konkordat.schedule.model import EventBody, Link, RoomBody, SessionBody, Slot
from konkordat.schedule.registry import COLLECTIONS, body_schemas

EVENT = "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"
ROOM = "019746a2-7c00-7a31-8d52-3f1a2b4c5d70"
SLOT: dict[str, Any] = {
    "room": ROOM,
    "local_start": "2027-06-01T09:00",
    "time_zone": "Europe/Zurich",
    "duration_minutes": 45,
}


def session(**fields: Any) -> SessionBody:
    return msgspec.convert({"event": EVENT, "title": {"de": "Netze"}, **fields}, SessionBody)


def slot(**fields: Any) -> Slot:
    merged = {**SLOT, **fields}
    return msgspec.convert({k: v for k, v in merged.items() if v is not None}, Slot)


def refusal(make: Any, **fields: Any) -> str:
    with pytest.raises(msgspec.ValidationError) as error:
        make(**fields)
    return str(error.value)


def test_a_session_needs_an_event_and_a_title() -> None:
    assert session().state == "draft"
    with pytest.raises(msgspec.ValidationError, match="missing required field `title`"):
        msgspec.convert({"event": EVENT}, SessionBody)
    assert "length >= 1" in refusal(session, title={})


def test_an_unknown_field_is_refused_by_name() -> None:
    assert "unknown field `colour`" in refusal(session, colour="red")


def test_a_slot_names_either_a_room_or_a_booth() -> None:
    assert slot().room == ROOM
    assert slot(room=None, booth=ROOM).booth == ROOM
    assert "exactly one of room and booth" in refusal(slot, booth=ROOM)
    assert "exactly one of room and booth" in refusal(slot, room=None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("local_start", "2027-06-01"),
        ("local_start", "2027-06-01T09:00:00"),
        ("local_start", "2027-06-01T09:00Z"),
        ("local_start", "2027-6-1T9:00"),
        ("local_start", "2027-06-01T24:00"),
        ("local_start", "2027-06-01T09:00\n"),
        ("time_zone", "../etc/passwd"),
        ("time_zone", ""),
        ("duration_minutes", 0),
        ("duration_minutes", -30),
        ("duration_minutes", DURATION_MINUTES_MAX + 1),
        ("fold", 2),
        ("room", "kesselhaus"),
    ],
)
def test_a_slot_that_cannot_be_is_refused(field: str, value: object) -> None:
    assert f"$.{field}" in refusal(slot, **{field: value})


@pytest.mark.parametrize(
    "id_",
    [
        "019746A2-7C00-7A31-8D52-3F1A2B4C5D6E",  # upper case
        "019746a2-7c00-4a31-8d52-3f1a2b4c5d6e",  # version 4
        "019746a2-7c00-7a31-cd52-3f1a2b4c5d6e",  # another variant
        "019746a27c007a318d523f1a2b4c5d6e",
        "",
    ],
)
def test_an_id_is_a_uuid_of_version_7_in_one_spelling(id_: str) -> None:
    assert "$.id" in refusal(session, id=id_)


def test_a_title_has_a_longest_length() -> None:
    assert session(title={"de": "x" * TITLE_CHARS_MAX})
    assert "length <= 500" in refusal(session, title={"de": "x" * (TITLE_CHARS_MAX + 1)})


@pytest.mark.parametrize("tag", ["", "D", "de.ch", "deutsch-", "de_CH", "DE"])
def test_a_language_that_is_no_tag_is_refused(tag: str) -> None:
    assert "key" in refusal(session, title={tag: "Netze"})


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "https://example.ch/a b",
        "",
    ],
)
def test_a_link_cannot_carry_a_script(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": url}, Link)


@pytest.mark.parametrize(
    "url", ["https://example.ch/ü?x=1#y", "mailto:a@example.ch", "/talks/12", "dat://example/#/"]
)
def test_a_link_may_lead_anywhere_else(url: str) -> None:
    assert msgspec.convert({"url": url}, Link).url == url


def test_a_speaker_is_named_once() -> None:
    assert "each speaker once" in refusal(session, speakers=[ROOM, ROOM])


def test_an_event_does_not_end_before_it_starts() -> None:
    fields = {
        "slug": "forum",
        "name": {"de": "Forum"},
        "time_zone": "Europe/Zurich",
        "start_date": "2027-06-02",
    }
    assert msgspec.convert({**fields, "end_date": "2027-06-02"}, EventBody)
    with pytest.raises(msgspec.ValidationError, match="on or after the day it starts"):
        msgspec.convert({**fields, "end_date": "2027-06-01"}, EventBody)


def test_a_room_hosts_one_session_at_a_time_unless_it_says_otherwise() -> None:
    room = msgspec.convert({"venue": EVENT, "name": {"de": "Aula"}}, RoomBody)
    assert room.max_concurrent == 1
    with pytest.raises(msgspec.ValidationError, match="max_concurrent"):
        msgspec.convert({"venue": EVENT, "name": {"de": "A"}, "max_concurrent": 0}, RoomBody)


def test_every_body_and_patch_has_a_schema_that_refuses_unknown_fields() -> None:
    schemas = body_schemas()
    for spec in COLLECTIONS.values():
        for type_ in (spec.body, spec.patch):
            assert schemas[type_.__name__]["additionalProperties"] is False
    assert schemas["SessionBody"]["required"] == ["event", "title"]
    assert schemas["SessionPatch"]["required"] == []
