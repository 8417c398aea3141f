"""Slots as claims see them: the place wished and its alternatives, each with the buffers of its room. Pure.

A claim must follow from its record alone, on every node alike, so what it needs of other records is copied when the
slot is written, into the group `placing`: the buffers of each place, what is let go in return, whether the slots of the
transaction go together. It counts only with the slot it was written with: the two have one stamp. A slot without it (of
an import by another program, say) has no buffers.

    session
      slot      {"room": …, "local_start": …, "alternatives": [{"room": …}, …]}
      placing   {"buffers": [[10, 20], [0, 0]], "together": true, "replaces": "…", "was": [{…}]}

Remote changes cannot be refused, so nothing here raises: what makes no sense claims nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from konkordat.kernel import canonical
from konkordat.kernel.claim import Claim
from konkordat.kernel.ids import Group, valid_record_id
from konkordat.kernel.record import Record
from konkordat.kernel.seat import ALTERNATIVES_MAX
from konkordat.schedule.fields import BUFFER_MINUTES_MAX, DURATION_MINUTES_MAX
from konkordat.schedule.times import MINUTE_MS, Interval, to_utc_ms

SLOT: Final = Group("slot")
PLACING: Final = Group("placing")
SLOT_PART: Final = "slot"  # the part of a session's claim on its room or booth
HELD_PART: Final = (
    f"{SLOT_PART}@held"  # the place that a session keeps while its move is undecided or denied
)
NULL: Final = b"null"
# Places before that a slot remembers, so that they can be shown as they were: several moves may be undecided at once.
WAS_MAX: Final = 4
# After a session come teardown and turnaround, each at most as long as a buffer may be.
_AFTER_MINUTES_MAX: Final = 2 * BUFFER_MINUTES_MAX


class Place(NamedTuple):
    """Where and when a session is: "room/<id>" or "booth/<id>", UTC milliseconds."""

    name: str
    interval: Interval


class Candidate(NamedTuple):
    """A place that a slot may get, with what is kept free around it."""

    place: Place
    local_start: str
    time_zone: str
    duration_minutes: int
    fold: int = 0
    before_minutes: int = 0
    after_minutes: int = 0

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def taken(self) -> Interval:
        """What the claim takes: setup before, teardown and turnaround after. Two claims that meet keep both apart."""
        own = self.place.interval
        return Interval(
            own.start_ms - self.before_minutes * MINUTE_MS,
            own.until_ms + self.after_minutes * MINUTE_MS,
        )

    def is_at(self, claim: Claim) -> bool:
        """True if the claim is for this place and time."""
        start_ms, until_ms = self.taken.start_ms, self.taken.until_ms
        return (claim.resource.name, claim.start_ms, claim.until_ms) == (
            self.name, start_ms, until_ms
        )  # fmt: skip

    def as_slot(self) -> dict[str, Any]:
        """The place as a slot that clients can send."""
        kind, _, id_ = self.name.partition("/")
        slot = {
            kind: id_,
            "local_start": self.local_start,
            "time_zone": self.time_zone,
            "duration_minutes": self.duration_minutes,
        }
        return slot | ({"fold": self.fold} if self.fold else {})

    def with_buffers(self, before_minutes: int, after_minutes: int) -> Candidate:
        return self._replace(before_minutes=before_minutes, after_minutes=after_minutes)


class Plan(NamedTuple):
    """All that a record's slot says: the wish, then its alternatives in order of liking; and how to grant them."""

    candidates: tuple[Candidate, ...] = ()
    was: tuple[Candidate, ...] = ()  # places it may still hold
    replaces: str = ""  # id of the hold whose place it takes over
    together: bool = False
    waits: bool = False  # asked again when it was denied and a place frees

    def at(self, claim: Claim) -> Candidate | None:
        """The place that a claim of the record is for, with the session's own times."""
        known = (*self.candidates, *self.was)
        return next((one for one in known if one.is_at(claim)), None)


NO_PLAN: Final = Plan()


class _Alternative(Struct, frozen=True):
    room: str | None = None
    booth: str | None = None
    local_start: str | None = None
    fold: int | None = None


class _SlotView(Struct, frozen=True):
    """As much of a slot as a claim depends on."""

    local_start: str
    time_zone: str
    duration_minutes: int
    room: str | None = None
    booth: str | None = None
    fold: int = 0
    alternatives: tuple[_Alternative, ...] = ()


class _Was(_SlotView, frozen=True):
    buffers: tuple[int, ...] = ()


class _PlacingView(Struct, frozen=True):
    buffers: tuple[tuple[int, ...], ...] = ()
    together: bool = False
    waits: bool = False
    replaces: str = ""
    was: tuple[_Was, ...] = ()


# Ordinary slots take about 150 bytes. Whatever a peer sends beyond is read each time, not kept in memory.
_CACHED_BYTES_MAX: Final = 1_024
_slot_decoder: Final = msgspec.json.Decoder(_SlotView)
_placing_decoder: Final = msgspec.json.Decoder(_PlacingView)


