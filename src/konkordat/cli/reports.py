"""An import's report for people: figures, slots refused, speakers in two places, what was odd in the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from konkordat.cli.output import thousands
from konkordat.schedule.interchange.plan import ImportReport
from konkordat.schedule.interchange.programme import Finding

ROWS_MAX: Final = 20  # of each table; all are in `--json`


def figures_line(report: ImportReport) -> str:
    """One line: how many of what."""
    counts = (
        (report.sessions, "session", "sessions"),
        (report.placed, "with a slot", "with a slot"),
        (report.rooms, "room", "rooms"),
        (report.venues, "venue", "venues"),
        (report.speakers, "speaker", "speakers"),
    )
    return _counted(counts)


def problems_line(report: ImportReport) -> str:
    """One line: what the import could not take as it was."""
    counts = (
        (len(report.slots_refused), "slot refused", "slots refused"),
        (len(report.speaker_clashes), "speaker clash", "speaker clashes"),
        (len(report.findings), "finding", "findings"),
    )
    present = [(n, one, many) for n, one, many in counts if n]
    return _counted(present) if present else "no clash, nothing odd"


def _counted(counts: Iterable[tuple[int, str, str]]) -> str:
    return ", ".join(f"{thousands(n)} {one if n == 1 else many}" for n, one, many in counts)


def show_report(console: Console, report: ImportReport) -> None:
    """The whole report."""
    console.print(f"[bold]{_plain(report.title)}[/] ({report.event})")
    console.print(figures_line(report))
    console.print(problems_line(report))
    if report.slots_refused:
        console.print(refused_table(report))
    if report.speaker_clashes:
        console.print(clashes_table(report))
    if report.findings:
        console.print(findings_table(report.findings))


def refused_table(report: ImportReport) -> RenderableType:
    """Sessions that keep no slot, each with those that were there before."""
    rows = [
        (
            entry.room,
            entry.local_start.replace("T", " "),
            entry.session.title,
            _titles(entry.in_the_way),
        )
        for entry in report.slots_refused
    ]
    return _table("Imported without its slot", ("room", "start", "session", "taken by"), rows)


def clashes_table(report: ImportReport) -> RenderableType:
    """Speakers in two places at once."""
    rows = [(c.speaker, c.first.title, c.second.title) for c in report.speaker_clashes]
    return _table("Speakers in two places", ("speaker", "session", "and at the same time"), rows)


def findings_table(findings: Iterable[Finding]) -> RenderableType:
    """What was odd in the file: one row per kind and session."""
    found = list(findings)
    kinds = Counter(finding.code.value for finding in found)
    title = "Odd in the file: " + ", ".join(
        f"{count} {code}" for code, count in kinds.most_common()
    )
    rows = [(f.code.value, f.title or f.session or "the event", f.detail) for f in found]
    return _table(title, ("finding", "session", "what was done"), rows)


def _table(
    title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> RenderableType:
    table = Table(
        title=Text(title, "bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        header_style="dim",
        pad_edge=False,
        caption=f"… and {len(rows) - ROWS_MAX} more" if len(rows) > ROWS_MAX else None,
        caption_justify="left",
    )
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows[:ROWS_MAX]:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _titles(sessions: Iterable[Any]) -> str:
    return "; ".join(session.title for session in sessions)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
