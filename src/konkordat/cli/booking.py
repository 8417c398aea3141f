"""`konkordat book` and `unbook`: a place for a session, and letting it go."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from konkordat.cli import deciding, wall
from konkordat.cli.connection import Connection
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.naming import Item, Names, name_of
from konkordat.cli.output import console_for, emit_json
from konkordat.cli.slots import PlaceWish, place_text, show_free, show_slot, slot_of
from konkordat.client import Client, Conflict, WriteOptions

SINGLE_LANGUAGE = "en"  # of a title, where the event says none


class Booking(Struct, frozen=True):
    """The flags as they were given."""

    session: str  # title or id; of a new one its title
    place: PlaceWish | None
    is_new: bool
    event: str
    hold: str
    seats: int | None  # people may register for so many; None: not said
    line_up: bool  # ask also for what is taken
    override: str
    dry_run: bool
    wait_s: float


def book(connection: Connection, wish: Booking, as_json: bool) -> int:
    """Ask for a place, and tell what became of it."""
    console = console_for(as_json)
    with connection.client() as client:
        names = Names(client)
        try:
            made = _asked(client, names, wish, console)
        except Conflict as error:
            if error.code != "slot_taken":
                raise
            raise deciding.refused(error, names) from error
        slot = made.get("slot")
        state = slot["state"] if slot else "none"
        instead: Item = {"conflicts": [], "alternatives": []}
        if state == "displaced":
            instead = client.alternatives(made["id"])
        if as_json:
            emit_json({"state": state, "session": made, **instead})
        else:
            _tell(console, names, made, instead["alternatives"], wish)
            if slot and state in deciding.UNDECIDED and not wish.dry_run:
                whom = deciding.decider(client, deciding.venue_of(names, slot))
                go_on = f"To go on waiting: konkordat book {made['id']}"
                console.print(f"Not decided yet: {whom}. {go_on}", soft_wrap=True)
    if wish.dry_run:
        return ExitCode.OK
    return deciding.exit_of(state, wish.wait_s)


def _asked(client: Client, names: Names, wish: Booking, console: Console) -> Item:
    """The session, written, and decided if that was waited for."""
    options: WriteOptions = {"on_conflict": "tentative"} if wish.line_up else {}
    if wish.override:
        options["override"] = wish.override
    if wish.dry_run:
        options["dry_run"] = True
    if wish.is_new:
        write = partial(client.sessions.create, _new(names, wish), **options)
    else:
        id, patch = _moved(names, wish)
        write = partial(client.sessions.update, id, patch, **options)
    if wish.dry_run:
        return write()

    def show(made: Item) -> str:
        show_slot(console, names, _title(made), made["slot"])
        return deciding.decider(client, deciding.venue_of(names, made["slot"]))

    return deciding.settle(
        write,
        lambda made: str((made.get("slot") or {}).get("state", "")),
        wish.wait_s,
        console,
        show,
    )


def _new(names: Names, wish: Booking) -> Item:
    event = names.event(wish.event)
    held = names.record("holds", wish.hold) if wish.hold else None
    days = {event["start_date"], event["end_date"]}
    slot = _slot(names, wish, held, None, days.pop() if len(days) == 1 else "")
    body = {"event": event["id"], "title": titled(event, wish.session), "slot": slot}
    return body | _seats(wish)


def _seats(wish: Booking) -> Item:
    return {} if wish.seats is None else {"seats": wish.seats}


def titled(event: Item, title: str) -> Item:
    """A title in the event's language: the one it shows, or that of its name."""
    language = event.get("language") or next(iter(event["name"]), SINGLE_LANGUAGE)
    return {language: title}


def _moved(names: Names, wish: Booking) -> tuple[str, Item]:
    """A session's id, and the patch that gives it another slot. Nothing to change: then it is only asked about."""
    session = names.record("sessions", wish.session)
    if wish.event and session["event"] != names.event(wish.event)["id"]:
        message = f"The session {_title(session)} is not one of the event {wish.event}."
        raise CommandError(message, ExitCode.USAGE, "usage")
    if wish.place is None and not wish.hold:
        if session.get("slot") is None:
            raise wall.wrong("It has no place yet. Say which, like Saal@2027-06-01T09:00.")
        return session["id"], _seats(wish)
    held = names.record("holds", wish.hold) if wish.hold else None
    present = session.get("slot")
    planned = {"duration_minutes": session.get("duration_minutes")}
    slot = _slot(names, wish, held, present, "", planned)
    # In a merge patch, what is left out stays: another kind of place, old alternatives, the second of two equal times.
    cleared: Item = {"room": None, "booth": None, "alternatives": None, "fold": None}
    return session["id"], {"slot": cleared | slot} | _seats(wish)


def _slot(
    names: Names,
    wish: Booking,
    held: Item | None,
    present: Item | None,
    day: str,
    planned: Item | None = None,
) -> Item:
    if held is None:
        assert wish.place is not None
        place = wish.place
        if present is None and planned and planned["duration_minutes"] and not place.until:
            minutes = place.minutes or planned["duration_minutes"]
            place = PlaceWish(place.place, minutes, "", place.others)
        return slot_of(names, place, present, day)
    taken = ("room", "booth", "local_start", "time_zone", "duration_minutes", "fold")
    slot = {name: held["slot"][name] for name in taken if held["slot"].get(name)}
    return slot | {"hold": held["id"]}


def _title(session: Item) -> str:
    return f"‘{name_of(session)}’"


def _tell(
    console: Console, names: Names, made: Item, alternatives: list[Item], wish: Booking
) -> None:
    show_slot(console, names, _title(made), made["slot"])
    show_free(console, names, alternatives)
    warn(console, made)
    if wish.dry_run:
        console.print("[dim]dry run: nothing was written[/]")
    elif wish.is_new and made["slot"]["state"] not in deciding.UNDECIDED:
        console.print(Text(f"its id is {made['id']}", "dim"), soft_wrap=True)


def warn(console: Console, made: Item) -> None:
    """Soft rules that it breaks."""
    for warning in made.get("warnings") or []:
        console.print(Text(f"! {warning['detail']}", "yellow"), soft_wrap=True)


def unbook(connection: Connection, session: str, *, cancel: bool, as_json: bool) -> int:
    """Let a session's place go."""
    patch: dict[str, Any] = {"state": "cancelled"} if cancel else {"slot": None}
    with connection.client() as client:
        names = Names(client)
        before = names.record("sessions", session)
        made = client.sessions.update(before["id"], patch)
        if as_json:
            emit_json({"session": made, "released": before.get("slot")})
            return ExitCode.OK
        console = console_for(as_json)
        if cancel:
            console.print(Text(f"{_title(before)} is cancelled."))
        slot = before.get("slot")
        if slot is None:
            console.print("[dim]It had no place.[/]")
        elif slot["state"] in {"confirmed", "tentative"} or slot.get("held"):
            place = slot.get("held") or slot.get("granted") or slot
            console.print(Text(f"{place_text(names, place)} is let go."))
        else:
            console.print(f"[dim]It had no place: what it asked for was {slot['state']}.[/]")
        warn(console, made)
    return ExitCode.OK
