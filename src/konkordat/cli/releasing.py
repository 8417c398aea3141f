"""`konkordat release`: a programme frozen under a name."""

from __future__ import annotations

from typing import Any, Final

from konkordat.cli.connection import Connection
from konkordat.cli.exits import ExitCode
from konkordat.cli.exporting import event_id
from konkordat.cli.output import console_for, emit_json

_WHY: Final = {
    "overbooked": "more sessions at a time than its room takes now",
    "place_deleted": "its room or booth was deleted",
}


def run_release(
    connection: Connection, event: str, name: str, comment: str, *, dry_run: bool, as_json: bool
) -> int:
    """Make a release, or say what clashes in it."""
    with connection.client() as client:
        made = client.release(event_id(client, event), name, comment, dry_run=dry_run)
    console = console_for(as_json)
    if made["release"] is not None:
        shown = made["release"]
        console.print(f"Release {name}: {shown['sessions']} sessions, digest {shown['digest']}.")
    for line in _clashes(made["clashes"]):
        console.print(line)
    if as_json:
        emit_json(made)
    return ExitCode.OK


def _clashes(clashes: Any) -> list[str]:
    pairs = [
        f"  speaker {c['speaker']} is in two sessions at once: {c['first']}, {c['second']}"
        for c in clashes["speakers"]
    ]
    displaced = [f"  session {d['session']} has no place" for d in clashes["displaced"]]
    outside = [f"  session {id} is on no day of the event" for id in clashes["outside"]]
    overbooked = [f"  session {o['session']}: {_WHY[o['code']]}" for o in clashes["overbooked"]]
    found = pairs + displaced + outside + overbooked
    return ["It clashes:", *found] if found else ["Nothing clashes in it."]
