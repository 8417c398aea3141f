"""Commands about a node's files, for the machine they are on: backup, restore, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.options import AsJson, help_of

PANEL: Final = "Look after a node's data"

Data = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="The node's data directory.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("backup", help=help_of(backup), rich_help_panel=PANEL)(backup)
    app.command("restore", help=help_of(restore), rich_help_panel=PANEL)(restore)
    app.command("check", help=help_of(check), rich_help_panel=PANEL)(check)


def backup(
    data: Data,
    to: Annotated[
        Path,
        typer.Option(
            "--to", metavar="FILE", help="The backup. Must not exist.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Copy a node's database into one file, whether the node runs or not, and verify the copy.

    The copy is of one moment and complete by itself. Everything in it is checked before it is called a backup: all
    pages, the chains of the log, and every record against the changes that made it.

    [bold]Examples[/]

      [dim]$[/] konkordat backup --data /var/lib/konkordat --to zurich-2026-11-21.backup
    """
    from konkordat.cli.data import run_backup

    return run_backup(data, to, as_json)


def restore(
    data: Data,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="The backup.", show_default=False),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place",
            help="Instead of a backup: DIR itself is an old copy. Let its node use it from now on.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make a data directory of a backup, or make one usable that is an old copy. The node must be stopped.

    The node's next start begins a new incarnation: it keeps all it has, writes under sequence numbers of its own that
    nobody has seen, and fetches from its peers what it lacks, what it once wrote itself included. An old copy is a
    directory that was put back by hand, or that a second node of the same name ran on: stop that one first.

    [bold]Examples[/]

      [dim]$[/] konkordat restore --from zurich-2026-11-21.backup --data /var/lib/konkordat
      [dim]$[/] konkordat restore --in-place --data /var/lib/konkordat
    """
    if (from_ is None) == (not in_place):
        message = "Give --from FILE or --in-place, one of the two. See: konkordat restore --help"
        raise CommandError(message, ExitCode.USAGE, "usage")
    from konkordat.cli.data import run_adopt, run_restore

    return run_adopt(data, as_json) if from_ is None else run_restore(from_, data, as_json)


def check(data: Data, as_json: AsJson = False) -> int:
    """Check everything in a stopped node's database against everything else in it. Changes nothing.

    Pages, the log's chains, the frontier, records against the changes that made them, digests, history, remembered
    requests, claims. The exit code is 1 if anything is wrong, and each finding is a line.

    [bold]Examples[/]

      [dim]$[/] konkordat check --data /var/lib/konkordat
    """
    from konkordat.cli.data import run_check

    return run_check(data, as_json)
