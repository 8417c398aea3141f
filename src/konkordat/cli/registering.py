"""`konkordat register` and `unregister`: seats of a session for somebody, and their place in the line."""

from __future__ import annotations

from functools import partial

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from konkordat.cli import deciding
from konkordat.cli.connection import Connection
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.naming import Item, Names, name_of
from konkordat.cli.output import console_for, emit_json
from konkordat.cli.slots import state_line
from konkordat.client import Client, Conflict


class RegistrationWish(Struct, frozen=True):
    """The flags as they were given."""

    session: str
    who: str
    seats: int
    waits: bool
    is_new: bool
    email: str
    wait_s: float


def register(connection: Connection, wish: RegistrationWish, as_json: bool) -> int:
    """Ask for seats, and tell what became of that."""
    console = console_for(as_json)
    with connection.client() as client:
        names = Names(client)
        session = names.record("sessions", wish.session)
        attendee = _attendee(client, names, wish)
        what = f"{name_of(attendee)}: ‘{name_of(session)}’"
        try:
            made = _asked(client, wish, session, attendee["id"], what, console)
        except Conflict as error:
            if error.code != "sold_out":
                raise
            raise _sold_out(error) from error
        has_all = made["seats_held"] == made["quantity"]
        place = None if has_all else place_in_line(client, made)
        if as_json:
            emit_json({**made, "place_in_line": place})
        else:
            console.print(state_line(made["state"], f"{what}, {_seats_text(made, place)}"))
    if wish.waits and made.get("reason"):
        return ExitCode.OK  # in the line, as was asked for
    return ExitCode.UNMET if made.get("reason") else deciding.exit_of(_state(made), wish.wait_s)


def _state(registration: Item) -> str:
    """Its state; `pending` also where seats are held while it is not decided whether there are as many as wanted."""
    has_all = registration["seats_held"] == registration["quantity"]
    is_decided = has_all or registration.get("reason") or registration["cancelled"]
    return str(registration["state"]) if is_decided else "pending"


def _attendee(client: Client, names: Names, wish: RegistrationWish) -> Item:
    """Who is meant; with --new made if there is nobody of that name."""
    try:
        return names.attendee(wish.who)
    except CommandError as error:
        if error.kind != "not_found":
            raise
        if not wish.is_new:
            message = f"{error.message} To make one: --new."
            raise CommandError(message, error.code, error.kind) from error
    body: Item = {"name": wish.who} | ({"email": wish.email} if wish.email else {})
    return client.attendees.create(body)


def _asked(
    client: Client,
    wish: RegistrationWish,
    session: Item,
    attendee: str,
    what: str,
    console: Console,
) -> Item:
    """The registration, decided if that was waited for. One that is there is changed to what is asked for."""
    seats: Item = {"quantity": wish.seats, "waitlist": wish.waits}

    def show(made: Item) -> str:
        console.print(state_line(made["state"], f"{what}, {_seats_text(made, None)}"))
        return deciding.decider(client, session["event"])

    def settle(write: deciding.Write) -> Item:
        return deciding.settle(write, _state, wish.wait_s, console, show)

    body = {"session": session["id"], "attendee": attendee, **seats}
    try:
        return settle(partial(client.registrations.create, body))
    except Conflict as error:
        if error.code != "already_registered" or error.current is None:
            raise
        id = error.current["id"]
    return settle(partial(client.registrations.update, id, {**seats, "cancelled": False}))


def _sold_out(error: Conflict) -> CommandError:
    left = error.document.get("seats_left", 0)
    told = f"Only {left} of {error.document.get('seats')} seats are left" if left else "Sold out"
    message = f"{told}; nothing was booked. To wait until seats come free: --waitlist."
    return CommandError(message, ExitCode.REFUSED, error.code, {"seats_left": left})


def _seats_text(registration: Item, place: int | None) -> str:
    held, wanted = registration["seats_held"], registration["quantity"]
    text = f"{wanted} seat{'s' if wanted != 1 else ''}"
    if held and held != wanted:
        text += f" wanted, {held} held"
    return f"{text}, place {place} in the line" if place else text


def place_in_line(client: Client, registration: Item) -> int | None:
    """1 for whoever is asked first when a seat comes free; None for who does not wait, or is far behind."""
    line = client.seats(registration["session"], limit="1")["line"]
    return line.index(registration["id"]) + 1 if registration["id"] in line else None


def unregister(connection: Connection, session: str, who: str, as_json: bool) -> int:
    """Cancel somebody's registration."""
    with connection.client() as client:
        names = Names(client)
        found = names.record("sessions", session)
        attendee = names.attendee(who)
        listed = client.list("registrations", session=found["id"], limit="200")
        mine = next((r for r in listed if r["attendee"] == attendee["id"]), None)
        if mine is None:
            message = f"{name_of(attendee)} is not registered for ‘{name_of(found)}’."
            raise CommandError(message, ExitCode.REFUSED, "not_found")
        made = client.registrations.update(mine["id"], {"cancelled": True})
        if as_json:
            emit_json(made)
        else:
            freed = mine["seats_held"]
            told = f"; {freed} seat{'s' if freed != 1 else ''} given back" if freed else ""
            what = f"{name_of(attendee)}: ‘{name_of(found)}’{told}"
            console_for(as_json).print(Text.assemble(state_line(made["state"], what)))
    return ExitCode.OK
