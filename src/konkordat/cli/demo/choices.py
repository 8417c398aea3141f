"""What the scenes need of a programme: sessions to edit, a room that is taken, a room that is free. Pure."""

from __future__ import annotations

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


def choose(programme: Programme, plan: ImportPlan) -> Choices:
    """Choices that suit the programme. Raises CommandError if it is too small for the story."""
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
    return Choices(
        event_id=plan.event_id,
        taken=taken,
        edited=edited,
        contested=contested,
        others=tuple(others),
        free_slot=_free_slot(programme, placed),
    )


def _booked(operation: UpsertOperation) -> Booked:
    language, title = next(iter(operation.data["title"].items()))
    return Booked(operation.id, title, language, operation.data.get("slot"))


def _free_slot(programme: Programme, placed: list[Booked]) -> dict[str, Any]:
    """A room and a time of the event that nobody has."""
    busy: dict[str, list[tuple[datetime, datetime]]] = {}
    for session in placed:
        assert session.slot is not None
        start = datetime.fromisoformat(session.slot["local_start"])
        until = start + timedelta(minutes=session.slot["duration_minutes"])
        busy.setdefault(session.slot["room"], []).append((start, until))
    length = timedelta(minutes=FREE_MINUTES)
    for start in _times(programme.event.start_date):
        for room, taken in busy.items():
            if not any(
                start < other_until and other < start + length for other, other_until in taken
            ):
                return {
                    "room": room,
                    "local_start": start.isoformat(timespec="minutes"),
                    "time_zone": programme.event.time_zone,
                    "duration_minutes": FREE_MINUTES,
                }
    message = "Every room is taken at every hour of the first day: the demo finds none to book."
    raise CommandError(message, ExitCode.FILE, "programme_too_full")


def _times(date: str) -> Iterator[datetime]:
    midnight = datetime.fromisoformat(date)
    for hour in HOURS:
        yield midnight + timedelta(hours=hour)
