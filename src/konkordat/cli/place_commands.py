"""Commands about places: free, book, unbook."""

from __future__ import annotations

from typing import Annotated, Final

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

PANEL: Final = "Book"
WAIT_S_DEFAULT: Final = 10.0  # a takeover takes about four seconds; a decision, milliseconds
WAIT_S_MAX: Final = 3_600.0
MINUTES_MAX: Final = 14 * 24 * 60  # as long as a session may be

Minutes = Annotated[
    int | None,
    typer.Option(
        "--minutes",
        "-m",
        metavar="N",
        min=1,
        max=MINUTES_MAX,
        help="How long.",
        show_default=False,
    ),
]
Until = Annotated[
    str,
    typer.Option(
        "--until", metavar="TIME", help="Or its end, in wall time: 09:45.", show_default=False
    ),
]
Event = Annotated[
    str,
    typer.Option(
        "--event",
        "-e",
        metavar="EVENT",
        help="The event's slug, name or id. Not needed while there is one only.",
        show_default=False,
    ),
]
Session = Annotated[
    str,
    typer.Argument(metavar="SESSION", help="The session's title, id, or the end of that."),
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0,
        max=WAIT_S_MAX,
        help="How long to wait for the decision; 0: not at all.",
    ),
]
Others = Annotated[
    list[str] | None,
    typer.Option(
        "--or",
        metavar="PLACE",
        help="Another place (Estrich), time (@11:00) or both (Estrich@11:00) that would do; in order of liking,"
        " all at one venue. Repeatable.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would happen, and write nothing.")
]
Override = Annotated[
    str,
    typer.Option(
        "--override",
        metavar="REASON",
        help="Book outside bookable hours, for this reason; it stays in the audit trail.",
        show_default=False,
    ),
]


SeatsOffered = Annotated[
    int | None,
    typer.Option(
        "--seats", metavar="N", min=0, help="People may register for so many.", show_default=False
    ),
]
TakenOver = Annotated[
    str,
    typer.Option(
        "--hold",
        metavar="HOLD",
        help="Take over the place of this hold (its note or id), instead of PLACE.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("free", help=help_of(free), rich_help_panel=PANEL)(free)
    app.command("book", help=help_of(book), rich_help_panel=PANEL)(book)
    app.command("unbook", help=help_of(unbook), rich_help_panel=PANEL)(unbook)


def free(
    where: Annotated[
        str,
        typer.Argument(
            metavar="WHERE",
            help="A room, booth, venue or event by name or id. Left out: the only event.",
            show_default=False,
        ),
    ] = "",
    at: Annotated[
        str,
        typer.Option("--at", metavar="TIME", help="Free from then on.", show_default=False),
    ] = "",
    minutes: Minutes = None,
    until: Until = "",
    day: Annotated[
        str,
        typer.Option(
            "--on", metavar="DAY", help="When free on that whole day.", show_default=False
        ),
    ] = "",
    event: Event = "",
    seats: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Only rooms for at least so many.", show_default=False
        ),
    ] = None,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Show what is free: the places of a venue or event at a time, or the free times of a room on a day.

    Times are wall time at the place. What a room needs before and after a session and when it may be booked is taken
    into account; what is not decided yet counts as taken. Without [cyan]--minutes[/] an hour is looked at. The exit
    code is 1 if nothing is free.

    [bold]Examples[/]

      [dim]$[/] konkordat free Kursaal --at 2027-06-01T09:00 --minutes 45
      [dim]$[/] konkordat free forum --at 2027-06-01T09:00 --until 12:00 --seats 40
      [dim]$[/] konkordat free Saal --on 2027-06-01
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.free import FreeWish, show_free_places

    wish = FreeWish(where, at, minutes or 0, until, day, event, seats or 0)
    return show_free_places(Connection(tuple(url), key, ca, timeout), wish, as_json)


def book(
    session: Annotated[
        str,
        typer.Argument(
            metavar="SESSION",
            help="A session's title or id; with --new the title of one to be made.",
        ),
    ],
    place: Annotated[
        str,
        typer.Argument(
            metavar="PLACE",
            help="ROOM@START, such as Saal@2027-06-01T09:00. To move: Estrich, or @10:30. Left out: only ask what"
            " became of it.",
            show_default=False,
        ),
    ] = "",
    minutes: Minutes = None,
    until: Until = "",
    others: Others = None,
    new: Annotated[bool, typer.Option("--new", help="Make the session.")] = False,
    event: Event = "",
    hold: TakenOver = "",
    seats: SeatsOffered = None,
    line_up: Annotated[
        bool,
        typer.Option(
            "--line-up", help="Ask for it even if it is taken: it is given once it comes free."
        ),
    ] = False,
    override: Override = "",
    dry_run: DryRun = False,
    wait: Wait = WAIT_S_DEFAULT,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Give a session a room or booth at a time; move it; or ask what became of that.

    A place that this node sees to be taken is refused at once, with what is free instead. Otherwise it is tentative
    until whoever decides for the venue has decided: confirmed, for good, or displaced, and then it says by what. A
    session that moves keeps its old place until it has the new one. The exit code is 1 if it is not confirmed (4 if it
    was refused).

    [bold]Examples[/]

      [dim]$[/] konkordat book --new 'Netze' Saal@2027-06-01T09:00 --minutes 45
      [dim]$[/] konkordat book Netze @10:30 --or Estrich --or Estrich@11:00
      [dim]$[/] konkordat book --new Panel --hold 'for the board'
      [dim]$[/] konkordat book Netze --wait 60   [dim]# go on waiting[/]
    """
    from konkordat.cli.booking import Booking
    from konkordat.cli.booking import book as book_place
    from konkordat.cli.connection import Connection
    from konkordat.cli.slots import PlaceWish
    from konkordat.cli.wall import wrong

    said = bool(place or minutes or until or others)
    if hold and said:
        raise wrong("A hold says the place and how long: leave out PLACE, --minutes, --or.")
    if new and not (hold or said):
        raise wrong("Say which place, like Saal@2027-06-01T09:00, or give a hold with --hold.")
    wish = Booking(
        session=session,
        place=PlaceWish(place, minutes or 0, until, tuple(others or ())) if said else None,
        is_new=new,
        event=event,
        hold=hold,
        seats=seats,
        line_up=line_up,
        override=override,
        dry_run=dry_run,
        wait_s=wait,
    )
    return book_place(Connection(tuple(url), key, ca, timeout), wish, as_json)


def unbook(
    session: Session,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Cancel the session, too; calendars show it so.")
    ] = False,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Let the place of a session go. The session stays, without a place, or cancelled.

    [bold]Examples[/]

      [dim]$[/] konkordat unbook Netze
      [dim]$[/] konkordat unbook Netze --cancel
    """
    from konkordat.cli.booking import unbook as let_go
    from konkordat.cli.connection import Connection

    connection = Connection(tuple(url), key, ca, timeout)
    return let_go(connection, session, cancel=cancel, as_json=as_json)
