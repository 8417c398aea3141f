from __future__ import annotations

from typing import Any

import msgspec
import pytest

from konkordat.kernel import canonical
from konkordat.kernel.ids import Group
from konkordat.schedule.registry import (
    COLLECTIONS,
    body_data,
    checked,
    from_groups,
    patch_to_groups,
    replace_groups,
    to_groups,
)
from konkordat.schedule.rules import references

SESSIONS = COLLECTIONS["sessions"]
ROOMS = COLLECTIONS["rooms"]
EVENT = "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"
ROOM = "019746a2-7c00-7a31-8d52-3f1a2b4c5d70"
BOOTH = "019746a2-7c00-7a31-8d52-3f1a2b4c5d71"
ANNA = "019746a2-7c00-7a31-8d52-3f1a2b4c5d72"
SLOT = {
    "room": ROOM,
    "local_start": "2027-06-01T09:00",
    "time_zone": "Europe/Zurich",
    "duration_minutes": 45,
}
BODY: dict[str, Any] = {
    "event": EVENT,
    "title": {"de": "Netze", "fr": "Réseaux"},
    "external_ids": {"frab": "9025"},
    "speakers": [ANNA],
    "slot": SLOT,
}
GROUPS = {
    "event": EVENT,
    "title.de": "Netze",
    "title.fr": "Réseaux",
    "external_ids.frab": "9025",
    "speakers": [ANNA],
    "slot": SLOT,
}


def patched(patch: dict[str, Any], current: dict[str, Any] | None = None) -> dict[str, Any]:
    change = msgspec.convert(patch, SESSIONS.patch)
    return patch_to_groups(SESSIONS, change, GROUPS if current is None else current)


def test_texts_are_a_group_per_language_and_a_slot_is_one_group() -> None:
    body = msgspec.convert(BODY, SESSIONS.body)
    assert to_groups(SESSIONS, body) == GROUPS


def test_defaults_are_not_stored_but_read() -> None:
    room = msgspec.convert({"venue": EVENT, "name": {"de": "Aula"}, "position": 0}, ROOMS.body)
    groups = to_groups(ROOMS, room)
    assert groups == {"venue": EVENT, "name.de": "Aula"}
    record = from_groups(ROOMS, groups)
    assert (record["max_concurrent"], record["features"], record["capacity"]) == (1, [], None)


def test_a_record_reads_as_it_was_written() -> None:
    body = msgspec.convert(BODY, SESSIONS.body)
    assert checked(SESSIONS, to_groups(SESSIONS, body)) == body
    assert body_data(SESSIONS, body) == BODY


def test_a_default_that_was_read_can_be_changed_without_harm() -> None:
    from_groups(SESSIONS, {})["speakers"].append(ANNA)
    assert from_groups(SESSIONS, {})["speakers"] == []


def test_a_patch_writes_what_it_names_and_no_more() -> None:
    assert patched({"state": "accepted"}) == {"state": "accepted"}
    assert patched({"title": {"it": "Reti"}}) == {"title.it": "Reti"}
    assert patched({}) == {}


def test_null_clears_a_field_a_language_or_all_languages() -> None:
    assert patched({"slot": None, "track": None}) == {"slot": None, "track": None}
    assert patched({"title": {"fr": None}}) == {"title.fr": None}
    current = {**GROUPS, "subtitle.de": "Wie sie halten", "subtitle.fr": None}
    assert patched({"subtitle": None}, current) == {"subtitle.de": None}


def test_a_cleared_group_reads_as_if_it_had_never_been() -> None:
    record = from_groups(SESSIONS, {**GROUPS, "title.fr": None, "slot": None, "speakers": None})
    assert (record["title"], record["slot"], record["speakers"]) == ({"de": "Netze"}, None, [])


def test_a_list_replaces_the_list() -> None:
    assert patched({"speakers": []}) == {"speakers": []}


def test_a_patch_of_a_slot_is_merged_into_it_and_written_as_one_unit() -> None:
    moved = {**SLOT, "local_start": "2027-06-01T10:00"}
    assert patched({"slot": {"local_start": "2027-06-01T10:00"}}) == {"slot": moved}


def test_a_session_moves_to_a_booth_by_clearing_its_room() -> None:
    groups = patched({"slot": {"room": None, "booth": BOOTH}})
    assert groups["slot"]["booth"] == BOOTH
    assert "room" not in groups["slot"]
    assert checked(SESSIONS, {**GROUPS, **groups})


def test_half_a_slot_on_a_session_without_one_is_found_by_the_check() -> None:
    bare = {group: value for group, value in GROUPS.items() if group != "slot"}
    groups = patched({"slot": {"room": ROOM}}, bare)
    with pytest.raises(msgspec.ValidationError, match=r"`local_start`.*\$\.slot"):
        checked(SESSIONS, {**bare, **groups})


def test_clearing_the_last_title_is_found_by_the_check() -> None:
    groups = patched({"title": {"de": None, "fr": None}})
    with pytest.raises(msgspec.ValidationError, match="title"):
        checked(SESSIONS, {**GROUPS, **groups})


@pytest.mark.parametrize(
    "patch",
    [{"title": None}, {"event": None}, {"id": ROOM}, {"colour": "red"}, {"slot": {"x": 1}}],
)
def test_a_patch_cannot_clear_what_must_be_nor_name_what_is_not(patch: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(patch, SESSIONS.patch)


def test_replacing_clears_what_the_body_no_longer_has_and_repeats_nothing() -> None:
    body = msgspec.convert({"event": EVENT, "title": {"de": "Reti"}}, SESSIONS.body)
    assert replace_groups(SESSIONS, body, GROUPS) == {
        "title.de": "Reti",
        "title.fr": None,
        "external_ids.frab": None,
        "speakers": None,
        "slot": None,
    }


def test_replacing_leaves_alone_what_a_newer_release_wrote() -> None:
    body = msgspec.convert(BODY, SESSIONS.body)
    assert replace_groups(SESSIONS, body, {**GROUPS, "mood": "good", "mood.de": "gut"}) == {}


def test_groups_of_a_newer_release_are_not_shown() -> None:
    assert "mood" not in from_groups(SESSIONS, {**GROUPS, "mood": "good"})


def test_references_are_told_with_their_place_in_the_body() -> None:
    values = {Group(group): canonical.encode(value) for group, value in GROUPS.items()}
    assert list(references(SESSIONS, values, values)) == [
        ("/event", "events", EVENT),
        ("/speakers/0", "speakers", ANNA),
        ("/slot/room", "rooms", ROOM),
    ]


def test_slots_are_the_claims_of_sessions_and_holds_on_places() -> None:
    claiming = {name: spec.claim_group for name, spec in COLLECTIONS.items() if spec.claim_group}
    assert claiming == {"sessions": "slot", "holds": "slot"}