def plan_of(record: Record) -> Plan:
    """What a record's slot says; nothing for one without a slot that makes sense."""
    slot = record.fields.get(SLOT)
    if slot is None:
        return NO_PLAN
    placing = record.fields.get(PLACING)
    counts = placing is not None and placing.stamp == slot.stamp
    return plan_from(slot.value, placing.value if placing is not None and counts else NULL)


def plan_from(slot: bytes, placing: bytes = NULL) -> Plan:
    """The same from both groups as canonical JSON."""
    kept = len(slot) + len(placing) <= _CACHED_BYTES_MAX
    return _plan(slot, placing) if kept else _plan.__wrapped__(slot, placing)


def place_of(slot: bytes) -> Place | None:
    """Where and when a slot wishes to be, from its canonical JSON; None for null and for what is no slot."""
    candidates = plan_from(slot).candidates
    return candidates[0].place if candidates else None


@lru_cache(maxsize=8_192)
def _plan(slot: bytes, placing: bytes) -> Plan:
    try:
        view = _slot_decoder.decode(slot)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return NO_PLAN
    how = _placing(placing)
    wish = _candidate(view, _pair(how.buffers, 0))
    if wish is None:
        return NO_PLAN
    others = (
        _candidate(_instead(view, other), _pair(how.buffers, number))
        for number, other in enumerate(view.alternatives[:ALTERNATIVES_MAX], 1)
    )
    was = (_candidate(one, one.buffers) for one in how.was[:WAS_MAX])
    replaces = how.replaces if valid_record_id(how.replaces) else ""
    candidates = (wish, *filter(None, others))
    return Plan(candidates, tuple(filter(None, was)), replaces, how.together, how.waits)


def _placing(placing: bytes) -> _PlacingView:
    if placing == NULL:
        return _PlacingView()
    try:
        return _placing_decoder.decode(placing)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _PlacingView()


def _instead(view: _SlotView, other: _Alternative) -> _SlotView:
    """The slot with what an alternative names put in."""
    elsewhere = bool(other.room) or bool(other.booth)
    fold = view.fold if other.local_start is None else 0
    return _SlotView(
        other.local_start if other.local_start is not None else view.local_start,
        view.time_zone,
        view.duration_minutes,
        other.room if elsewhere else view.room,
        other.booth if elsewhere else view.booth,
        fold if other.fold is None else other.fold,
    )


def _candidate(view: _SlotView, buffers: tuple[int, ...]) -> Candidate | None:
    sound = 0 < view.duration_minutes <= DURATION_MINUTES_MAX and view.fold in {0, 1}
    if not sound or bool(view.room) == bool(view.booth):
        return None
    kind, id_ = ("room", view.room) if view.room else ("booth", view.booth)
    if id_ is None or not valid_record_id(id_):
        return None
    start_ms = to_utc_ms(view.local_start, view.time_zone, view.fold)
    if not isinstance(start_ms, int):
        return None
    interval = Interval(start_ms, start_ms + view.duration_minutes * MINUTE_MS)
    before, after = buffers if len(buffers) == 2 else (0, 0)
    if not (0 <= before <= BUFFER_MINUTES_MAX and 0 <= after <= _AFTER_MINUTES_MAX):
        before, after = 0, 0
    return Candidate(
        Place(f"{kind}/{id_}", interval),
        view.local_start,
        view.time_zone,
        view.duration_minutes,
        view.fold,
        before,
        after,
    )


def _pair(buffers: tuple[tuple[int, ...], ...], number: int) -> tuple[int, ...]:
    return buffers[number] if number < len(buffers) else ()


def placing_value(plan: Plan) -> bytes:
    """The group `placing` of a slot, as it is written beside it; null where there is nothing to say."""
    value: dict[str, Any] = {}
    buffers = [[one.before_minutes, one.after_minutes] for one in plan.candidates]
    if any(map(any, buffers)):
        value["buffers"] = buffers
    if plan.together:
        value["together"] = True
    if plan.waits:
        value["waits"] = True
    if plan.replaces:
        value["replaces"] = plan.replaces
    if plan.was:
        value["was"] = [
            one.as_slot() | {"buffers": [one.before_minutes, one.after_minutes]}
            for one in plan.was[:WAS_MAX]
        ]
    return canonical.encode(value) if value else NULL


def alternative_slots(slot: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The slots that a slot's alternatives stand for, as they were sent: no more than a look at the text."""
    plain = {name: value for name, value in slot.items() if name not in {"alternatives", "hold"}}
    found: list[dict[str, Any]] = []
    others = slot.get("alternatives")
    for other in others if isinstance(others, list) else ():
        base = dict(plain)
        if "room" in other or "booth" in other:
            base = {k: v for k, v in base.items() if k not in {"room", "booth"}}
        if "local_start" in other:
            base.pop("fold", None)
        found.append(base | other)
    return found
