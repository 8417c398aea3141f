"""`konkordat status`: the cluster as one node sees it."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final, NoReturn

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from konkordat.cli.board import short_names
from konkordat.cli.connection import Connection
from konkordat.cli.exits import ExitCode
from konkordat.cli.output import console_for, emit_json, thousands
from konkordat.client import Client, KonkordatError

EVERY_S: Final = 0.5
EVERY_PLAIN_S: Final = 5.0  # into a log
WIDTH_WHOLE: Final = 100
WIDTH_SEATS: Final = 78  # and who decides for how many venues and events
NAMES_MAX: Final = 7  # more do not fit a line
_STYLES: Final = {"ready": "green", "joining": "yellow", "fenced": "yellow", "lost": "red"}


def show_status(connection: Connection, follow: bool, as_json: bool) -> int:
    """Show it once, or until Ctrl-C."""
    if follow:
        _follow(connection, as_json)
    with connection.client() as client:
        status = client.cluster()
    console = console_for(as_json)
    if as_json:
        emit_json(status)
    else:
        console.print(_rendered(status, console.width))
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
                console.print(_rendered(client.cluster(), console.width))
                time.sleep(EVERY_PLAIN_S)
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                live.update(_look(client, console.width), refresh=True)
                time.sleep(EVERY_S)


def _look(client: Client, width: int) -> RenderableType:
    """The table, or why there is none at the moment: somebody who watches wants to see the node come back."""
    try:
        return _rendered(client.cluster(), width)
    except KonkordatError as error:
        return Text(f"no node answers: {error}", "red")


def _rendered(status: dict[str, Any], width: int) -> RenderableType:
    nodes = sorted(status["nodes"], key=lambda node: str(node["name"]))
    names = [node["name"] for node in nodes]
    whole = width >= WIDTH_WHOLE and len(names) <= NAMES_MAX
    frontier = f"frontier {'·'.join(short_names(names))}"
    table = Table(box=box.ROUNDED, border_style="dim", header_style="bold")
    table.add_column("node", no_wrap=True)
    table.add_column("health", no_wrap=True)
    # 80 columns do not hold everything; what is cut short could not be read.
    shows_seats = width >= WIDTH_SEATS
    middle = ([frontier] if whole else []) + ["behind", "lag ms"]
    for heading in ("records", *middle, *(["seats"] if shows_seats else []), "clock ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    is_equal = len({node["digest"] for node in nodes}) == 1
    for node in nodes:
        table.add_row(
            Text(node["name"] + ("" if not node["is_self"] else " ←"), "bold"),
            Text(node["health"], _STYLES.get(node["health"], "yellow")),
            thousands(node["records"]),
            *([_frontier(node, names)] if whole else []),
            thousands(node["behind"]),
            Text(thousands(node["lag_ms"]), "yellow" if node["lag_ms"] >= 1 else "dim"),
            *([thousands(node.get("seats", 0))] if shows_seats else []),
            f"{node['clock_offset_ms']:+.0f}",
            Text(node["digest"], "green" if is_equal else "yellow"),
        )
    where = Text(f"cluster {status['cluster']}, as {status['node']} sees it (←)", "dim")
    problems = [Text(f"! {problem}", "yellow") for problem in status["problems"]]
    return Group(where, table, *problems)


def _frontier(node: dict[str, Any], names: list[str]) -> str:
    """Batches it has of each node, over all its incarnations."""
    by_node: Counter[str] = Counter()
    for origin, seq in node["frontier"].items():
        by_node[origin.partition(".")[0]] += seq
    return "·".join(str(by_node[name]) for name in names)
