"""`konkordat series`: sessions that repeat."""

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
    SeatsOffered,
    Until,
    Wait,
)

series = typer.Typer(
    name="series",
    help="Book sessions that repeat, and see what became of each.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
TIMES_MAX = 64  # occurrences of one series

Series = Annotated[
    str, typer.Argument(metavar="SERIES", help="Its title, its id, or the end of that.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    series.command("make", help=help_of(make))(make)
    series.command("list", help=help_of(list_))(list_)
    series.command("show", help=help_of(show))(show)
    series.command("delete", help=help_of(delete))(delete)
    app.add_typer(series, rich_help_panel=PANEL)


def make(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What its sessions are called.")],
    place: Annotated[
        str,
        typer.Argument(
            metavar="PLACE", help="The first: ROOM@START, such as Saal@2027-06-01T09:00."
        ),
    ],
    minutes: Minutes = None,
    until: Until = "",
    daily: Annotated[bool, typer.Option("--daily", help="Every day.")] = False,
    weekly: Annotated[
        bool, typer.Option("--weekly", help="Every week, on the weekday of the first.")
    ] = False,
    times: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=TIMES_MAX, help="How many in all.", show_default=False
        ),
    ] = None,
    last: Annotated[
        str, typer.Option(metavar="DAY", help="Or the last day.", show_default=False)
    ] = "",
    rule: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="Or any rule of RFC 5545: 'FREQ=WEEKLY;BYDAY=TU,TH;COUNT=8'.",
            show_default=False,
        ),
    ] = "",
    skip_taken: Annotated[
        bool,
        typer.Option("--skip-taken", help="Leave out those whose place is taken, book the others."),
    ] = False,
    seats: SeatsOffered = None,
    event: Event = "",
    wait: Wait = WAIT_S_DEFAULT,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    r"""Book a session that repeats: all occurrences or none, or those that fit.

    Wall time repeats: 09:00 stays 09:00 when the clocks change. Each occurrence is a session, which can be moved or
    cancelled by itself with [cyan]book[/] and [cyan]unbook[/]. The exit code is 1 if one is not confirmed (4 if the
    series was refused).

    [bold]Examples[/]

      [dim]$[/] konkordat series make Yoga Saal@2027-06-01T07:00 -m 45 --daily --times 3
      [dim]$[/] konkordat series make Kurs Stube@2027-09-07T18:00 --until 20:00 \
            --weekly --last 2027-12-14 --skip-taken
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.repeating import SeriesWish, make_series
    from konkordat.cli.slots import PlaceWish
    from konkordat.cli.wall import wrong

    if daily and weekly:
        raise wrong("Give --daily or --weekly, not both.")
    wish = SeriesWish(
        title=title,
        place=PlaceWish(place, minutes or 0, until),
        event=event,
        frequency="DAILY" if daily else "WEEKLY" if weekly else "",
        times=times or 0,
        last=last,
        rule=rule,
        skip_taken=skip_taken,
        seats=seats,
        wait_s=wait,
    )
    return make_series(Connection(tuple(url), key, ca, timeout), wish, as_json)


def list_(
    event: Annotated[
        str,
        typer.Option(
            "--event", "-e", metavar="EVENT", help="Only of this one.", show_default=False
        ),
    ] = "",
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Show which series there are.

    [bold]Example[/]

      [dim]$[/] konkordat series list
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.repeating import list_series

    return list_series(Connection(tuple(url), key, ca, timeout), event, as_json)


def show(
    name: Series,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Show the occurrences of a series and what became of each. The exit code is 1 if one did not get its place.

    [bold]Example[/]

      [dim]$[/] konkordat series show Yoga
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.repeating import show_series

    return show_series(Connection(tuple(url), key, ca, timeout), name, as_json)


def delete(
    name: Series,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Delete a series with all its sessions; their places are free.

    One of them is given up with [cyan]unbook[/].

    [bold]Example[/]

      [dim]$[/] konkordat series delete Yoga
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.repeating import delete_series

    return delete_series(Connection(tuple(url), key, ca, timeout), name, as_json)
