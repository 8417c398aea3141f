"""`konkordat audit`: the audit trail or the log as it comes, or verified."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from konkordat.cli.connection import Connection
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.output import console_for, emit_json, thousands
from konkordat.cli.verifying import Verdict, verify
from konkordat.client import Forbidden


class AuditOptions(Struct, frozen=True):
    """The flags as they were given."""

    output: Path | None
    log: bool  # the log with its bytes, not the trail
    verify: bool
    file: Path | None  # verify this instead of a node's
    as_json: bool


def run_audit(connection: Connection, options: AuditOptions) -> int:
    """Export or verify."""
    if options.file is not None and not options.verify:
        message = "--file is for --verify: an export kept earlier is checked."
        raise CommandError(message, ExitCode.USAGE, "usage")
    if options.verify:
        return _show(_verdict(connection, options.file), options.as_json)
    with connection.client() as client:
        pieces = client.log() if options.log else client.audit()
        if options.output is None:
            _copy(pieces, sys.stdout.buffer)
        else:
            with options.output.open("wb") as file:
                _copy(pieces, file)
    return ExitCode.OK


def _copy(pieces: Iterable[bytes], out: BinaryIO) -> None:
    for piece in pieces:
        out.write(piece)
    out.flush()


def _verdict(connection: Connection, file: Path | None) -> Verdict:
    """Of a file; of the log where the key may have it; else of the trail."""
    if file is not None:
        with file.open("rb") as lines:
            return verify(lines)
    with connection.client() as client:
        try:
            return verify(_lines(client.log()))
        except Forbidden:
            return verify(_lines(client.audit()))


def _show(verdict: Verdict, as_json: bool) -> int:
    code = ExitCode.UNMET if verdict.faults else ExitCode.OK
    if as_json:
        emit_json({"ok": not verdict.faults, **msgspec.to_builtins(verdict)})
        return code
    console = console_for(as_json=False)
    for fault in verdict.faults:
        console.print(f"[red]✗[/] {fault}", soft_wrap=True)
    what = (
        f"{thousands(verdict.changes)} changes in {thousands(verdict.batches)} batches of"
        f" {verdict.origins} origins"
    )
    if verdict.faults:
        console.print(f"{len(verdict.faults)} faults in {what}")
    elif verdict.form == "log":
        console.print(
            f"[green]✓[/] {what}: every hash computed, every chain unbroken, nothing missing"
        )
    else:
        console.print(f"[green]✓[/] {what}: in order, one hash a batch")
        console.print("[dim]The chains need the log, and that the operator's key.[/]")
    return code


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of any size as lines."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest
