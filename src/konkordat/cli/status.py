"""`konkordat status`: the cluster as one node sees it."""

from __future__ import annotations

import time
from typing import Any, Final, NoReturn

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from konkordat.cli.connection import Connection
from konkordat.cli.exits import ExitCode
from konkordat.cli.output import console_for, emit_json, thousands
from konkordat.client import Client, KonkordatError

EVERY_S: Final = 0.5
EVERY_PLAIN_S: Final = 5.0  # into a log
_STYLES: Final = {"ready": "green", "joining": "yellow", "fenced": "yellow", "lost": "red"}


def show_status(connection: Connection, follow: bool, as_json: bool) -> int:
    """Show it once, or until Ctrl-C."""
    if follow:
        _follow(connection, as_json)
    with connection.client() as client:
        status = client.cluster()
    if as_json:
        emit_json(status)
    else:
        console_for(as_json).print(_rendered(status))
    return ExitCode.OK if is_well(status) else ExitCode.UNMET


def is_well(status: dict[str, Any]) -> bool:
    """Every node is ready and has the same, and nothing is in quarantine."""
    ready = all(node["health"] == "ready" for node in status["nodes"])
    return bool(
        ready and status["converged"] and status["digests_equal"] and not status["quarantined"]
    )


def _follow(connection: Connection, as_json: bool) -> NoReturn:
    """Until Ctrl-C: one JSON object a look, or the table in place, or where there is no screen, again and again."""
    console = console_for(as_json)
    with connection.client() as client:
        if as_json:
            while True:
                emit_json(client.cluster())
                time.sleep(EVERY_S)
        if not console.is_terminal or console.is_dumb_terminal:
            while True:
                console.print(_rendered(client.cluster()))
                time.sleep(EVERY_PLAIN_S)
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                live.update(_look(client), refresh=True)
                time.sleep(EVERY_S)


def _look(client: Client) -> RenderableType:
    """The table, or why there is none at the moment: somebody who watches wants to see the node come back."""
    try:
        return _rendered(client.cluster())
    except KonkordatError as error:
        return Text(f"no node answers: {error}", "red")


def _rendered(status: dict[str, Any]) -> RenderableType:
    nodes = sorted(status["nodes"], key=lambda node: node["name"])
    table = Table(box=box.ROUNDED, border_style="dim", header_style="bold")
    for heading, justify in (
        ("node", "left"),
        ("health", "left"),
        ("records", "right"),
        ("batches", "right"),
        ("behind", "right"),
        ("lag ms", "right"),
        ("clock ms", "right"),
        ("digest", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    digests = {node["digest"] for node in nodes}
    for node in nodes:
        table.add_row(
            Text(node["name"] + ("" if not node["is_self"] else " ←"), "bold"),
            Text(node["health"], _STYLES.get(node["health"], "yellow")),
            thousands(node["records"]),
            thousands(sum(node["frontier"].values())),
            thousands(node["behind"]),
            Text(thousands(node["lag_ms"]), "yellow" if node["lag_ms"] >= 1 else "dim"),
            f"{node['clock_offset_ms']:+.0f}",
            Text(node["digest"], "green" if len(digests) == 1 else "yellow"),
        )
    where = Text(f"cluster {status['cluster']}, as {status['node']} sees it (←)", "dim")
    problems = [Text(f"! {problem}", "yellow") for problem in status["problems"]]
    return Group(where, table, *problems)
