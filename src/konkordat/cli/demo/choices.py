"""What the scenes need of a programme: sessions to edit, a room that is taken, a room that is free. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from konkordat.cli.exits import CommandError, ExitCode
from konkordat.schedule.interchange.plan import ImportPlan, UpsertOperation
from konkordat.schedule.interchange.programme import Programme

FREE_MINUTES: Final = 30
# Hours to look for a free room in: the evening first, when most rooms are.
HOURS: Final = (20, 21, 22, 19, 18, 13, 12, 17, 16, 15, 14, 11, 10, 9, 8, 7, 6, 5)
SESSIONS_NEEDED: Final = 4
FREE_NEEDED: Final = 9  # places: one for the cut, two for the rivals, six for the takeover


class Booked(Struct, frozen=True):
    """A session of the programme, as far as the scenes speak of it."""

    id: str
    title: str
    language: str  # of the title
    slot: dict[str, Any] | None  # as a body carries it


class Choices(Struct, frozen=True):
    """Who plays what."""

    event_id: str
    taken: Booked  # its room is asked for a second time
    edited: Booked  # edited at one node, for the first scene
    contested: Booked  # edited on both sides of the cut
    others: tuple[Booked, ...]  # edited on one side only
    free_slot: dict[str, Any]  # booked on both sides of the cut
    rival_slot: dict[str, Any]  # wanted from three regions at once; it names an alternative
    more_slots: tuple[dict[str, Any], ...]  # booked while nobody holds the seat
    venue_id: str  # where all these free slots are, so that one seat decides them
    venue: str  # its name


def choose(programme: Programme, plan: ImportPlan, home: str = "") -> Choices:
    """Choices that suit the programme; free rooms are looked for in the houses of the region `home`, if it has any.

    Raises CommandError if the programme is too small for the story.
    """
    refused = {entry.session.id for entry in plan.report.slots_refused}
    sessions = [_booked(o) for o in plan.operations if o.collection == "sessions"]
    cancelled = {o.id for o in plan.operations if o.data.get("state") == "cancelled"}
    placed = [s for s in sessions if s.slot and s.id not in refused and s.id not in cancelled]
    if len(placed) < SESSIONS_NEEDED:
        message = (
            f"The demo needs {SESSIONS_NEEDED} sessions with a room and a time; {plan.report.title!r}"
            f" has {len(placed)}. `konkordat import` takes it all the same."
        )
        raise CommandError(message, ExitCode.FILE, "programme_too_small")
    edited, contested, taken, *others = placed
    venue = _venue(plan, home)
    first, wish, instead, *more = _free_slots(programme, plan, venue.id, placed)
    return Choices(
        event_id=plan.event_id,
        taken=taken,
        edited=edited,
        contested=contested,
        others=tuple(others),
        free_slot=first,
        rival_slot=wish | {"alternatives": [_as_alternative(wish, instead)]},
        more_slots=tuple(more),
        venue_id=venue.id,
        venue=next(iter(venue.data["name"].values())),
    )


def _booked(operation: UpsertOperation) -> Booked:
    language, title = next(iter(operation.data["title"].items()))
    return Booked(operation.id, title, language, operation.data.get("slot"))


def _venue(plan: ImportPlan, home: str) -> UpsertOperation:
    """The house of a region with the most rooms; of all, if the region has none."""
    venues = [o for o in plan.operations if o.collection == "venues"]
    at_home = [v for v in venues if v.data.get("region") == home] or venues
    rooms = Counter(o.data["venue"] for o in plan.operations if o.collection == "rooms")
    return max(at_home, key=lambda venue: rooms[venue.id])


def _free_slots(
    programme: Programme, plan: ImportPlan, venue: str, placed: list[Booked]
) -> list[dict[str, Any]]:
    """Rooms of a house and times of the event that nobody has, none twice."""
    rooms = [o.id for o in plan.operations if o.collection == "rooms" and o.data["venue"] == venue]
    busy: dict[str, list[tuple[datetime, datetime]]] = {room: [] for room in rooms}
    for session in placed:
        assert session.slot is not None
        start = datetime.fromisoformat(session.slot["local_start"])
        until = start + timedelta(minutes=session.slot["duration_minutes"])
        busy.setdefault(session.slot["room"], []).append((start, until))
    found: list[dict[str, Any]] = []
    length = timedelta(minutes=FREE_MINUTES)
    for start in _times(programme.event.start_date, programme.event.end_date):
        for room in rooms:
            if not any(begins < start + length and start < ends for begins, ends in busy[room]):
                found.append(_slot(room, start, programme.event.time_zone))
            if len(found) == FREE_NEEDED:
                return found
    message = f"The rooms of the house are too full: the demo needs {FREE_NEEDED} free half hours."
    raise CommandError(message, ExitCode.FILE, "programme_too_full")


def _slot(room: str, start: datetime, time_zone: str) -> dict[str, Any]:
    return {
        "room": room,
        "local_start": start.isoformat(timespec="minutes"),
        "time_zone": time_zone,
        "duration_minutes": FREE_MINUTES,
    }


def _as_alternative(wish: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What another place says beyond the wish: a room, a time or both."""
    return {name: other[name] for name in ("room", "local_start") if other[name] != wish[name]}


def _times(first: str, last: str) -> Iterator[datetime]:
    day, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    while day <= end:
        for hour in HOURS:
            yield day + timedelta(hours=hour)
        day += timedelta(days=1)
