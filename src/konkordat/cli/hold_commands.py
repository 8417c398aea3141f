"""`konkordat hold`: keep places for a while."""

from __future__ import annotations

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
from konkordat.cli.place_commands import (
    PANEL,
    WAIT_S_DEFAULT,
    Event,
    Minutes,
    Others,
    Until,
    Wait,
)

holds = typer.Typer(
    name="hold",
    help="Keep a place for a while, until somebody has made up their mind.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Hold = Annotated[str, typer.Argument(metavar="HOLD", help="Its note, its id, or the end of that.")]
Length = Annotated[
    str,
    typer.Option("--for", metavar="TIME", help="How long, from now: 90s, 15m, 2h; a day at most."),
]
LENGTH_DEFAULT = "15m"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    holds.command("make", help=help_of(make))(make)
    holds.command("list", help=help_of(list_))(list_)
    holds.command("extend", help=help_of(extend))(extend)
    holds.command("release", help=help_of(release))(release)
    app.add_typer(holds, rich_help_panel=PANEL)


def make(
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="ROOM@START, such as Saal@2027-06-01T09:00.")
    ],
    minutes: Minutes = None,
    until: Until = "",
    length: Length = LENGTH_DEFAULT,
    note: Annotated[
        str,
        typer.Option(metavar="TEXT", help="What for; it can be named by that.", show_default=False),
    ] = "",
    others: Others = None,
    event: Event = "",
    wait: Wait = WAIT_S_DEFAULT,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Keep a room or booth for a while. Afterwards it is free by itself.

    Nobody else gets the place until then. [cyan]konkordat book --hold[/] makes a session of it, as one step. The exit
    code is 1 if it is not confirmed (4 if it was refused).

    [bold]Examples[/]

      [dim]$[/] konkordat hold make Saal@2027-06-01T09:00 --minutes 60 --for 30m
      [dim]$[/] konkordat hold make Saal@2027-06-01T09:00 -m 60 --note 'for Mila'
      [dim]$[/] konkordat book --new Panel --hold 'for Mila'
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.holding import HoldWish, make_hold
    from konkordat.cli.slots import PlaceWish

    where = PlaceWish(place, minutes or 0, until, tuple(others or ()))
    wish = HoldWish(where, event, note, length, wait)
    return make_hold(Connection(tuple(url), key, ca, timeout), wish, as_json)


def list_(
    event: Annotated[
        str,
        typer.Option(
            "--event", "-e", metavar="EVENT", help="Only for this one.", show_default=False
        ),
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are over, or did not get their place.")
    ] = False,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Show which places are held, and until when.

    [bold]Examples[/]

      [dim]$[/] konkordat hold list
      [dim]$[/] konkordat hold list --all --json | jq '.holds[].slot.state'
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.holding import list_holds

    return list_holds(Connection(tuple(url), key, ca, timeout), event, everything, as_json)


def extend(
    hold: Hold,
    length: Length = LENGTH_DEFAULT,
    wait: Wait = WAIT_S_DEFAULT,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Keep a place longer, counted from now. One that is over asks for its place again.

    [bold]Example[/]

      [dim]$[/] konkordat hold extend 'for Mila' --for 1h
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.holding import extend_hold

    return extend_hold(Connection(tuple(url), key, ca, timeout), hold, length, wait, as_json)


def release(
    hold: Hold,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Let a held place go before its time.

    [bold]Example[/]

      [dim]$[/] konkordat hold release 'for Mila'
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.holding import release_hold

    return release_hold(Connection(tuple(url), key, ca, timeout), hold, as_json)
