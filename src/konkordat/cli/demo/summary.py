"""The end: what was promised and held, and how to go on with nodes that were kept."""

from __future__ import annotations

import os
from typing import Final

from rich.console import Console
from rich.markup import escape

from konkordat.cli.demo.cast import Cast
from konkordat.cli.demo.stage import Stage

_OWNER_ONLY: Final = 0o600


def sum_up(console: Console, stage: Stage, took_s: float) -> None:
    """One line of verdict, and what did not hold."""
    unmet = [check for check in stage.checks if not check.ok]
    console.print()
    if unmet:
        names = ", ".join(check.name for check in unmet)
        console.print(
            f"[bold red]✗ {len(unmet)} of {len(stage.checks)} expectations unmet: {names}[/]"
            f" ({took_s:.1f} s)"
        )
    else:
        console.print(f"[bold green]✓ all {len(stage.checks)} expectations met[/] ({took_s:.1f} s)")


def say_how_to_go_on(console: Console, cast: Cast) -> None:
    """Addresses, the key, and how to stop. The key is in a file, not in the history of a terminal."""
    file = cast.folder / "env"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, _OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(f'export KONKORDAT_URL="{" ".join(cast.urls.values())}"\n')
        out.write(f"export KONKORDAT_KEY={cast.key}\n")
        out.write(f"export KONKORDAT_ADMIN_KEY={cast.admin_key}\n")
    console.print("\n[bold]The nodes go on running.[/]")
    for name, url in cast.urls.items():
        console.print(f"  {name:<8} {url}", highlight=False)
    console.print(f"\n  [dim]$[/] . {escape(str(file))}     [dim]# addresses and keys[/]")
    console.print("  [dim]$[/] konkordat status --watch")
    pids = " ".join(map(str, cast.pids))
    console.print(f"  [dim]$[/] kill {pids}     [dim]# stops them[/]")
