"""`konkordat import`: read a file, judge it, write it in batches, report what the nodes made of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, structs

from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.output import console_for, emit_json
from konkordat.schedule.interchange.plan import ImportPlan, ImportReport, plan_import
from konkordat.schedule.interchange.programme import (
    SIZE_BYTES_MAX,
    TIME_ZONE_DEFAULT,
    Programme,
)
from konkordat.schedule.interchange.read import check_size, read_programme
from konkordat.schedule.sample import sample_programme

if TYPE_CHECKING:
    from konkordat.cli.connection import Connection
    from konkordat.client import ImportResult

STDIN: Final = Path("-")


class ImportOptions(Struct, frozen=True):
    """The flags as they were given."""

    file: Path
    time_zone: str
    event: str  # slug; "" = the file's own
    dry_run: bool
    as_json: bool


def run_import(connection: Connection, options: ImportOptions) -> int:
    """Import a file and report."""
    plan = plan_import(load_programme(options.file, options.time_zone, options.event))
    result = None if options.dry_run else _write(connection, plan)
    if options.as_json:
        emit_json(_as_json(plan.report, result))
    else:
        _show(plan.report, result)
    if result is not None and result.failed:
        first = result.failed[0]
        problem = first["problem"] or {}
        message = (
            f"{len(result.failed)} of {len(plan.operations)} records were refused, the first"
            f" {first['type']} {first['id']}: {problem.get('detail', 'no reason given')}"
        )
        raise CommandError(message, ExitCode.REFUSED, "partly_refused")
    return ExitCode.OK


def _write(connection: Connection, plan: ImportPlan) -> ImportResult:
    """Write the plan, with a bar on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = console_for(as_json=True)
    bar = Progress(
        *(TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TextColumn("records")),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar, connection.client() as client:
        task = bar.add_task("", total=len(plan.operations))
        return client.import_plan(plan, on_progress=lambda at: bar.update(task, completed=at.done))


def load_programme(file: Path, time_zone: str = TIME_ZONE_DEFAULT, event: str = "") -> Programme:
    """The programme in a file, or on stdin. Raises ProgrammeError, CommandError."""
    name = "standard input" if file == STDIN else file.name
    programme = read_programme(_read(file, name), name, time_zone)
    if not event:
        return programme
    return structs.replace(programme, event=structs.replace(programme.event, slug=event))


def load_sample() -> Programme:
    """The programme that ships with Konkordat."""
    return read_programme(sample_programme(), "the shipped programme")


def _read(file: Path, name: str) -> bytes:
    try:
        if file == STDIN:
            data = sys.stdin.buffer.read(SIZE_BYTES_MAX + 1)
        else:
            check_size(file.stat().st_size, name)  # before a huge file is in memory
            data = file.read_bytes()
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise CommandError(message, ExitCode.FILE, "unreadable_file") from error
    check_size(len(data), name)
    return data


def _show(report: ImportReport, result: ImportResult | None) -> None:
    from konkordat.cli.reports import show_report

    console = console_for(as_json=False)
    show_report(console, report)
    if result is None:
        console.print("[dim]dry run: nothing was written[/]")
        return
    kept = {entry["session"] for entry in result.slots_refused}
    foreseen = {entry.session.id for entry in report.slots_refused}
    others = [entry for entry in result.slots_refused if entry["session"] not in foreseen]
    if others:
        console.print(f"[yellow]{len(others)} more lost their slot to what was there before:[/]")
        for entry in others:
            console.print(f"  {entry['title']}", markup=False)
    if foreseen - kept:
        console.print("[dim]slots refused above but free at the node were given[/]")


def _as_json(report: ImportReport, result: ImportResult | None) -> dict[str, Any]:
    """The report; where the nodes decided, what they decided."""
    told: dict[str, Any] = msgspec.to_builtins(report)
    told["written"] = result is not None
    if result is not None:
        told["event_id"] = result.event
        told["slots_refused"] = result.slots_refused
        told["failed"] = result.failed
    return told
