"""`konkordat export`: an event's programme as a file."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from konkordat.cli.connection import Connection
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.client import Client

ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def run_export(
    connection: Connection, event: str, format_: str, output: Path | None, release: str = ""
) -> int:
    """Write the programme, or a release of it, to a file or to stdout."""
    with connection.client() as client:
        document = client.export(event_id(client, event), format_, release)
    return write_out(document, output)


def write_out(document: bytes, output: Path | None) -> int:
    """Write bytes to a file, or to stdout if none is named."""
    if output is None:
        sys.stdout.buffer.write(document)
        sys.stdout.buffer.flush()
    else:
        output.write_bytes(document)
    return ExitCode.OK


def event_id(client: Client, slug: str) -> str:
    """The id of the event with a slug, or the id itself. Raises CommandError, naming those that there are."""
    if ID.fullmatch(slug):
        return slug
    slugs: list[str] = []
    for event in client.list("events", limit="200"):
        if event["slug"] == slug:
            return str(event["id"])
        slugs.append(event["slug"])
    there = f"There are: {', '.join(sorted(slugs)[:20])}" if slugs else "There is none yet"
    message = f"There is no event {slug!r}. {there}."
    raise CommandError(message, ExitCode.REFUSED, "not_found")
