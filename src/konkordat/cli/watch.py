"""`konkordat watch`: changes as they happen, what became of claims, and who decides from now on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from queue import Queue
from threading import Event, Thread
from typing import Any, Final, assert_never

from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from konkordat.cli.connection import Connection
from konkordat.cli.exits import ExitCode
from konkordat.cli.naming import Item, Names, name_of
from konkordat.cli.output import console_for, emit_json
from konkordat.cli.slots import STYLES, because, place_text
from konkordat.client import (
    BadAnswer,
    CaughtUp,
    Change,
    Client,
    Gap,
    KonkordatError,
    NodeUnreachable,
    Unavailable,
)

SEATS: Final = "seats"  # no collection of records: asked for, not streamed
SEATS_EVERY_S: Final = 1.0  # a takeover takes seconds
WAITING_MAX: Final = 1_000  # news that are not shown yet; then the stream waits


class HolderChanged(Struct, frozen=True):
    """Another node decides, or the same one in a later term; or, in the same term, it is not heard, or heard again."""

    before: Item
    now: Item


News = Change | Gap | CaughtUp | HolderChanged


def watch_changes(
    connection: Connection, types: tuple[str, ...], since: str, count: int, as_json: bool
) -> int:
    """Show changes until Ctrl-C, or until so many were shown."""
    console = console_for(as_json)
    shown = 0
    with connection.client() as client:
        client.cluster()  # nobody there, or a wrong key: said now, and not tried for ever
        names = Names(client)
        for item in _news(connection, types, since):
            match item:
                case Change():
                    _show(console, names, item, as_json)
                    shown += 1
                case HolderChanged():
                    _show_holder(console, item, as_json)
                    shown += 1
                case Gap(reason=reason):
                    console.print(
                        f"[yellow]the connection was lost ({escape(reason)}); going on[/]"
                    )
                case CaughtUp():
                    console.print("[dim]— from here on live; Ctrl-C ends —[/]")
                case _:
                    assert_never(item)
            if count and shown >= count:
                break
    return ExitCode.OK


# Where news come from -----------------------------------------------------------------------------------


def _news(connection: Connection, types: tuple[str, ...], since: str) -> Iterator[News]:
    """From the stream and from looks at the seats, each read by a thread of its own. Raises what they raise."""
    queue: Queue[News | Exception] = Queue(WAITING_MAX)
    records = tuple(type_ for type_ in types if type_ != SEATS)
    over = Event()
    clients: list[Client] = []

    def follow(read: Callable[[Client], Iterator[News]]) -> None:
        clients.append(client := connection.client())

        def run() -> None:
            try:
                for item in read(client):
                    queue.put(item)
            except Exception as error:  # noqa: BLE001 -- raised again by whoever shows the news
                queue.put(error)

        Thread(target=run, daemon=True).start()

    try:
        if records or not types:
            follow(lambda client: client.stream(types=records, since=since))
        if SEATS in types or not types:
            follow(lambda client: _holders(client, over))
        while True:
            item = queue.get()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        over.set()
        for client in clients:
            client.close()


def _holders(client: Client, over: Event) -> Iterator[HolderChanged]:
    """Seats that are not held as when they were looked at before. A first holder is no change."""
    known: dict[str, Item] = {}
    while not over.is_set():
        try:
            seats = list(client.who_decides())
        except (NodeUnreachable, BadAnswer, Unavailable):
            seats = []  # whoever is not there is asked again
        for seat in seats:
            before = known.get(seat["id"])
            known[seat["id"]] = seat
            if before and before["holder"] and _standing(before) != _standing(seat):
                yield HolderChanged(before, seat)
        over.wait(SEATS_EVERY_S)


def _standing(seat: Item) -> tuple[int, bool]:
    return seat["term"], seat["has_holder"]


# Showing ------------------------------------------------------------------------------------------------


def _show_holder(console: Console, news: HolderChanged, as_json: bool) -> None:
    seat = news.now
    if as_json:
        told = {"op": "upsert", "type": SEATS, "id": seat["id"], "data": seat}
        emit_json(told | {"holder_before": news.before["holder"]})
        return
    kind = seat["id"].split(".")[-2].removesuffix("s")
    name = next(iter((seat["name"] or {}).values()), seat["id"])
    if seat["term"] != news.before["term"]:
        line = f"{kind} {name}: {news.before['holder']} -> {seat['holder']}, term {seat['term']}"
    elif seat["has_holder"]:
        line = f"{kind} {name}: {seat['holder']} is heard again"
    else:
        line = f"{kind} {name}: {seat['holder']} is not heard; claims wait"
    _print(console, "[cyan]~[/]", "seat", Text(line))


def _show(console: Console, names: Names, change: Change, as_json: bool) -> None:
    if as_json:
        emit_json(
            {
                "op": change.op,
                "type": change.type,
                "id": change.id,
                "version": change.version,
                "data": change.data,
                "token": change.token,
            }
        )
        return
    mark = "[red]-[/]" if change.op == "delete" else "[green]+[/]"
    kind = change.type if change.type == "series" else change.type.removesuffix("s")
    _print(console, mark, kind, _told(names, change))


def _print(console: Console, mark: str, kind: str, line: Text) -> None:
    at = time.strftime("%H:%M:%S")
    console.print(f"[dim]{at}[/] {mark} {kind:<12}", line, soft_wrap=True)


def _told(names: Names, change: Change) -> Text:
    """What it is about, and what became of what it claims."""
    data: dict[str, Any] = change.data or {}
    if not data:
        return Text(names.known(change.type, change.id))
    names.note(change.type, data)
    node = f"  at {data['updated_at_node']}" if data.get("updated_at_node") else ""
    try:
        line = _claim(names, change.type, data)
    except KonkordatError:  # names are looked up; without them the change is told all the same
        line = Text(name_of(data))
    return line.append(node, "dim")


def _claim(names: Names, type_: str, data: Item) -> Text:
    if type_ == "registrations":
        line = Text(
            f"{names.name('attendees', data['attendee'])}: {names.name('sessions', data['session'])}  "
        )
        seats = f", {data['seats_held']} of {data['quantity']} seats"
        seats += ", waits" if data.get("reason") and data["waitlist"] else ""
        return line.append(data["state"], STYLES.get(data["state"], "dim")).append(seats)
    line = Text(name_of(data))
    slot = data.get("slot")
    if not slot or type_ == "series":
        return line
    line.append(f"  {place_text(names, slot.get('granted') or slot)}  ")
    line.append(slot["state"], STYLES.get(slot["state"], "dim"))
    if reason := because(names, slot):
        line.append(f", {reason}")
    if slot.get("held"):
        line.append(f", keeps {place_text(names, slot['held'])}")
    return line
