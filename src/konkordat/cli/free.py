"""`konkordat free`: what is free at a time, and when a place is free."""

from __future__ import annotations

from msgspec import Struct
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from konkordat.cli import wall
from konkordat.cli.connection import Connection
from konkordat.cli.exits import ExitCode
from konkordat.cli.naming import Item, Names, name_of
from konkordat.cli.output import console_for, emit_json

MINUTES_DEFAULT = 60


class FreeWish(Struct, frozen=True):
    """The flags as they were given."""

    where: str  # "": the only event
    at: str
    minutes: int  # 0: not said
    until: str
    day: str
    event: str
    seats: int


def show_free_places(connection: Connection, wish: FreeWish, as_json: bool) -> int:
    """What is free. UNMET if nothing is."""
    with connection.client() as client:
        names = Names(client)
        query = _query(names, wish)
        places = list(client.free(**query))
        for place in places:
            place["taken"] = [_shown(names, place, claim) for claim in place["taken"]]
        by_day = "day" in query
        has_free = any(place["free"] if by_day else place["is_free"] for place in places)
        if as_json:
            emit_json({"places": places})
        else:
            _tell(console_for(as_json), places, query)
    return ExitCode.OK if has_free else ExitCode.UNMET


def _query(names: Names, wish: FreeWish) -> dict[str, str]:
    collection, record = (
        names.anywhere(wish.where) if wish.where else ("events", names.event(wish.event))
    )
    query = {collection.removesuffix("s"): str(record["id"])}
    event = record if collection == "events" else None
    if wish.event:
        event = names.event(wish.event)
        query["event"] = str(event["id"])
    if wish.seats:
        query["seats"] = str(wish.seats)
    only = event["start_date"] if event and event["start_date"] == event["end_date"] else ""
    return query | _time(wish, only, names.zone(record))


def _time(wish: FreeWish, only_day: str, zone: str) -> dict[str, str]:
    if wish.day and wish.at:
        raise wall.wrong("Give --at or --on, not both.")
    if not wish.at:
        if wish.minutes or wish.until:
            raise wall.wrong("--minutes and --until go with --at.")
        if not (wish.day or only_day):
            raise wall.wrong("Say when: --at 2027-06-01T09:00, or --on 2027-06-01 for a whole day.")
        return {"day": wall.day_of(wish.day or only_day)}
    if wish.minutes and wish.until:
        raise wall.wrong("Give --minutes or --until, not both.")
    at = wall.start_of(wish.at, only_day)
    minutes = wall.minutes_until(at, wish.until, zone) if wish.until else wish.minutes
    return {"local_start": at, "duration_minutes": str(minutes or MINUTES_DEFAULT)}


def _shown(names: Names, place: Item, claim: Item) -> Item:
    """Who is there, with a name and in wall time of the place."""
    times = {f"local_{end}": wall.local(claim[end], place["time_zone"]) for end in ("start", "end")}
    return claim | times | {"holder": names.holder(claim)}


def _tell(console: Console, places: list[Item], query: dict[str, str]) -> None:
    if not places:
        console.print("There is no such place: no room or booth, or none with so many seats.")
        return
    day = query.get("day", "")
    if day and len(places) == 1:
        _tell_day(console, places[0], day)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for heading in ("place", "seats", "free" if day else "", "taken by"):
        table.add_column(heading, overflow="fold")
    table.columns[1].justify = "right"
    for place in sorted(places, key=lambda place: not place["is_free"]):
        table.add_row(
            Text(_name(place), "bold"),
            str(place["capacity"] or ""),
            _free_cell(place, day),
            Text("; ".join(_taken(claim, day) for claim in place["taken"]), "dim"),
        )
    console.print(table)


def _free_cell(place: Item, day: str) -> Text:
    spans = ", ".join(_clocks(place, slot, day) for slot in place["free"])
    if place["is_free"]:
        return Text("all day" if day else "free", "green")
    if spans:
        return Text(spans if day else f"only {spans}", "green" if day else "yellow")
    return Text("no", "red")


def _tell_day(console: Console, place: Item, day: str) -> None:
    """One place: its day in order, free and taken."""
    console.print(Text.assemble((_name(place), "bold"), (f"  {day}, {place['time_zone']}", "dim")))
    rows: list[tuple[str, Text]] = [
        (slot["local_start"], Text.assemble((_clocks(place, slot, day), "green"), "  free"))
        for slot in place["free"]
    ]
    rows += [
        (claim["local_start"], Text(_taken(claim, day, "  "), "dim")) for claim in place["taken"]
    ]
    for _, line in sorted(rows, key=lambda row: row[0]):
        console.print("  ", line, sep="", soft_wrap=True)
    if not rows:
        console.print("  [dim]not bookable on that day[/]")


def _clocks(place: Item, slot: Item, day: str) -> str:
    return wall.clocks_text(slot["local_start"], wall.local(slot["end"], place["time_zone"]), day)


def _taken(claim: Item, day: str, between: str = " ") -> str:
    return f"{wall.clocks_text(claim['local_start'], claim['local_end'], day)}{between}{claim['holder']}"


def _name(place: Item) -> str:
    return name_of(place)
