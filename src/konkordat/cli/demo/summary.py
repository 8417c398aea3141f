"""The end: what was promised and held, and how to go on with nodes that were kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from konkordat.cli.demo.cast import Cast
from konkordat.cli.demo.stage import Check, Stage
from konkordat.cli.output import thousands

_OWNER_ONLY: Final = 0o600


def sum_up(stage: Stage, figures: Mapping[str, Any], took_s: float) -> None:
    """The checklist, the figures, the verdict."""
    stage.title("Summary")
    stage.words([_ticked(check) for check in stage.checks])
    line = _figures_line(figures)
    if line:
        stage.say(f"[dim]{line}[/]")
    unmet = [check for check in stage.checks if not check.ok]
    count = len(stage.checks)
    if not unmet:
        stage.say(f"[bold green]All {count} expectations met[/] in {took_s:.1f} s")
        return
    stage.say(f"[bold red]{len(unmet)} of {count} expectations unmet[/] after {took_s:.1f} s")
    for check in unmet:
        stage.say(f"[red]✗ {check.name}[/]: {check.detail}")


def _ticked(check: Check) -> str:
    mark = "[green]✓[/]" if check.ok else "[bold red]✗[/]"
    return f"{mark} {check.name.replace('_', ' ')}"


def _figures_line(figures: Mapping[str, Any]) -> str:
    parts: list[str] = []
    if "import_s" in figures:
        parts.append(
            f"{thousands(figures['sessions'])} sessions at {figures['nodes']} nodes in"
            f" {figures['import_s']:.2f} s"
        )
    if "visible_ms" in figures:
        visible = figures["visible_ms"]
        parts.append(
            f"a change visible elsewhere: p50 {visible['p50']:.1f} ms, p99 {visible['p99']:.1f} ms"
        )
    if "healed_s" in figures:
        parts.append(f"in agreement {figures['healed_s']:.1f} s after the cut was mended")
    if "decided_after_kill_s" in figures:
        parts.append(
            f"decided {figures['decided_after_kill_s']:.1f} s after the seat's holder was killed"
        )
    return "; ".join(parts)


def say_how_to_go_on(console: Console, cast: Cast) -> None:
    """Addresses, keys, and how to stop. The keys go into a file that only its owner can read."""
    file = cast.folder / "env"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, _OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(f'export KONKORDAT_URL="{" ".join(cast.urls.values())}"\n')
        out.write(f"export KONKORDAT_KEY={cast.key}\n")
        out.write(
            f"# The operator's, for `konkordat key`:\n# export KONKORDAT_KEY={cast.admin_key}\n"
        )
    console.print("\n[bold]The nodes go on running[/]")
    for name, url in cast.urls.items():
        console.print(f"   {name:<8} {url}")
    pids = " ".join(map(str, cast.pids))
    commands = (
        (f". {file}", "addresses and key for this shell"),
        ("konkordat status --watch", ""),
        ("konkordat watch", "changes as they happen"),
        (f"kill {pids} && rm -r {cast.folder}", "the end"),
    )
    for command, what in commands:
        told = f"  [dim]# {what}[/]" if what else ""
        console.print(f"   [dim]$[/] {escape(command)}{told}", soft_wrap=True)
