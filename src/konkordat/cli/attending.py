"""`konkordat registrations`: who comes to a session, as a list for the door."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from konkordat.cli.connection import Connection
from konkordat.cli.exporting import write_out
from konkordat.cli.naming import Names
from konkordat.client import Client

COLUMNS: Final = (
    *("attendee_name", "state", "seats_held", "quantity", "waitlist", "checked_in"),
    *("attendee", "id", "created_at", "in_line"),
)
TABLE_WIDTH: Final = 80
# Spreadsheets run what begins like this; an apostrophe in front makes it text.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def run_registrations(
    connection: Connection, session: str, format_: str, output: Path | None
) -> int:
    """Write the registrations of a session to a file or to stdout."""
    with connection.client() as client:
        found = Names(client).record("sessions", session)
        seats = client.seats(found["id"], limit="1")
        rows = _rows(client, found["id"], seats["line"])
    if format_ == "table":
        return write_out(_table(seats, rows).encode(), output)
    text = _csv(rows) if format_ == "csv" else _json(rows)
    return write_out(text.encode(), output)


def _rows(client: Client, session: str, line: list[str]) -> list[dict[str, Any]]:
    places = {id: place for place, id in enumerate(line, 1)}
    rows = []
    for registration in client.list("registrations", session=session, limit="200"):
        attendee = client.get("attendees", registration["attendee"])
        in_line = places.get(registration["id"])
        rows.append({**registration, "attendee_name": attendee["name"], "in_line": in_line})
    return rows


def _table(seats: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """For a terminal: who has seats by name, then who waits in the order of the line, then the others."""
    console = Console(file=io.StringIO(), highlight=False, no_color=True, width=TABLE_WIDTH)
    if seats["seats"] is None:
        told = "Nobody can register: the session has no seats."
    else:
        told = f"{seats['seats_taken']} of {seats['seats']} seats taken"
        told += f", {seats['seats_pending']} not decided yet" if seats["seats_pending"] else ""
        told += f", {seats['waitlisted']} waited for" if seats["waitlisted"] else ""
    console.print(told)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("attendee", "state", "seats", "wanted", "in line"):
        right = heading in {"seats", "wanted", "in line"}
        table.add_column(heading, overflow="fold", justify="right" if right else "left")
    for row in sorted(rows, key=_rank):
        counts = (row["seats_held"], row["quantity"], row["in_line"])
        texts = (row["attendee_name"], row["state"], *("" if n is None else str(n) for n in counts))
        table.add_row(*map(Text, texts))
    if rows:
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _rank(row: dict[str, Any]) -> tuple[bool, float, str]:
    """Seats first, then the line, then the rest."""
    place = row["in_line"]
    return (not row["seats_held"], math.inf if place is None else place, row["attendee_name"])


def _csv(rows: Iterable[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
