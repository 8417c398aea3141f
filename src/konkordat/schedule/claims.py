"""What a record of the schedule claims: a session its place, and, softly, its speakers' time; a hold a place until it
expires; a registration its seats.

Claims are derived from the merged state, alike on every node. A remote change cannot be refused, so nothing here
raises: a slot that makes no sense (or that only a newer release understands) claims nothing. Only what a claim needs is
read, so that fields added to slots later do not make old and new nodes decide differently.

    room/<id>      as much as the room's `max_concurrent`
    booth/<id>     one
    session/<id>   the session's seats, claimed by registrations
    speaker/<id>   claims of quantity 0: never displaced, but found by time, which is how clashes are seen
    attendee/<id>  the same: an attendee's registrations
    release/<event>/<name>  one: a release of that name
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from konkordat.kernel import canonical
from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Collection, Group, RecordId, RecordKey, valid_record_id
from konkordat.kernel.record import Record
from konkordat.schedule.attendance import REGISTRATION_SEATS_MAX
from konkordat.schedule.fields import CONCURRENT_MAX, PEOPLE_MAX, SPEAKERS_MAX
from konkordat.schedule.slots import PLACING, SLOT, SLOT_PART, Candidate, plan_of
from konkordat.schedule.times import instant_ms

SESSIONS: Final = Collection("sessions")
ROOMS: Final = Collection("rooms")
BOOTHS: Final = Collection("booths")
EVENTS: Final = Collection("events")
VENUES: Final = Collection("venues")
SPEAKERS: Final = Collection("speakers")
ATTENDEES: Final = Collection("attendees")
REGISTRATIONS: Final = Collection("registrations")
HOLDS: Final = Collection("holds")
RELEASES: Final = Collection("releases")
RELEASE_PARTS: Final = Collection("release_parts")

PLACED: Final = frozenset({SESSIONS, HOLDS})  # what claims a room or booth by its slot
STATE: Final = Group("state")
SPEAKER_LIST: Final = Group("speakers")
MAX_CONCURRENT: Final = Group("max_concurrent")
SEATS: Final = Group("seats")
SESSION: Final = Group("session")
ATTENDEE: Final = Group("attendee")
QUANTITY: Final = Group("quantity")
WAITLIST: Final = Group("waitlist")
CANCELLED: Final = Group("cancelled")
EXPIRES_AT: Final = Group("expires_at")

EVENT: Final = Group("event")
NAME: Final = Group("name")
NAME_PART: Final = "name"  # the part of a release's claim on its name
SEATS_PART: Final = "seats"  # the part of a registration's claim on its session
# Seats are taken as long as the session is, whenever that is: all claims on them overlap.
SEATS_TIME: Final = (0, 1)
_COLLECTION_OF: Final[Mapping[str, Collection]] = {
    "room": ROOMS,
    "booth": BOOTHS,
    "session": SESSIONS,
}
_KIND_OF: Final[Mapping[Collection, str]] = {ROOMS: "room", BOOTHS: "booth", SESSIONS: "session"}
# What the stamp of a registration's session must cover: written together, so that no merge makes another claim of them.
SEATS_GROUPS: Final = frozenset({SESSION, QUANTITY, WAITLIST, CANCELLED})
CLAIM_GROUPS: Final[Mapping[Collection, frozenset[Group]]] = {
    SESSIONS: frozenset({SLOT, PLACING, STATE, SPEAKER_LIST, SEATS}),
    HOLDS: frozenset({SLOT, PLACING, EXPIRES_AT}),
    ROOMS: frozenset({MAX_CONCURRENT}),
    REGISTRATIONS: SEATS_GROUPS | {ATTENDEE},
    RELEASES: frozenset({EVENT, NAME}),
}
NO_GROUPS: Final[frozenset[Group]] = frozenset()


def claims_of(record: Record) -> tuple[Claim, ...]:
    """What a record claims in its present state; of a deleted or cancelled one, nothing."""
    if not record.alive:
        return ()
    if record.key.collection == REGISTRATIONS:
        return _seats_of(record)
    if record.key.collection == RELEASES:
        return _name_of(record)
    register = record.fields.get(SLOT) if record.key.collection in PLACED else None
    if register is None or is_cancelled(value_of(record, STATE)):
        return ()
    candidates = plan_of(record).candidates
    if not candidates or (record.key.collection == HOLDS and not hold_end_ms(record)):
        return ()
    speakers = record.fields.get(SPEAKER_LIST)
    return tuple(
        _claims(record.key, candidates[0], speakers.value if speakers else b"null", register.stamp)
    )


def hold_end_ms(record: Record) -> int:
    """When a hold ends, Unix ms from 1 on; 0 where nobody can tell, and then it holds nothing."""
    end_ms = instant_ms(value_of(record, EXPIRES_AT))
    return 0 if end_ms is None else max(end_ms, 1)


def place_claim(key: RecordKey, candidate: Candidate, stamp: Stamp) -> Claim:
    """The claim of a session or hold on a place, with the buffers there."""
    taken = candidate.taken
    own, resource = ClaimId(key, SLOT_PART), Resource(key.tenant, candidate.name)
    return Claim(own, resource, taken.start_ms, taken.until_ms, 1, stamp)


def _claims(key: RecordKey, wish: Candidate, speakers: bytes, stamp: Stamp) -> Iterator[Claim]:
    yield place_claim(key, wish, stamp)
    tenant, own = key.tenant, wish.place.interval
    start_ms, until_ms = own.start_ms, own.until_ms
    for speaker in speakers_in(speakers):
        name = speaker_name(speaker)
        yield Claim(ClaimId(key, name), Resource(tenant, name), start_ms, until_ms, 0, stamp)


def _seats_of(record: Record) -> tuple[Claim, ...]:
    """What a registration claims of its session."""
    register = record.fields.get(SESSION)
    session = None if register is None else decoded(register.value)
    if register is None or not isinstance(session, str) or not valid_record_id(session):
        return ()
    quantity = quantity_of(value_of(record, QUANTITY))
    if quantity is None or value_of(record, CANCELLED) is True:
        return ()
    key, stamp = record.key, register.stamp
    seats = Resource(key.tenant, seats_name(session))
    made = Claim(ClaimId(key, SEATS_PART), seats, *SEATS_TIME, quantity, stamp)
    attendee = value_of(record, ATTENDEE)
    if not isinstance(attendee, str) or not valid_record_id(attendee):
        return (made,)
    name = attendee_name(attendee)
    return (made, Claim(ClaimId(key, name), Resource(key.tenant, name), *SEATS_TIME, 0, stamp))


def _name_of(record: Record) -> tuple[Claim, ...]:
    """A release claims its name among those of the event."""
    register = record.fields.get(NAME)
    event = value_of(record, EVENT)
    name = None if register is None else decoded(register.value)
    if register is None or not isinstance(name, str):
        return ()
    if not isinstance(event, str) or not valid_record_id(event):
        return ()
    own, resource = ClaimId(record.key, NAME_PART), release_name(event, name)
    scarce = Resource(record.key.tenant, resource)
    return (Claim(own, scarce, *SEATS_TIME, 1, register.stamp),)


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


def seats_name(session: str) -> str:
    """The name of the resource that is a session's seats."""
    return f"session/{session}"


