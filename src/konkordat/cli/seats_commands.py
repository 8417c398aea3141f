"""Commands about who decides what: seats, roster."""

from __future__ import annotations

from pathlib import Path
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

PANEL: Final = "Look and operate"
WAIT_S_DEFAULT: Final = 10.0  # a takeover takes about four seconds; a hand-over, milliseconds

seats = typer.Typer(
    name="seats",
    help="Who decides for which venue, since when; hand a seat over.",
    rich_markup_mode="rich",
)
roster = typer.Typer(
    name="roster",
    help="Who votes and may hold seats; let nodes join and leave.",
    rich_markup_mode="rich",
)

Venue = Annotated[
    str,
    typer.Argument(
        metavar="VENUE", help="The seat as `seats` shows it, its whole id, or the venue's name."
    ),
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait", metavar="SECONDS", min=0, max=30, help="How long to wait until it is so."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    seats.callback(invoke_without_command=True, help=help_of(show_seats))(show_seats)
    seats.command("timeline", help=help_of(timeline))(timeline)
    seats.command("handover", help=help_of(handover))(handover)
    roster.callback(invoke_without_command=True, help=help_of(show_roster))(show_roster)
    roster.command("join", help=help_of(join))(join)
    roster.command("leave", help=help_of(leave))(leave)
    roster.command("replace", help=help_of(replace))(replace)
    roster.command("force", help=help_of(force))(force)
    app.add_typer(seats, rich_help_panel=PANEL)
    app.add_typer(roster, rich_help_panel=PANEL)


def show_seats(
    context: typer.Context,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Show who decides for which venue and event, as one node sees it.

    A room cannot be promised twice because one node at a time decides for its venue: it holds the venue's seat. Term:
    counts the holders. Waiting: claims that are not decided yet. A seat without a holder that is heard is red: claims
    wait there until a member takes over, about 3.5 s after a node is lost. The exit code is 1 if there is one.

    [bold]Examples[/]

      [dim]$[/] konkordat seats
      [dim]$[/] konkordat seats timeline Kursaal
      [dim]$[/] konkordat seats handover Kursaal geneva
    """
    if context.invoked_subcommand is not None:
        return 0
    from konkordat.cli.connection import Connection
    from konkordat.cli.seats import list_seats

    return list_seats(Connection(tuple(url), key, ca, timeout), as_json)


def timeline(
    venue: Venue,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Show who held a venue's seat, from when to when.

    Decisions of a term count up to its cut-off, a batch of its holder's log; what it decided beyond, cut off from the
    others, was never final and was decided anew by its successor.

    [bold]Example[/]

      [dim]$[/] konkordat seats timeline Kursaal
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.seats import show_timeline

    return show_timeline(Connection(tuple(url), key, ca, timeout), venue, as_json)


def handover(
    venue: Venue,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The member that is to hold it.")],
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="Of a venue that decides at home: go on though what only its holder knows may be lost.",
        ),
    ] = False,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    wait: Wait = WAIT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Let another member decide for a venue: before maintenance, or to give a seat back. Needs an admin's key.

    The holder stops deciding with it and its successor begins with all it decided, so nothing is void. A venue that
    decides at home is handed over at the node that holds it (--url). Elsewhere it is refused, with what may be lost;
    when that node is gone for good, --accept-loss is the way on. The exit code is 1 if the node does not hold the seat
    after the wait.

    [bold]Examples[/]

      [dim]$[/] konkordat seats handover Kursaal geneva
      [dim]$[/] konkordat seats handover Kursaal geneva --accept-loss    [dim]# at home, and gone for good[/]
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.seats import HandoverWish, hand_over

    wish = HandoverWish(venue, node, accept_loss)
    return hand_over(Connection(tuple(url), key, ca, timeout), wish, wait, as_json)


def show_roster(
    context: typer.Context,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Show who votes and may hold seats, and who of them is heard.

    The first roster is what the nodes' configuration names (seats.members). Later ones are decided by a seat, one
    change at a time. A decision is final when more than half of the members have it. The exit code is 1 if fewer are
    heard.

    [bold]Examples[/]

      [dim]$[/] konkordat roster
      [dim]$[/] konkordat roster join basel
      [dim]$[/] konkordat roster replace zurich --by basel
    """
    if context.invoked_subcommand is not None:
        return 0
    from konkordat.cli.connection import Connection
    from konkordat.cli.seats import show_members

    return show_members(Connection(tuple(url), key, ca, timeout), as_json)


def join(
    node: Annotated[str, typer.Argument(metavar="NODE", help="A running node, no member yet.")],
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    wait: Wait = WAIT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Let a node vote and hold seats. Start it first and let it catch up. Needs the operator's key.

    [bold]Example[/]

      [dim]$[/] konkordat roster join basel
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.seats import RosterWish, change_roster

    wish = RosterWish("join", node)
    return change_roster(Connection(tuple(url), key, ca, timeout), wish, wait, as_json)


def leave(
    node: Annotated[str, typer.Argument(metavar="NODE", help="A member.")],
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    wait: Wait = WAIT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Take a node out of the roster: it neither votes nor decides any more, and its seats are taken over at once.

    More than half of the members must be heard, with and without it. It goes on replicating until it is stopped.
    Needs the operator's key.

    [bold]Example[/]

      [dim]$[/] konkordat roster leave zurich
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.seats import RosterWish, change_roster

    wish = RosterWish("leave", node)
    return change_roster(Connection(tuple(url), key, ca, timeout), wish, wait, as_json)


def replace(
    node: Annotated[str, typer.Argument(metavar="NODE", help="The member that goes.")],
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="NODE",
            show_default=False,
            help="The running node that comes, no member yet. Left out: the same node, after it lost its disk.",
        ),
    ] = "",
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    wait: Wait = WAIT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Put one node in the place of another, in one step: for a node that is lost, or came back with an empty disk.

    Needs the operator's key.

    [bold]Examples[/]

      [dim]$[/] konkordat roster replace zurich --by basel
      [dim]$[/] konkordat roster replace zurich             [dim]# its disk is new[/]
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.seats import RosterWish, change_roster

    wish = RosterWish("replace", node, by)
    return change_roster(Connection(tuple(url), key, ca, timeout), wish, wait, as_json)


def force(
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR", help="The survivor's data directory.", show_default=False
        ),
    ],
    accept_loss: Annotated[
        bool,
        typer.Option("--accept-loss", help="Do it. Without this, only say what may be lost."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Go on with one survivor when most members are lost for good. The node must be stopped.

    Without a majority nothing is decided and no roster changes. This makes the node of DIR the only member, and closes
    the logs of all others: a place that one of them confirmed and that did not come here may be promised again. Take
    the survivor that has most. A lost node that comes back on its old directory stops as soon as it hears of it; on an
    empty one it joins again. Do not if the others are only cut off: they go on deciding until they hear of it. The exit
    code is 1 if nothing was done.

    [bold]Examples[/]

      [dim]$[/] konkordat roster force --data /var/lib/konkordat                  [dim]# what may be lost[/]
      [dim]$[/] konkordat roster force --data /var/lib/konkordat --accept-loss
    """
    from konkordat.cli.forcing import run_force

    return run_force(data, accept_loss, as_json)
