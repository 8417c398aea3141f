"""`konkordat seats` and `konkordat roster`: who decides what, and what operators do about it."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from rich import box
from rich.table import Table
from rich.text import Text

from konkordat.cli.connection import Connection
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.output import console_for, emit_json, thousands
from konkordat.client import Client
from konkordat.client.operations import RosterChange

Seat = dict[str, Any]
END_CHARS_MIN: Final = 4  # of an id, to name a seat by: fewer is a slip more likely than a name
ID_CHARS_SHOWN: Final = (
    12  # the last part of a UUID, 48 random bits; a whole id would fill a line of a terminal
)


class RosterWish(Struct, frozen=True):
    """One change of the roster."""

    change: RosterChange
    node: str
    by: str = ""


# Seats --------------------------------------------------------------------------------------------


def list_seats(connection: Connection, as_json: bool) -> int:
    """A table of all seats."""
    with connection.client() as client:
        seats = list(client.who_decides())
    if as_json:
        emit_json({"seats": seats})
    else:
        console_for(as_json).print(_table(seats))
    return ExitCode.OK if all(seat["has_holder"] for seat in seats) else ExitCode.UNMET


def _table(seats: list[Seat]) -> Table:
    table = _plain("venue", "holder", "term", "since", "home", "decide", "waiting", "seat")
    for column in (2, 6):
        table.columns[column].justify = "right"
    table.columns[7].no_wrap = True
    for seat in seats:
        table.add_row(
            Text(_title(seat), "bold"),
            _holder(seat),
            str(seat["term"]),
            _minute(seat["since"]),
            seat["home"] or "-",
            seat["decide"],
            Text(thousands(seat["undecided"]), "yellow" if seat["undecided"] else "dim"),
            Text(_short(seat["id"]), "dim"),
        )
    return table


def _short(id: str) -> str:
    """As much of a seat's id as tells it apart, and can be typed: its random end."""
    return id.rpartition(".")[2][-ID_CHARS_SHOWN:]


def _holder(seat: Seat) -> Text:
    if seat["has_holder"]:
        return Text(seat["holder"], "green")
    if seat["handed_over"]:
        return Text(f"{seat['holder']}, handed over", "yellow")
    return Text(f"{seat['holder']}, not heard" if seat["holder"] else "nobody", "red")


def show_timeline(connection: Connection, venue: str, as_json: bool) -> int:
    """The terms of one seat."""
    with connection.client() as client:
        shown = client.seat_timeline(_find(client, venue)["id"])
    if as_json:
        emit_json(shown)
        return ExitCode.OK
    table = _plain("term", "holder", "from", "until", "counts up to", "elected by", "roster")
    for column in (0, 4, 6):
        table.columns[column].justify = "right"
    for term in shown["terms"]:
        table.add_row(
            str(term["term"]),
            Text(term["holder"], "bold"),
            _second(term["opened_at"]),
            _second(term["until"]) if term["until"] else Text("now", "green"),
            "all" if term["cutoff"] is None else f"batch {term['cutoff']}",
            ", ".join(term["voters"]),
            str(term["roster"]),
        )
    console = console_for(as_json)
    console.print(Text(f"{_name(shown['seat'])}  ({shown['seat']['id']})", "bold"))
    console.print(table)
    return ExitCode.OK


class HandoverWish(Struct, frozen=True):
    """Who is to hold which seat."""

    venue: str
    node: str
    accept_loss: bool = False


def hand_over(connection: Connection, wish: HandoverWish, wait_s: float, as_json: bool) -> int:
    """Let another member hold a seat."""
    node = wish.node
    with connection.client() as client:
        id = _find(client, wish.venue)["id"]
        seat = client.hand_over(id, node, accept_loss=wish.accept_loss, wait_s=wait_s)
    is_done = seat["holder"] == node and not seat["handed_over"]
    if as_json:
        emit_json(seat)
    elif is_done:
        console_for(as_json).print(
            f"[bold]{node}[/] holds the seat of {_name(seat)}, in term {seat['term']}."
        )
    else:
        console_for(as_json).print(
            f"[yellow]{node} does not hold it yet.[/] See: konkordat seats timeline {seat['id']}"
        )
    return ExitCode.OK if is_done else ExitCode.UNMET


def _find(client: Client, venue: str) -> Seat:
    """The seat that somebody means: by its id (logs write it with slashes), the end of that, or a name of its venue."""
    seats = list(client.who_decides())
    id = venue.replace("/", ".")
    found = (
        [seat for seat in seats if seat["id"] == id]
        or [seat for seat in seats if venue in (seat["name"] or {}).values()]
        or [seat for seat in seats if len(id) >= END_CHARS_MIN and seat["id"].endswith(id)]
    )
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(seat["id"] for seat in found)
        message = f"{venue} may be any of {ids}. Give the id."
    else:
        message = f"There is no seat {venue}. `konkordat seats` lists all."
    raise CommandError(message, ExitCode.USAGE, "unknown_seat")


def _name(seat: Seat) -> str:
    """The venue's name in its first language, or what tells it apart."""
    return _title(seat) or str(seat["id"].rpartition(".")[2])


def _title(seat: Seat) -> str:
    """The venue's name in its first language, "" where it has none: it was deleted, or is not here yet."""
    return str(next(iter((seat["name"] or {}).values()), ""))


# The roster ---------------------------------------------------------------------------------------


def show_members(connection: Connection, as_json: bool) -> int:
    """A table of the members."""
    with connection.client() as client:
        roster = client.roster()
    if as_json:
        emit_json(roster)
    else:
        _print_roster(roster, as_json)
    return ExitCode.OK if roster["has_majority"] else ExitCode.UNMET


def change_roster(connection: Connection, wish: RosterWish, wait_s: float, as_json: bool) -> int:
    """One change, and the roster after it."""
    with connection.client() as client:
        done = client.change_roster(wish.change, wish.node, by=wish.by, wait_s=wait_s)
    is_done = done["state"] == "confirmed"
    if as_json:
        emit_json(done)
    else:
        if not is_done:
            console_for(as_json).print("[yellow]Not decided yet.[/] See: konkordat roster")
        _print_roster(done["roster"], as_json)
    return ExitCode.OK if is_done else ExitCode.UNMET


def _print_roster(roster: dict[str, Any], as_json: bool) -> None:
    table = _plain("member", "", "seats", "incarnation")
    table.columns[2].justify = "right"
    for member in roster["members"]:
        table.add_row(
            Text(member["node"] + (" ←" if member["is_self"] else ""), "bold"),
            Text("heard", "green") if member["alive"] else Text("silent", "red"),
            str(member["seats"]),
            Text(member["origin"].partition(".")[2], "dim"),
        )
    console = console_for(as_json)
    console.print(Text(f"roster, version {roster['version']}", "dim"))
    console.print(table)
    if roster["others"]:
        console.print(Text(f"no members: {', '.join(roster['others'])}", "dim"))
    if roster["conflict"]:
        console.print(Text("! two first rosters were said: nothing is decided", "red"))
    elif not roster["has_majority"]:
        console.print(Text("! no majority is heard: claims wait", "red"))


def _plain(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _minute(at: str | None) -> str:
    """Without the year, so that a line fits a terminal; the timeline has it."""
    return at[5:16].replace("T", " ") if at else "-"


def _second(at: str | None) -> str:
    return at[:19].replace("T", " ") if at else "-"
