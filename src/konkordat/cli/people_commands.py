"""Commands about who comes: register, unregister, registrations."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from konkordat.cli.options import (
    TIMEOUT_S_DEFAULT,
    URLS_DEFAULT,
    AsJson,
    Authority,
    Key,
    Timeout,
    Urls,
    help_of,
)
from konkordat.cli.place_commands import PANEL, WAIT_S_DEFAULT, Session, Wait

SEATS_MAX = 1_000  # of one registration

Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO", help="The attendee's name, mail address, id, or the end of that."
    ),
]


class ListFormat(StrEnum):
    """How `registrations` writes a list."""

    CSV = "csv"
    JSON = "json"
    TABLE = "table"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("register", help=help_of(register_), rich_help_panel=PANEL)(register_)
    app.command("unregister", help=help_of(unregister), rich_help_panel=PANEL)(unregister)
    app.command("registrations", help=help_of(registrations), rich_help_panel=PANEL)(registrations)


def register_(
    session: Session,
    who: Who,
    seats: Annotated[
        int, typer.Option(metavar="N", min=1, max=SEATS_MAX, help="For how many people.")
    ] = 1,
    waits: Annotated[
        bool, typer.Option("--waitlist", help="Wait for seats if too few are left.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Make the attendee if there is nobody of that name.")
    ] = False,
    email: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Of a new attendee.", show_default=False)
    ] = "",
    wait: Wait = WAIT_S_DEFAULT,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Register somebody for a session, and show their place in the line if they wait.

    A session takes registrations once it has [cyan]seats[/]. Somebody who is registered gets as many seats as are asked
    for now; that is a new wish, at the end of the line. The exit code is 1 if they neither have seats nor wait as asked
    (4 if it was refused).

    [bold]Examples[/]

      [dim]$[/] konkordat register Werkstatt Lea --seats 2
      [dim]$[/] konkordat register Werkstatt 'Tim Frei' --new --waitlist
      [dim]$[/] konkordat registrations Werkstatt --format table
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.registering import RegistrationWish
    from konkordat.cli.registering import register as ask

    wish = RegistrationWish(session, who, seats, waits, new, email, wait)
    return ask(Connection(tuple(url), key, ca, timeout), wish, as_json)


def unregister(
    session: Session,
    who: Who,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Cancel somebody's registration. Their seats go to whoever waits first.

    [bold]Example[/]

      [dim]$[/] konkordat unregister Werkstatt Lea
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.registering import unregister as cancel

    return cancel(Connection(tuple(url), key, ca, timeout), session, who, as_json)


def registrations(
    session: Session,
    format_: Annotated[
        ListFormat,
        typer.Option(
            "--format", "-f", help="csv: with a header; json: one a line; table: for a terminal."
        ),
    ] = ListFormat.CSV,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to stdout."),
    ] = None,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
) -> int:
    """Write who is registered for a session: names, what became of each registration, places in the line.

    [bold]Examples[/]

      [dim]$[/] konkordat registrations Werkstatt --format table
      [dim]$[/] konkordat registrations Werkstatt --output door-list.csv
      [dim]$[/] konkordat registrations 0197… -f json | jq 'select(.in_line == 1)'
    """
    from konkordat.cli.attending import run_registrations
    from konkordat.cli.connection import Connection

    connection = Connection(tuple(url), key, ca, timeout)
    return run_registrations(connection, session, format_.value, output)