def session_in(resource: Resource) -> str | None:
    """The session whose seats a resource is; None for any other."""
    kind, _, session = resource.name.partition("/")
    return session if kind == "session" else None


def attendee_name(attendee: str) -> str:
    """The name of the resource by which an attendee's registrations are found."""
    return f"attendee/{attendee}"


def release_name(event: str, name: str) -> str:
    """The name of the resource that is a release's name. Hashed, since a peer may have any text there."""
    digest = hashlib.blake2b(name.encode(errors="replace"), digest_size=12).hexdigest()
    return f"release/{event}/{digest}"


def quantity_of(value: Any) -> int | None:
    """How many seats a registration says it wants; one, where it says nothing; None for what makes no sense."""
    if value is None:
        return 1
    sound = isinstance(value, int) and not isinstance(value, bool)
    return value if sound and 1 <= value <= REGISTRATION_SEATS_MAX else None


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
    """How many sessions a room may host at one time, how many seats a session has. Of any other record: one.

    A cancelled session has no seats: those who have one keep it, nobody gets one.
    """
    if owner is None:
        return 1
    if owner.key.collection == SESSIONS:
        return 0 if is_cancelled(value_of(owner, STATE)) else seats_in(value_of(owner, SEATS))
    if owner.key.collection != ROOMS:
        return 1
    return sensible_capacity(value_of(owner, MAX_CONCURRENT))


def seats_in(value: Any) -> int:
    """A session's `seats` as they stand in a record; none, where nothing sensible is said."""
    sound = isinstance(value, int) and not isinstance(value, bool)
    return value if sound and 0 <= value <= PEOPLE_MAX else 0


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
