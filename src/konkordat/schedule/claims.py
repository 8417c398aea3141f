"""What a record of the schedule claims: a session its place, and, softly, its speakers' time.

Claims are derived from the merged state, alike on every node. A remote change cannot be refused, so nothing here
raises: a slot that makes no sense (or that only a newer release understands) claims nothing. Only what a claim needs is
read, so that fields added to slots later do not make old and new nodes decide differently.

    room/<id>      as much as the room's `max_concurrent`
    booth/<id>     one
    speaker/<id>   claims of quantity 0: never displaced, but found by time, which is how clashes are seen
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from konkordat.kernel import canonical
from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Collection, Group, RecordId, RecordKey, valid_record_id
from konkordat.kernel.record import Record
from konkordat.schedule.fields import CONCURRENT_MAX, DURATION_MINUTES_MAX, SPEAKERS_MAX
from konkordat.schedule.times import MINUTE_MS, Interval, to_utc_ms

SESSIONS: Final = Collection("sessions")
ROOMS: Final = Collection("rooms")
BOOTHS: Final = Collection("booths")
EVENTS: Final = Collection("events")
VENUES: Final = Collection("venues")
SPEAKERS: Final = Collection("speakers")

SLOT: Final = Group("slot")
STATE: Final = Group("state")
SPEAKER_LIST: Final = Group("speakers")
MAX_CONCURRENT: Final = Group("max_concurrent")

SLOT_PART: Final = "slot"  # the part of a session's claim on its room or booth
_COLLECTION_OF: Final[Mapping[str, Collection]] = {"room": ROOMS, "booth": BOOTHS}
_KIND_OF: Final[Mapping[Collection, str]] = {ROOMS: "room", BOOTHS: "booth"}
CLAIM_GROUPS: Final[Mapping[Collection, frozenset[Group]]] = {
    SESSIONS: frozenset({SLOT, STATE, SPEAKER_LIST}),
    ROOMS: frozenset({MAX_CONCURRENT}),
}
NO_GROUPS: Final[frozenset[Group]] = frozenset()


class Place(NamedTuple):
    """Where and when a session is: "room/<id>" or "booth/<id>", UTC milliseconds."""

    name: str
    interval: Interval


class _SlotView(Struct, frozen=True):
    """As much of a slot as a claim depends on."""

    local_start: str
    time_zone: str
    duration_minutes: int
    room: str | None = None
    booth: str | None = None
    fold: int = 0


# Ordinary slots take about 150 bytes. Whatever a peer sends beyond is read each time, not kept in memory.
_CACHED_BYTES_MAX: Final = 512
_slot_decoder: Final = msgspec.json.Decoder(_SlotView)


def claims_of(record: Record) -> tuple[Claim, ...]:
    """What a record claims in its present state; of a deleted or cancelled one, nothing."""
    if record.key.collection != SESSIONS or not record.alive:
        return ()
    register = record.fields.get(SLOT)
    if register is None or is_cancelled(value_of(record, STATE)):
        return ()
    place = place_of(register.value)
    if place is None:
        return ()
    speakers = record.fields.get(SPEAKER_LIST)
    return tuple(
        _claims(record.key, place, speakers.value if speakers else b"null", register.stamp)
    )


def _claims(key: RecordKey, place: Place, speakers: bytes, stamp: Stamp) -> Iterator[Claim]:
    start_ms, until_ms = place.interval.start_ms, place.interval.until_ms
    tenant = key.tenant
    own = ClaimId(key, SLOT_PART)
    yield Claim(own, Resource(tenant, place.name), start_ms, until_ms, 1, stamp)
    for speaker in speakers_in(speakers):
        name = speaker_name(speaker)
        yield Claim(ClaimId(key, name), Resource(tenant, name), start_ms, until_ms, 0, stamp)


def place_of(slot: bytes) -> Place | None:
    """Where and when a slot is, from its canonical JSON; None for null and for what is no slot."""
    return _place_of(slot) if len(slot) <= _CACHED_BYTES_MAX else _place_of.__wrapped__(slot)


@lru_cache(maxsize=8_192)
def _place_of(slot: bytes) -> Place | None:
    try:
        view = _slot_decoder.decode(slot)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    sound = 0 < view.duration_minutes <= DURATION_MINUTES_MAX and view.fold in {0, 1}
    if not sound or bool(view.room) == bool(view.booth):
        return None
    kind, id_ = ("room", view.room) if view.room else ("booth", view.booth)
    if id_ is None or not valid_record_id(id_):
        return None
    start_ms = to_utc_ms(view.local_start, view.time_zone, view.fold)
    if not isinstance(start_ms, int):
        return None
    until_ms = start_ms + view.duration_minutes * MINUTE_MS
    return Place(f"{kind}/{id_}", Interval(start_ms, until_ms))


def speakers_in(value: bytes) -> tuple[str, ...]:
    """The speakers in a session's list, each once; none from what is no list of ids."""
    found = decoded(value)
    if not isinstance(found, list):
        return ()
    ids = dict.fromkeys(s for s in found if isinstance(s, str) and valid_record_id(s))
    return tuple(ids)[:SPEAKERS_MAX]


def speaker_name(speaker: str) -> str:
    """The name of the resource that is a speaker's time."""
    return f"speaker/{speaker}"


def is_cancelled(state: Any) -> bool:
    """True for the state of a session that takes no place."""
    return bool(state == "cancelled")


def capacity_owner(resource: Resource) -> RecordKey | None:
    """The record that says how much of a resource there is; None where it is not said by a record."""
    kind, _, id_ = resource.name.partition("/")
    collection = _COLLECTION_OF.get(kind)
    return RecordKey(resource.tenant, collection, RecordId(id_)) if collection else None


def owned_resource(key: RecordKey) -> Resource | None:
    """The resource whose capacity a record says."""
    kind = _KIND_OF.get(key.collection)
    return Resource(key.tenant, f"{kind}/{key.id}") if kind else None


def capacity_of(owner: Record | None) -> int:
    """How many sessions a place may host at one time. Of a record that is no room, whatever it says: one."""
    if owner is None or owner.key.collection != ROOMS:
        return 1
    return sensible_capacity(value_of(owner, MAX_CONCURRENT))


def sensible_capacity(value: Any) -> int:
    """A `max_concurrent` as it stands in a record; one, where nothing sensible is said."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= CONCURRENT_MAX:
        return value
    return 1


def value_of(record: Record, group: Group) -> Any:
    """A group's value; None where it is missing, cleared or unreadable."""
    register = record.fields.get(group)
    return None if register is None else decoded(register.value)


def decoded(value: bytes) -> Any:
    """A value from its canonical JSON; None for bytes that are none."""
    try:
        return canonical.decode(value)
    except canonical.UnreadableValue:
        return None
