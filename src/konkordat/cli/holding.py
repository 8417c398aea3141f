"""`konkordat hold …`: places kept for a while."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Final

from msgspec import Struct
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from konkordat.cli import deciding, wall
from konkordat.cli.connection import Connection
from konkordat.cli.exits import ExitCode
from konkordat.cli.naming import LIVE, Item, Names
from konkordat.cli.output import console_for, emit_json
from konkordat.cli.slots import STYLES, PlaceWish, because, place_text, show_slot, slot_of
from konkordat.client import Client, Conflict

SECONDS_MAX: Final = 24 * 60 * 60  # as long as a place may be held
ID_CHARS_SHOWN: Final = 12  # the random end of an id: enough to name it by


class HoldWish(Struct, frozen=True):
    """The flags as they were given."""

    place: PlaceWish
    event: str
    note: str
    length: str
    wait_s: float


def make_hold(connection: Connection, wish: HoldWish, as_json: bool) -> int:
    """Keep a place."""
    seconds = _seconds(wish.length)
    console = console_for(as_json)
    with connection.client() as client:
        names = Names(client)
        event = names.event(wish.event)
        only = event["start_date"] if event["start_date"] == event["end_date"] else ""
        slot = slot_of(names, wish.place, None, only)
        body: Item = {"event": event["id"], "slot": slot, "ttl_seconds": seconds}
        body |= {"note": wish.note} if wish.note else {}
        write = partial(client.holds.create, body)
        return _settled(client, names, write, wish.wait_s, console, as_json)


def extend_hold(
    connection: Connection, hold: str, length: str, wait_s: float, as_json: bool
) -> int:
    """Keep it longer, from now on."""
    seconds = _seconds(length)
    console = console_for(as_json)
    with connection.client() as client:
        names = Names(client)
        found = names.record("holds", hold)
        write = partial(client.holds.update, found["id"], {"ttl_seconds": seconds})
        return _settled(client, names, write, wait_s, console, as_json)


def _seconds(length: str) -> int:
    seconds = wall.seconds_of(length)
    if seconds > SECONDS_MAX:
        raise wall.wrong(
            f"--for {length}: a place is held for a day at most. Book it, or extend it."
        )
    return seconds


def _settled(
    client: Client,
    names: Names,
    write: deciding.Write,
    wait_s: float,
    console: Console,
    as_json: bool,
) -> int:
    def show(made: Item) -> str:
        show_slot(console, names, _title(made), made["slot"])
        return deciding.decider(client, deciding.venue_of(names, made["slot"]))

    try:
        made = deciding.settle(
            write, lambda made: str(made["slot"]["state"]), wait_s, console, show
        )
    except Conflict as error:
        if error.code != "slot_taken":
            raise
        raise deciding.refused(error, names) from error
    if as_json:
        emit_json(made)
    else:
        show_slot(console, names, _title(made), made["slot"])
        if made["slot"]["state"] in deciding.UNDECIDED:
            whom = deciding.decider(client, deciding.venue_of(names, made["slot"]))
            console.print(f"Not decided yet: {whom}. To look again: konkordat hold list")
        if made["slot"]["state"] in LIVE:
            left = _left(made)
            console.print(f"[dim]It ends {_end(made)}{f', {left} from now' if left else ''}.[/]")
        console.print(Text(f"its id is {made['id']}", "dim"), soft_wrap=True)
    return deciding.exit_of(made["slot"]["state"], wait_s)


def list_holds(connection: Connection, event: str, everything: bool, as_json: bool) -> int:
    """A table of the holds, those that end first first."""
    with connection.client() as client:
        names = Names(client)
        query = {"event": names.event(event)["id"]} if event else {}
        holds = list(client.holds.list(limit="200", **query))
        shown = [hold for hold in holds if everything or hold["slot"]["state"] in LIVE]
        shown.sort(key=lambda hold: str(hold["expires_at"]))
        if as_json:
            emit_json({"holds": shown})
            return ExitCode.OK
        console = console_for(as_json)
        if not shown:
            console.print("[dim]No place is held.[/]")
            return ExitCode.OK
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        table.header_style = "dim"
        for heading in ("hold", "place", "state", "ends", "id"):
            table.add_column(heading, overflow="fold", no_wrap=heading in {"ends", "id"})
        for hold in shown:
            slot = hold["slot"]
            state = Text(slot["state"], STYLES.get(slot["state"], "dim"))
            if reason := because(names, slot):
                state.append(f", {reason}", "dim")
            left = _left(hold)
            table.add_row(
                Text(hold["note"] or "", "bold"),
                Text(place_text(names, slot.get("granted") or slot)),
                state,
                f"in {left}" if left and slot["state"] in LIVE else _end(hold),
                Text(hold["id"][-ID_CHARS_SHOWN:], "dim"),
            )
        console.print(table)
    return ExitCode.OK


def release_hold(connection: Connection, hold: str, as_json: bool) -> int:
    """Let a held place go before its time."""
    with connection.client() as client:
        names = Names(client)
        found = names.record("holds", hold)
        client.holds.delete(found["id"])
        if as_json:
            emit_json({"released": found})
        else:
            slot = found["slot"]
            place = place_text(names, slot.get("granted") or slot)
            told = f"{place} is let go." if slot["state"] in LIVE else f"It was {slot['state']}."
            console_for(as_json).print(Text(told))
    return ExitCode.OK


def _title(hold: Item) -> str:
    return f"hold ‘{hold['note']}’" if hold.get("note") else "hold"


def _end(hold: Item) -> str:
    """When it ends, wall time at the place."""
    return wall.local(hold["expires_at"], hold["slot"]["time_zone"]).replace("T", " ")


def _left(hold: Item) -> str:
    """How long it has still, roughly; "" if it is over."""
    left_s = (datetime.fromisoformat(hold["expires_at"]) - datetime.now(UTC)).total_seconds()
    if left_s <= 0:
        return ""
    return f"{round(left_s / 60)} min" if left_s >= 60 else f"{round(left_s)} s"
