"""Releases as they are read: found by name or id, their content put together again from its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from konkordat.api.docs import Field
from konkordat.api.problems import Problem
from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import Group, RecordKey, Tenant, record_key, valid_record_id
from konkordat.kernel.record import Record
from konkordat.schedule.claims import EVENT, NAME, RELEASE_PARTS, RELEASES, value_of
from konkordat.schedule.interchange.collect import Records
from konkordat.schedule.releases import PARTS_MAX, Entry, part_id, unpack
from konkordat.store.port import Reader

# Of one event. One a day for three years; each is kept for ever.
RELEASES_MAX: Final = 1_000
RETRY_MS: Final = 1_000  # parts and their release come from one node, and in that order
PARTS: Final = Group("parts")  # names of a release's parts, in order
CONTENT: Final = Group("content")
DIGEST: Final = Group("digest")
RELEASE: Final = Field("release", "A release's name or id, instead of the present programme.")


def part_key(tenant: Tenant, id: str) -> RecordKey:
    """Where a part of a release lives."""
    return record_key(tenant, RELEASE_PARTS, id)


def find(reader: Reader, event: RecordKey, name: str) -> Record:
    """An event's release, by name or id; of two that were given one name at the same time, the one that has it.

    Raises Problem not_found.
    """
    if valid_record_id(name):
        key = record_key(event.tenant, RELEASES, name)
        record = reader.load([key]).get(key)
        if record is not None and record.alive and value_of(record, EVENT) == event.id:
            return record
    page = reader.scan(event.tenant, RELEASES, limit=2 * RELEASES_MAX, parent=event.id)
    named = [record for record in page if value_of(record, NAME) == name]
    claims = reader.claims_of([record.key for record in named])
    for state in (ClaimState.CONFIRMED, ClaimState.TENTATIVE):
        for record in named:
            if any(decided.state is state for decided in claims.get(record.key, ())):
                return record
    raise Problem("not_found", f"The event has no release {name!r}.")


def content_of(reader: Reader, release: Record) -> list[Entry]:
    """The content of a release. Raises Problem not_yet_consistent."""
    names = value_of(release, PARTS)
    ids = [n for n in names if isinstance(n, str)] if isinstance(names, list) else []
    keys = [part_key(release.key.tenant, id) for id in ids[:PARTS_MAX] if valid_record_id(id)]
    parts = reader.load(keys)
    contents = [parts[key].fields[CONTENT].value for key in keys if _is_sound(parts.get(key))]
    if len(contents) < len(keys):
        detail = "A part of the release has not arrived here yet."
        raise Problem("not_yet_consistent", detail, retry_after_ms=RETRY_MS)
    return unpack(contents)


def _is_sound(part: Record | None) -> bool:
    """True for a part whose content is the one it is named after."""
    register = None if part is None else part.fields.get(CONTENT)
    return part is not None and register is not None and part_id(register.value) == part.key.id


def frozen_records(reader: Reader, event: RecordKey, name: str) -> tuple[Records, str]:
    """A release as what exports are written from, and its digest. Raises Problem."""
    release = find(reader, event, name)
    by_type: dict[str, list[Mapping[str, Any]]] = {}
    for entry in content_of(reader, release):
        by_type.setdefault(entry["collection"], []).append(entry)
    if "events" not in by_type:
        raise Problem("not_found", f"The release {name!r} has no event in it.")
    sessions = by_type.get("sessions", [])
    return (
        Records(
            event=by_type["events"][0],
            venues=by_type.get("venues", []),
            rooms=by_type.get("rooms", []) + by_type.get("booths", []),
            speakers=by_type.get("speakers", []),
            sessions=sessions,
            revisions={entry["id"]: entry.get("revision", 0) for entry in sessions},
        ),
        str(value_of(release, DIGEST)),
    )
