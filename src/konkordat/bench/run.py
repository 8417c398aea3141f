"""Which measurements are made, in which order, and the report."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from msgspec import Struct
from rich.console import Console

from konkordat.bench.machine import describe_machine, lines_of
from konkordat.bench.results import Section, as_json, plain, show
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.output import console_for, emit_json


class BenchOptions(Struct, frozen=True):
    """The flags as they were given."""

    what: tuple[str, ...]
    quick: bool
    data: Path | None
    as_json: bool


class Setting(Struct, frozen=True):
    """What every measurement is given."""

    folder: Path  # on the disk to measure; a fresh one for each
    quick: bool
    console: Console

    def say(self, text: str) -> None:
        """What is being done now; a measurement may take a minute."""
        self.console.print(f"[dim]  {text}[/]")


Measure = Callable[[Setting], Awaitable[Section]]


def _measurements() -> dict[str, Measure]:
    """Every measurement by name, in the order in which `all` makes them: short ones first."""
    from konkordat.bench.catchup import measure_catch_up
    from konkordat.bench.claims import measure_confirmation, measure_contention, measure_takeover
    from konkordat.bench.deciding import measure_deciding
    from konkordat.bench.delay import measure_delay
    from konkordat.bench.memory import measure_memory
    from konkordat.bench.restart import measure_restart
    from konkordat.bench.size import measure_size
    from konkordat.bench.start import measure_start
    from konkordat.bench.store import measure_store
    from konkordat.bench.throughput import measure_throughput

    return {
        "start": measure_start,
        "size": measure_size,
        "store": measure_store,
        "delay": measure_delay,
        "throughput": measure_throughput,
        "deciding": measure_deciding,
        "claims": measure_confirmation,
        "contention": measure_contention,
        "takeover": measure_takeover,
        "restart": measure_restart,
        "catchup": measure_catch_up,
        "memory": measure_memory,
    }


DEFAULT: Final = ("delay", "throughput")


def run_bench(options: BenchOptions) -> int:
    """Measure and report. The exit code says whether everything could be run, not whether it was fast."""
    measurements = _measurements()
    chosen = _chosen(options.what, measurements)
    console = console_for(options.as_json)
    folder = options.data or Path(tempfile.mkdtemp(prefix="konkordat-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(folder)
    console.print("\n[bold]Konkordat[/]: figures of five nodes on this machine")
    for line in lines_of(machine):
        console.print(f"[dim]  {line}[/]")
    sections: list[Section] = []
    failures: dict[str, str] = {}
    try:
        for name in chosen:
            place = folder / name
            try:
                section = _measure(measurements[name], Setting(place, options.quick, console))
            except CommandError as error:
                failures[name] = error.message
                console.print(f"\n[bold red]{name} could not be run:[/] {error.message}")
                continue
            finally:
                shutil.rmtree(place, ignore_errors=True)
            sections.append(section)
            show(console, section)
    finally:
        if options.data is None:
            shutil.rmtree(folder, ignore_errors=True)
    if options.as_json:
        emit_json({"machine": plain(machine), **as_json(sections), "could_not_run": failures})
    return ExitCode.UNMET if failures else ExitCode.OK


def _measure(measure: Measure, setting: Setting) -> Section:
    setting.folder.mkdir(parents=True)
    started = time.perf_counter()
    section = asyncio.run(_awaited(measure, setting))
    setting.say(f"took {time.perf_counter() - started:.0f} s")
    return section


async def _awaited(measure: Measure, setting: Setting) -> Section:
    return await measure(setting)


def _chosen(what: tuple[str, ...], known: dict[str, Measure]) -> tuple[str, ...]:
    if "all" in what:
        return tuple(known)
    unknown = [name for name in what if name not in known]
    if unknown:
        message = f"There is no measurement {unknown[0]!r}. There are: {', '.join(known)}, all."
        raise CommandError(message, ExitCode.USAGE, "usage")
    return what or DEFAULT
