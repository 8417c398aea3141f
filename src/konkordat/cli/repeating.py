"""`konkordat series …`: sessions that repeat, and what became of each."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from konkordat.cli import deciding, wall
from konkordat.cli.booking import titled
from konkordat.cli.connection import Connection
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.naming import Item, Names, name_of
from konkordat.cli.output import console_for, emit_json
from konkordat.cli.slots import STYLES, PlaceWish, because, place_text, slot_of
from konkordat.client import Client, Conflict, WriteOptions, new_idempotency_key

ID_CHARS_SHOWN: Final = 12  # the random end of an id: enough to name it by


class SeriesWish(Struct, frozen=True):
    """The flags as they were given."""

    title: str
    place: PlaceWish
    event: str
    frequency: str  # DAILY, WEEKLY; "" where there is a rule
    times: int  # 0: not said
    last: str
    rule: str
    skip_taken: bool
    seats: int | None
    wait_s: float


def rule_of(wish: SeriesWish) -> str:
    """The rule as RFC 5545 writes it. Raises CommandError."""
    if wish.rule:
        if wish.frequency or wish.times or wish.last:
            raise wall.wrong("--rule says it all: leave out --daily, --weekly, --times and --last.")
        return wish.rule
    if not wish.frequency:
        raise wall.wrong("Say how it repeats: --daily or --weekly, or a --rule.")
    if bool(wish.times) == bool(wish.last):
        raise wall.wrong("Say how often: --times 8, or --last 2027-07-20.")
    until = f"UNTIL={wall.day_of(wish.last).replace('-', '')}" if wish.last else ""
    return f"FREQ={wish.frequency};{until or f'COUNT={wish.times}'}"


def make_series(connection: Connection, wish: SeriesWish, as_json: bool) -> int:
    """Book a series, and tell what became of each occurrence."""
    rule = rule_of(wish)
    console = console_for(as_json)
    with connection.client() as client:
        names = Names(client)
        event = names.event(wish.event)
        template: Item = {"title": titled(event, wish.title)}
        template |= {} if wish.seats is None else {"seats": wish.seats}
        slot = slot_of(names, wish.place)
        if wish.last and wall.day_of(wish.last) < slot["local_start"][:10]:
            raise wall.wrong(f"--last {wish.last} is before the first, {slot['local_start'][:10]}.")
        body = {"event": event["id"], "slot": slot, "rule": rule, "session": template}
        try:
            made = _made(client, body, wish, console)
        except Conflict as error:
            if error.code != "slot_taken":
                raise
            raise _refused(error, names) from error
        return _tell(client, names, made, wish.wait_s, as_json)


def _made(client: Client, body: Item, wish: SeriesWish, console: Console) -> Item:
    """The series, written; its sessions decided if that was waited for."""
    options: WriteOptions = {"idempotency_key": new_idempotency_key()}
    if wish.skip_taken:
        options["on_conflict"] = "skip_occurrence"
    made = client.series.create(body, **options)

    def again(wait_s: float) -> Item:
        waiting: WriteOptions = {**options, "wait_s": wait_s}
        return client.series.create(body, **waiting)

    ends = time.monotonic() + wish.wait_s
    with console.status("waiting for the decisions …"):
        while _undecided(client.series_sessions(made["id"])):
            left_s = ends - time.monotonic()
            if left_s <= 0:
                break
            # The same request again: it has had its effect, and is answered once all is decided.
            deciding.patient(again, left_s)
    return made


def _refused(error: Conflict, names: Names) -> CommandError:
    failed = deciding.refused(error, names)
    at = str(error.document.get("occurrence", "")).replace("T", " ")
    hint = " Without those that are taken: --skip-taken."
    said = f"Of {at}: {failed.message}{hint}" if at else f"{failed.message}{hint}"
    return CommandError(said, failed.code, failed.kind, {**failed.more, "occurrence": at})


def show_series(connection: Connection, series: str, as_json: bool) -> int:
    """What became of each occurrence."""
    with connection.client() as client:
        names = Names(client)
        found = names.record("series", series)
        return _tell(client, names, found, 0.0, as_json)


def _tell(client: Client, names: Names, series: Item, wait_s: float, as_json: bool) -> int:
    sessions = client.series_sessions(series["id"])
    if as_json:
        emit_json({"series": series, "sessions": sessions})
    else:
        console = console_for(as_json)
        head = (f"‘{name_of(series)}’", "bold"), f"  {series['rule']}", (f"  {series['id']}", "dim")
        console.print(Text.assemble(*head), soft_wrap=True)
        console.print(_occurrences(names, series, sessions))
        waiting = len(_undecided(sessions))
        if waiting:
            console.print(
                f"{waiting} not decided yet. To look again: konkordat series show {series['id']}"
            )
    states = {_state(session) for session in sessions}
    unmet = states - {"confirmed", "cancelled"} - (set() if wait_s else deciding.UNDECIDED)
    return ExitCode.UNMET if unmet or not sessions else ExitCode.OK


def _occurrences(names: Names, series: Item, sessions: Iterable[Item]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="dim")
    for heading in ("by the rule", "state", "place", "session"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "place")
    skipped = {one["recurrence_id"]: one for one in series.get("skipped") or []}
    rows = {session["recurrence_id"]: _row(names, session) for session in sessions}
    for time_ in series["exdates"]:
        why = skipped.get(time_, {}).get("in_the_way") or []
        taken = ", ".join(names.holder({"type": "sessions", "id": id}) for id in why)
        rows.setdefault(time_, (Text("left out", "dim"), f"taken by {taken}" if taken else "", ""))
    for at, (state, place, id) in sorted(rows.items()):
        table.add_row(at.replace("T", " "), state, Text(place), Text(id, "dim"))
    return table


def _row(names: Names, session: Item) -> tuple[Text, str, str]:
    slot, state = session.get("slot"), _state(session)
    place = place_text(names, slot.get("granted") or slot) if slot else ""
    if slot and (reason := because(names, slot)):
        place += f", {reason}"
    if slot and slot.get("held"):
        place += f", keeps {place_text(names, slot['held'])}"
    return Text(state, STYLES.get(state, "dim")), place, session["id"][-ID_CHARS_SHOWN:]


def _state(session: Item) -> str:
    if session["state"] == "cancelled":
        return "cancelled"
    return str(session["slot"]["state"]) if session.get("slot") else "no place"


def _undecided(sessions: Iterable[Item]) -> list[Item]:
    return [session for session in sessions if _state(session) in deciding.UNDECIDED]


def list_series(connection: Connection, event: str, as_json: bool) -> int:
    """A table of the series."""
    with connection.client() as client:
        names = Names(client)
        query = {"event": names.event(event)["id"]} if event else {}
        found = list(client.series.list(limit="200", **query))
        if as_json:
            emit_json({"series": found})
            return ExitCode.OK
        console = console_for(as_json)
        if not found:
            console.print("[dim]There is no series.[/]")
            return ExitCode.OK
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        table.header_style = "dim"
        for heading in ("series", "first", "rule", "id"):
            table.add_column(heading, overflow="fold", no_wrap=heading == "id")
        for series in found:
            table.add_row(
                Text(name_of(series), "bold"),
                Text(place_text(names, series["slot"])),
                series["rule"],
                Text(series["id"][-ID_CHARS_SHOWN:], "dim"),
            )
        console.print(table)
    return ExitCode.OK


def delete_series(connection: Connection, series: str, as_json: bool) -> int:
    """Delete a series with all its sessions."""
    with connection.client() as client:
        names = Names(client)
        found = names.record("series", series)
        sessions = client.series_sessions(found["id"])
        client.series.delete(found["id"])
        if as_json:
            emit_json({"deleted": found, "sessions": [session["id"] for session in sessions]})
        else:
            told = f"‘{name_of(found)}’ and its {len(sessions)} sessions are deleted."
            console_for(as_json).print(Text(told))
    return ExitCode.OK
