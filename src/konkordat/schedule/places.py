"""Where and when a command's sessions are to be: checked against the rules, what others hold, and each other.

A session that stays where it is is never asked again, even if it was displaced meanwhile: editing its title must not
fail because of its room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import HLC_MAX, Hlc, Stamp
from konkordat.kernel.ids import Collection, Group, Origin, RecordId, RecordKey
from konkordat.kernel.refusal import Refusal
from konkordat.replica.domain import View
from konkordat.schedule import rules
from konkordat.schedule.claims import (
    EVENTS,
    MAX_CONCURRENT,
    SESSIONS,
    SLOT,
    SLOT_PART,
    SPEAKER_LIST,
    STATE,
    VENUES,
    Place,
    capacity_owner,
    decoded,
    is_cancelled,
    place_of,
    sensible_capacity,
    speaker_name,
    speakers_in,
)
from konkordat.schedule.commands import NULL, DroppedSlot, WriteCommand, WriteWarning
from konkordat.schedule.drafts import Draft
from konkordat.schedule.times import Interval, to_utc_ms, utc_text, zone

CONFLICTS_MAX: Final = 16  # claims named in one refusal
EVENT: Final = Group("event")
# A claim that is not written yet comes after every one that is.
_LAST: Final = Stamp(Hlc(HLC_MAX), Origin(""))
_NOTHING: Final[rules.Values] = {}


class Places:
    """The places of one command. `settle` first, then the rest may be asked."""

    def __init__(
        self, command: WriteCommand, view: View, drafts: Mapping[RecordKey, Draft]
    ) -> None:
        self.dropped: list[DroppedSlot] = []
        self._command = command
        self._view = view
        self._drafts = drafts
        self._moved: set[RecordKey] = set()  # sessions of the command that go elsewhere, or away
        self._restaffed: set[RecordKey] = set()  # that stay where they are with other speakers
        self._placed: list[Claim] = []  # what those two hold after the command
        self._displaced: list[WriteWarning] = []

    def settle(self) -> Refusal | None:
        """Check every session of the command that gets a place; drop slots where that was asked for."""
        sessions = [d for d in self._drafts.values() if d.key.collection == SESSIONS]
        for draft in sessions:
            self._sort(draft)
        for draft in sessions:
            if draft.alive:
                refusal = self._settle(draft)
                if refusal is not None:
                    return located(refusal, draft.operation)
        return None

    def drop(self, draft: Draft, refusal: Refusal) -> bool:
        """Take a slot that cannot be off its session, if the command prefers that to being refused."""
        operation = self._command.operations[draft.operation]
        if operation.on_conflict != "without_slot":
            return False
        slot = decoded(draft.value(SLOT))
        others = tuple([claim.id.owner.id for claim in refusal.conflicts])
        self.dropped.append(
            DroppedSlot(draft.operation, draft.key.id, refusal.code, refusal.detail, slot, others)
        )
        draft.clear(SLOT)
        return True

    def holders(self, resource: Resource, start_ms: int, until_ms: int) -> list[Claim]:
        """Who holds a place on a resource in that time, as the command leaves it."""
        away = self._moved
        if capacity_owner(resource) is None:
            away = away | self._restaffed
        held = self._view.granted(resource, start_ms, until_ms)
        found = [claim for claim in held if claim.id.owner not in away]
        return found + [
            claim
            for claim in self._placed
            if claim.resource == resource
            and claim.start_ms < until_ms
            and start_ms < claim.until_ms
        ]

    # One session ---------------------------------------------------------------------------------

    def _sort(self, draft: Draft) -> None:
        before: rules.Values = _NOTHING
        if draft.base is not None and draft.base.alive:
            before = {group: register.value for group, register in draft.base.fields.items()}
        after = draft.values if draft.alive else _NOTHING
        if _place(before) != _place(after):
            self._moved.add(draft.key)
        elif _speakers(before) != _speakers(after):
            self._restaffed.add(draft.key)

    def _settle(self, draft: Draft) -> Refusal | None:
        refusal = _unreadable(draft)
        if refusal is not None:
            return None if self.drop(draft, refusal) else refusal
        place = _place(draft.values)
        moved = draft.key in self._moved
        if place is not None and (moved or EVENT in draft.writes):
            refusal = self._broken_rule(draft, place)
            taken = self._taken(draft, place) if refusal is None and moved else None
            if taken is not None and self._may_be_displaced(draft, taken):
                return None
            refusal = refusal or taken
            if refusal is not None:
                return None if self.drop(draft, refusal) else refusal
        if place is not None:
            self._hold(draft, place)
        return None

    def _hold(self, draft: Draft, place: Place) -> None:
        """Book what the session holds from now on."""
        key, interval = draft.key, place.interval
        if key in self._moved:
            if SLOT not in draft.writes:
                # A session that was cancelled and is not any more claims its place now, not when it first did.
                draft.claim_again(SLOT)
            self._placed.append(_claim(key, SLOT_PART, place.name, interval, 1))
        if key in self._moved or key in self._restaffed:
            for speaker in _speakers(draft.values):
                name = speaker_name(speaker)
                self._placed.append(_claim(key, name, name, interval, 0))

    def _may_be_displaced(self, draft: Draft, taken: Refusal) -> bool:
        """Write it all the same: the decision on the merged state will displace it until the place is free."""
        if self._command.operations[draft.operation].on_conflict != "tentative":
            return False
        if SLOT not in draft.writes:
            draft.claim_again(SLOT)
        others = tuple([claim.id.owner.id for claim in taken.conflicts])
        self._displaced.append(
            WriteWarning("slot_taken", taken.detail, draft.operation, "/slot", draft.key.id, others)
        )
        return True

    # Rules ---------------------------------------------------------------------------------------

    def _broken_rule(self, draft: Draft, place: Place) -> Refusal | None:
        event_id = decoded(draft.value(EVENT))
        event = self._values(EVENTS, event_id)
        frame = rules.frame_of(event) if event else None
        if frame is not None and not rules.within_event(place.interval, frame):
            detail = f"{utc_text(place.interval.start_ms)} is not on a day of the event."
            return Refusal("outside_event", detail, "/slot/local_start")
        site, what = self._site(place), place.name.replace("/", " ")
        owned_by = rules.read(site, "event")
        if owned_by is not None and owned_by != event_id:
            return Refusal("wrong_place", f"The {what} is kept for another event.", "/slot")
        if frame is not None and frame.venues and rules.read(site, "venue") not in frame.venues:
            return Refusal("wrong_place", f"The {what} is in no venue of the event.", "/slot")
        if not self._command.override_reason and not self._open(place.interval, place, draft):
            detail = f"The {what} cannot be booked at that time of day."
            return Refusal("outside_hours", detail, "/slot/local_start")
        return None

    def _open(self, interval: Interval, place: Place, draft: Draft) -> bool:
        """True if the place may be booked then. Hours are the venue's wall time."""
        site = self._site(place)
        if not rules.read(site, "bookable_hours"):
            return True
        venue = self._values(VENUES, rules.read(site, "venue")) or _NOTHING
        slot = decoded(draft.value(SLOT))
        found = zone(str(rules.read(venue, "time_zone") or slot["time_zone"]))
        return isinstance(found, ZoneInfo) and rules.within_hours(interval, site, found)

    def _taken(self, draft: Draft, place: Place) -> Refusal | None:
        interval, site = place.interval, self._site(place)
        claim = _claim(draft.key, SLOT_PART, place.name, interval, 1)
        buffers = rules.buffers_of(site)
        capacity = sensible_capacity(rules.read(site, MAX_CONCURRENT))
        reach = buffers.reach_ms
        near = self.holders(claim.resource, claim.start_ms - reach, claim.until_ms + reach)
        blocking = rules.standing_in_the_way(claim, near, capacity, buffers)
        if not blocking:
            return None
        free = self._free_slots(draft, place, claim, capacity, buffers)
        return Refusal(
            "slot_taken",
            _taken_detail(place, blocking),
            "/slot",
            conflicts=blocking[:CONFLICTS_MAX],
            extra={"alternatives": free},
        )

    def _free_slots(
        self, draft: Draft, place: Place, claim: Claim, capacity: int, buffers: rules.Buffers
    ) -> list[dict[str, Any]]:
        """The nearest times at which the place is free and the rules allow it."""
        reach = rules.ALTERNATIVES_REACH_MS + buffers.reach_ms
        around = self.holders(claim.resource, claim.start_ms - reach, claim.until_ms + reach)
        length = claim.until_ms - claim.start_ms
        slot = decoded(draft.value(SLOT))
        found: list[dict[str, Any]] = []
        for start_ms in rules.free_starts(claim, around, capacity, buffers):
            moved = Place(place.name, Interval(start_ms, start_ms + length))
            free = rules.slot_at(slot, start_ms)
            if free is not None and self._broken_rule(draft, moved) is None:
                found.append(free)
            if len(found) == rules.ALTERNATIVES_MAX:
                break
        return found

    # Soft clashes --------------------------------------------------------------------------------

    def warnings(self) -> list[WriteWarning]:
        """What the command breaks of the rules that refuse nothing."""
        found = list(self._displaced)
        pairs: set[tuple[str, frozenset[str]]] = set()
        for draft in self._drafts.values():
            if draft.key.collection == SESSIONS and draft.alive:
                found += self._double_bookings(draft, pairs)
                found += self._too_small(draft)
        return found

    def _double_bookings(
        self, draft: Draft, pairs: set[tuple[str, frozenset[str]]]
    ) -> Iterator[WriteWarning]:
        """Speakers of a session that would have to be in another one at that time; each pair is told once."""
        place = _place(draft.values)
        if place is None or draft.key not in self._moved | self._restaffed:
            return
        id_ = draft.key.id
        for number, speaker in enumerate(_speakers(draft.values)):
            resource = Resource(draft.key.tenant, speaker_name(speaker))
            held = self.holders(resource, place.interval.start_ms, place.interval.until_ms)
            ids = {claim.id.owner.id for claim in held} - {id_}
            others = sorted(o for o in ids if (speaker, frozenset({id_, o})) not in pairs)
            pairs |= {(speaker, frozenset({id_, other})) for other in others}
            if others:
                detail = f"Speaker {speaker} is in another session at that time: {others[0]}."
                yield WriteWarning(
                    "speaker_clash",
                    detail,
                    draft.operation,
                    f"/speakers/{number}",
                    id_,
                    tuple(others[:CONFLICTS_MAX]),
                    speaker,
                )

    def _too_small(self, draft: Draft) -> Iterator[WriteWarning]:
        place = _place(draft.values)
        if place is None or draft.writes.keys().isdisjoint({SLOT, Group("seats")}):
            return
        seats = rules.read(draft.values, "seats")
        room = rules.read(self._site(place), "capacity")
        if isinstance(seats, int) and isinstance(room, int) and seats > room:
            detail = f"The session offers {seats} seats, the room has {room}."
            yield WriteWarning("room_too_small", detail, draft.operation, "/seats", draft.key.id)

    # Other records -------------------------------------------------------------------------------

    def _site(self, place: Place) -> rules.Values:
        """The room or booth, as the command leaves it."""
        owner = capacity_owner(Resource(self._command.tenant, place.name))
        assert owner is not None
        return self._values(owner.collection, owner.id) or _NOTHING

    def _values(self, collection: Collection, id_: object) -> rules.Values | None:
        """The groups of a record that is alive after the command."""
        if not isinstance(id_, str):
            return None
        key = RecordKey(self._command.tenant, collection, RecordId(id_))
        draft = self._drafts.get(key)
        if draft is not None:
            return draft.values if draft.alive else None
        record = self._view.record(key)
        if record is None or not record.alive:
            return None
        return {group: register.value for group, register in record.fields.items()}


