"""Commands that carry a programme in and out: import, export."""

from __future__ import annotations

from enum import StrEnum
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

PANEL: Final = "Programmes"


class ExportFormat(StrEnum):
    """What `export` can write."""

    XML = "xml"
    JSON = "json"
    ICS = "ics"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("import", help=help_of(import_), rich_help_panel=PANEL)(import_)
    app.command("export", help=help_of(export), rich_help_panel=PANEL)(export)
    app.command("release", help=help_of(release), rich_help_panel=PANEL)(release)


def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="frab XML, frab JSON or iCalendar; - reads stdin."),
    ],
    time_zone: Annotated[
        str,
        typer.Option(
            metavar="ZONE", help="Where the file names no time zone, wall times are of this one."
        ),
    ] = "Europe/Zurich",
    event: Annotated[
        str,
        typer.Option(
            metavar="SLUG",
            help="Import as this event. Without it the file's own acronym is used.",
            show_default=False,
        ),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Read and judge the file, and report; no node is asked or told."
        ),
    ] = False,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Import a programme and report what it came to.

    Of two sessions that want one room at one time, the later keeps everything but its slot: nothing is lost, and the
    report names both. Speakers who would be in two places, and whatever else was odd in the file, are reported too.
    The same file imported twice changes nothing, so an import that broke off is simply run again.

    [bold]Examples[/]

      [dim]$[/] konkordat import schedule.xml
      [dim]$[/] konkordat import schedule.xml --dry-run
      [dim]$[/] curl -s https://example.org/schedule.json | konkordat import - --json
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.importing import ImportOptions, run_import

    options = ImportOptions(file, time_zone, event, dry_run, as_json)
    return run_import(Connection(tuple(url), key, ca, timeout), options)


def export(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's slug or id.")],
    format_: Annotated[
        ExportFormat,
        typer.Option("--format", "-f", help="xml: frab schedule; json: frab; ics: iCalendar."),
    ] = ExportFormat.XML,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to stdout."),
    ] = None,
    release: Annotated[
        str,
        typer.Option(
            "--release",
            metavar="NAME",
            help="This release instead of the present programme.",
            show_default=False,
        ),
    ] = "",
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
) -> int:
    """Write an event's programme as a file that calendars and conference apps read.

    [bold]Examples[/]

      [dim]$[/] konkordat export fosdem-2020 --format ics --output fosdem.ics
      [dim]$[/] konkordat export fosdem-2020 | xmllint --noout -
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.exporting import run_export

    connection = Connection(tuple(url), key, ca, timeout)
    return run_export(connection, event, format_.value, output, release)


def release(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's slug or id.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it, such as 1.0.")],
    comment: Annotated[
        str, typer.Option(metavar="TEXT", help="What there is to say.", show_default=False)
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what clashes, and make nothing.")
    ] = False,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Freeze an event's programme under a name, and show what clashes in it.

    A release never changes, whatever happens to the programme. [cyan]export --release[/] writes it.

    [bold]Examples[/]

      [dim]$[/] konkordat release fosdem-2020 1.0 --dry-run
      [dim]$[/] konkordat release fosdem-2020 1.0 --comment 'for print'
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.releasing import run_release

    connection = Connection(tuple(url), key, ca, timeout)
    return run_release(connection, event, name, comment, dry_run=dry_run, as_json=as_json)
