"""`konkordat backup`, `restore` and `check`: what they do and say. The only commands that open a database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.output import console_for, emit_json, thousands
from konkordat.kernel.change import Batch
from konkordat.kernel.policy import Policies
from konkordat.store.port import CorruptStoreError, StoreError, StoreFullError
from konkordat.store.replay import Replay
from konkordat.store.sqlite.backup import Facts, Progress, adopt, back_up, inspect, restore
from konkordat.wire.batches import open_body

SHOWN_MAX: Final = 20  # findings; --json has them all


def run_backup(data: Path, file: Path, as_json: bool) -> int:
    """Back up and report."""
    began = time.monotonic()
    with _named(), _bar("copying") as progress:
        facts = back_up(data, file, _replay(), progress)
    seconds = time.monotonic() - began
    _report(f"Backed up and verified: {file}.", facts, as_json, file=str(file), seconds=seconds)
    return ExitCode.OK


def run_restore(file: Path, data: Path, as_json: bool) -> int:
    """Restore and report."""
    with _named(), _bar("copying") as progress:
        facts = restore(file, data, _replay(), progress)
    _report(f"Restored and verified: {data}. {_next(facts)}", facts, as_json, data=str(data))
    return ExitCode.OK


def run_adopt(data: Path, as_json: bool) -> int:
    """Let an old copy be used, and report."""
    with _named():
        facts = adopt(data, _replay())
    _report(f"Verified: {data}. {_next(facts)}", facts, as_json, data=str(data))
    return ExitCode.OK


def run_check(data: Path, as_json: bool) -> int:
    """Check and report; UNMET if anything is wrong."""
    with _named():
        facts, findings = inspect(data, _replay())
    if as_json:
        emit_json({"sound": not findings, "findings": findings, **_as_dict(facts)})
    else:
        console = console_for(as_json)
        for finding in findings[:SHOWN_MAX]:
            console.print(f"  {finding}", markup=False, soft_wrap=True)
        if len(findings) > SHOWN_MAX:
            console.print(f"  … and {len(findings) - SHOWN_MAX} more; --json names them all")
        if not findings:
            console.print("Sound: everything agrees with everything else.")
            _show(facts, as_json)
    if findings:
        message = (
            f"{data} is damaged: {findings[0].rstrip('.')}. Keep it aside, start the node on an empty directory,"
            " and it fetches everything from its peers; or restore a backup."
        )
        raise CommandError(message, ExitCode.UNMET, "damaged")
    return ExitCode.OK


def _next(facts: Facts) -> str:
    return f"The next start of {facts.node} begins a new incarnation; what it lacks comes from its peers."


def _replay() -> Replay:
    return Replay(_decode, Policies())


def _decode(body: bytes) -> Batch:
    return open_body(body).batch


def _report(text: str, facts: Facts, as_json: bool, **more: Any) -> None:
    if as_json:
        emit_json({"verified": True, **more, **_as_dict(facts)})
        return
    console_for(as_json).print(text, markup=False, soft_wrap=True)
    _show(facts, as_json)


def _show(facts: Facts | None, as_json: bool) -> None:
    if facts is None:
        return
    console_for(as_json).print(
        f"  node {facts.node}, incarnation {facts.origin}: {thousands(facts.records)} records,"
        f" {thousands(facts.batches)} batches of {facts.origins} origins, {thousands(facts.bytes)} bytes",
        markup=False,
        soft_wrap=True,
    )


def _as_dict(facts: Facts | None) -> dict[str, Any]:
    return {} if facts is None else msgspec.to_builtins(facts)


@contextmanager
def _named() -> Iterator[None]:
    """Errors of the store as one line and an exit code."""
    try:
        yield
    except CorruptStoreError as error:
        raise CommandError(f"Damaged: {error}.", ExitCode.UNMET, "damaged") from error
    except StoreFullError as error:
        raise CommandError(f"The disk is full: {error}.", ExitCode.FILE, "disk_full") from error
    except StoreError as error:
        raise CommandError(f"{str(error).rstrip('.')}.", ExitCode.FILE, "unusable") from error


@contextmanager
def _bar(doing: str) -> Iterator[Progress]:
    """A bar on stderr, where that is a terminal."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    console = console_for(as_json=True)
    bar = Bar(
        *(TextColumn(doing), BarColumn(), TaskProgressColumn()),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
