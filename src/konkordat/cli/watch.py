"""`konkordat watch`: changes as they happen."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from konkordat.cli.connection import Connection
from konkordat.cli.exits import ExitCode
from konkordat.cli.output import console_for, emit_json
from konkordat.client import CaughtUp, Change, Gap


def watch_changes(
    connection: Connection, types: tuple[str, ...], since: str, count: int, as_json: bool
) -> int:
    """Show changes until Ctrl-C, or until so many were shown."""
    console = console_for(as_json)
    shown = 0
    with connection.client() as client:
        client.cluster()  # nobody there, or a wrong key: said now, and not tried for ever
        for item in client.stream(types=types, since=since):
            match item:
                case Change():
                    _show(console, item, as_json)
                    shown += 1
                case Gap(reason=reason):
                    console.print(
                        f"[yellow]the connection was lost ({escape(reason)}); going on[/]"
                    )
                case CaughtUp():
                    console.print("[dim]— from here on live; Ctrl-C ends —[/]")
            if count and shown >= count:
                break
    return ExitCode.OK


def _show(console: Console, change: Change, as_json: bool) -> None:
    if as_json:
        emit_json(
            {
                "op": change.op,
                "type": change.type,
                "id": change.id,
                "version": change.version,
                "data": change.data,
                "token": change.token,
            }
        )
        return
    mark = "[red]-[/]" if change.op == "delete" else "[green]+[/]"
    at = time.strftime("%H:%M:%S")
    kind = change.type.removesuffix("s")
    console.print(f"[dim]{at}[/] {mark} {kind:<8} {escape(_told(change))}", soft_wrap=True)


def _told(change: Change) -> str:
    """What it is about, in a few words."""
    data: dict[str, Any] = change.data or {}
    names = data.get("title") or data.get("name") or change.id
    name = next(iter(names.values()), change.id) if isinstance(names, dict) else str(names)
    slot = data.get("slot")
    place = ""
    if slot:
        place = f"  {slot.get('local_start', '').replace('T', ' ')} {slot.get('state', '')}"
    node = f"  at {data['updated_at_node']}" if data.get("updated_at_node") else ""
    return f"{name}{place}{node}"
