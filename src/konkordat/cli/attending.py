"""`konkordat registrations`: who comes to a session, as a list for the door."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from konkordat.cli.connection import Connection
from konkordat.cli.exporting import write_out
from konkordat.client import Client

COLUMNS: Final = (
    *("attendee_name", "state", "seats_held", "quantity", "waitlist", "checked_in"),
    *("attendee", "id", "created_at"),
)
# Spreadsheets run what begins like this; an apostrophe in front makes it text.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def run_registrations(
    connection: Connection, session: str, format_: str, output: Path | None
) -> int:
    """Write the registrations of a session to a file or to stdout."""
    with connection.client() as client:
        rows = _rows(client, session)
    text = _csv(rows) if format_ == "csv" else _json(rows)
    return write_out(text.encode(), output)


def _rows(client: Client, session: str) -> list[dict[str, Any]]:
    client.get("sessions", session)  # raises for one that is not there; its list would be empty
    rows = []
    for registration in client.list("registrations", session=session, limit="200"):
        attendee = client.get("attendees", registration["attendee"])
        rows.append({**registration, "attendee_name": attendee["name"]})
    return rows


def _csv(rows: Iterable[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