def located(refusal: Refusal, operation: int) -> Refusal:
    """The refusal with the operation it is about."""
    if "operation" in refusal.extra:
        return refusal
    extra = {**refusal.extra, "operation": operation}
    return msgspec.structs.replace(refusal, extra=extra)


def _place(values: rules.Values) -> Place | None:
    """The place a session takes; none if it is cancelled."""
    slot = values.get(SLOT, NULL)
    if slot == NULL or is_cancelled(rules.read(values, STATE)):
        return None
    return place_of(slot)


def _speakers(values: rules.Values) -> tuple[str, ...]:
    return speakers_in(values.get(SPEAKER_LIST, NULL))


def _claim(key: RecordKey, part: str, name: str, interval: Interval, quantity: int) -> Claim:
    resource = Resource(key.tenant, name)
    start_ms, until_ms = interval.start_ms, interval.until_ms
    return Claim(ClaimId(key, part), resource, start_ms, until_ms, quantity, _LAST)


def _unreadable(draft: Draft) -> Refusal | None:
    """Whether a written slot has no time: an unknown zone, or a wall time that the clocks skip."""
    slot = decoded(draft.writes.get(SLOT, NULL))
    if not isinstance(slot, dict):
        return None
    local, zone_name = str(slot.get("local_start")), str(slot.get("time_zone"))
    start = to_utc_ms(local, zone_name, int(slot.get("fold") or 0))
    if isinstance(start, int):
        return None
    field = "time_zone" if start.code == "unknown_time_zone" else "local_start"
    suggestions = list(getattr(start, "suggestions", ()))
    extra = {"suggestions": suggestions} if suggestions else {}
    return Refusal(start.code, f"{start}.", f"/slot/{field}", extra=extra)


def _taken_detail(place: Place, blocking: tuple[Claim, ...]) -> str:
    first = blocking[0]
    more = f" and {len(blocking) - 1} more" if len(blocking) > 1 else ""
    return (
        f"The {place.name.replace('/', ' ')} is taken from {utc_text(first.start_ms)} to"
        f" {utc_text(first.until_ms)} by session {first.id.owner.id}{more}."
    )
