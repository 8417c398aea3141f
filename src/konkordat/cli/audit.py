"""`konkordat audit`: the audit trail as it comes, or verified."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec import Struct

from konkordat.cli.connection import Connection
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.output import console_for, emit_json, thousands

FAULTS_MAX: Final = 20  # shown; one is enough to know
NO_HASH: Final = "0" * 64  # before an origin's first batch


class AuditOptions(Struct, frozen=True):
    """The flags as they were given."""

    output: Path | None
    verify: bool
    file: Path | None  # verify this instead of a node's
    as_json: bool


class Line(Struct):
    """What is looked at in a line of the trail."""

    hlc: str
    origin: str
    seq: int
    batch: str  # hash of the batch
    previous: str = ""  # hash of the batch before it in its origin's chain


class Verdict(Struct, frozen=True):
    """What was found."""

    lines: int
    batches: int
    origins: int
    faults: list[str]


def run_audit(connection: Connection, options: AuditOptions) -> int:
    """Export or verify."""
    if options.file is not None and not options.verify:
        message = "--file is for --verify: an export kept earlier is checked."
        raise CommandError(message, ExitCode.USAGE, "usage")
    if options.verify:
        return _verify(connection, options)
    with connection.client() as client:
        if options.output is None:
            _copy(client.audit(), sys.stdout.buffer)
        else:
            with options.output.open("wb") as file:
                _copy(client.audit(), file)
    return ExitCode.OK


def _copy(pieces: Iterable[bytes], out: BinaryIO) -> None:
    for piece in pieces:
        out.write(piece)
    out.flush()


def _verify(connection: Connection, options: AuditOptions) -> int:
    if options.file is not None:
        with options.file.open("rb") as file:
            verdict = verify(file)
    else:
        with connection.client() as client:
            verdict = verify(_lines(client.audit()))
    if options.as_json:
        emit_json({"ok": not verdict.faults, **msgspec.to_builtins(verdict)})
    else:
        console = console_for(as_json=False)
        for fault in verdict.faults:
            console.print(f"[red]✗[/] {fault}")
        good = "[green]✓ in order, without gaps, chains unbroken[/]"
        console.print(
            f"{'' if verdict.faults else good + ': '}{thousands(verdict.lines)} changes in"
            f" {thousands(verdict.batches)} batches of {verdict.origins} origins"
        )
    return ExitCode.UNMET if verdict.faults else ExitCode.OK


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of any size as lines."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest


def verify(lines: Iterable[bytes]) -> Verdict:
    """Check a trail: each line readable, in the order of (clock, origin), each origin's chain whole."""
    decoder = msgspec.json.Decoder(Line)
    chains: dict[str, _Chain] = {}
    faults: list[str] = []
    last = ("", "")
    count = 0
    for count, raw in enumerate(lines, start=1):
        if len(faults) >= FAULTS_MAX:
            break
        try:
            line = decoder.decode(raw)
        except msgspec.MsgspecError as error:
            faults.append(f"line {count} is no line of an audit trail: {error}")
            continue
        if (line.hlc, line.origin) < last:
            faults.append(f"line {count} is out of order")
        last = (line.hlc, line.origin)
        fault = chains.setdefault(line.origin, _Chain()).follow(line)
        if fault:
            faults.append(f"line {count}: {fault}")
    batches = sum(chain.batches for chain in chains.values())
    return Verdict(count, batches, len(chains), faults)


class _Chain:
    """One origin's batches so far."""

    def __init__(self) -> None:
        self.batches = 0
        self._seq = 0
        self._hash = NO_HASH

    def follow(self, line: Line) -> str:
        """Take in a line; what is wrong with it, or "". A tenant's trail may skip batches: those of other tenants."""
        if line.seq == self._seq:
            same = line.batch == self._hash
            return "" if same else f"batch {line.seq} of {line.origin} has two hashes"
        before, self._hash = self._hash, line.batch
        gap = line.seq != self._seq + 1
        backwards = line.seq < self._seq
        self._seq = line.seq
        self.batches += 1
        if backwards:
            return f"batch {line.seq} of {line.origin} comes after a later one"
        if not gap and line.previous and line.previous != before:
            return f"batch {line.seq} of {line.origin} does not follow the one before it"
        return ""
