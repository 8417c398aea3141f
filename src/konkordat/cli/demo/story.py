"""The performance from curtain to curtain: prepare, play the scenes, sum up, and leave nothing behind."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, structs
from rich.console import Console
from rich.markup import escape

from konkordat.cli.demo.cast import Cast
from konkordat.cli.demo.choices import Choices, choose
from konkordat.cli.demo.rivals import Rivals
from konkordat.cli.demo.scenes import Scenes
from konkordat.cli.demo.stage import Stage
from konkordat.cli.demo.summary import say_how_to_go_on, sum_up
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.failures import failure_of
from konkordat.cli.output import console_for, emit_json
from konkordat.schedule.interchange.plan import ImportPlan, plan_import
from konkordat.schedule.interchange.programme import Programme

NODES_MIN: Final = 3  # one writes, one is cut off, and one has to hear of both
BETWEEN_SCENES_S: Final = 0.7  # on a terminal; long enough to read a line
SIGNALLED: Final = 128  # plus the signal's number: the exit code that shells know
NODES_MAX: Final = 9  # a machine that runs more has better things to do


class DemoOptions(Struct, frozen=True):
    """The flags as they were given."""

    programme: Path | None
    keep: bool
    data: Path | None
    names: tuple[str, ...]
    as_json: bool


def run_demo(options: DemoOptions) -> int:
    """Play. The exit code is 0 if everything was as promised."""
    _check(options)
    console = console_for(options.as_json)
    number = len(options.names)
    console.print(f"\n[bold]Konkordat[/]: {number} nodes, one programme, nobody in charge")
    plan, choices = _programme(options)
    folder = _folder(options)
    performance = _Performance(options, console, folder, plan, choices)
    is_ours = options.data is None
    try:
        code = asyncio.run(performance.play())
    except (KeyboardInterrupt, asyncio.CancelledError):
        # Whoever ends the demo early wants nothing of it, and knows no addresses of nodes to keep.
        performance.cast.kill()
        if is_ours:
            shutil.rmtree(folder, ignore_errors=True)
        return performance.ended_by or ExitCode.INTERRUPTED
    except BaseException:
        performance.cast.kill()
        raise
    if code == ExitCode.OK and is_ours and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _check(options: DemoOptions) -> None:
    names = options.names
    if not NODES_MIN <= len(names) <= NODES_MAX or len(set(names)) < len(names):
        message = f"--nodes takes {NODES_MIN} to {NODES_MAX} different names, separated by commas."
        raise CommandError(message, ExitCode.USAGE, "usage")


def _folder(options: DemoOptions) -> Path:
    if options.data is None:
        return Path(tempfile.mkdtemp(prefix="konkordat-demo-"))
    options.data.mkdir(parents=True, exist_ok=True)
    if any(options.data.iterdir()):
        message = f"{options.data} is not empty: the demo begins with empty nodes."
        raise CommandError(message, ExitCode.USAGE, "not_empty")
    return options.data


def _programme(options: DemoOptions) -> tuple[ImportPlan, Choices]:
    """What is imported, and what the scenes do with it."""
    from konkordat.cli.importing import load_programme, load_sample

    programme = load_programme(options.programme) if options.programme else load_sample()
    programme = _housed(programme, options.names)
    plan = plan_import(programme)
    return plan, choose(programme, plan, options.names[0])


def _housed(programme: Programme, names: Sequence[str]) -> Programme:
    """Every house at home at one of our nodes, and one at least at the first: there its rooms are decided."""
    first = names[0]
    is_home = any(venue.region == first for venue in programme.venues)
    venues = tuple(
        v if is_home and v.region in names else structs.replace(v, region=first)
        for v in programme.venues
    )
    return structs.replace(programme, venues=venues)


class _Performance:
    """One run of the demo."""

    def __init__(
        self,
        options: DemoOptions,
        console: Console,
        folder: Path,
        plan: ImportPlan,
        choices: Choices,
    ) -> None:
        self.options = options
        self.console = console
        self.plan = plan
        self.choices = choices
        self.cast = Cast(options.names, folder, outlives_us=options.keep)
        self.ended_by = 0  # exit code, if a signal ended it

    def _end_on_signals(self) -> None:
        """A demo that is told to end stops its nodes first."""
        task = asyncio.current_task()
        assert task is not None

        def end(number: int) -> None:
            self.ended_by = SIGNALLED + number
            task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, end, number)

    async def play(self) -> int:
        """All scenes; then the nodes are stopped, unless they are to be kept."""
        self._end_on_signals()
        started = time.perf_counter()
        stage = Stage(self.console, self.cast.names, self.cast.looks)
        scenes = Scenes(stage, self.cast, self.plan, self.choices)
        rivals = Rivals(stage, self.cast, self.choices, scenes.names, scenes.figures)
        failure: CommandError | None = None
        async with self.cast:
            try:
                with stage:
                    await _all(scenes, rivals)
            except (
                Exception
            ) as error:  # whatever is known ends the story, anything else is a defect
                failure = self.cast.fallen() or failure_of(error)
                if failure is None:
                    raise
                # Something did not come about at all: it is the promise that was not kept.
                stage.expect(failure.kind, False, escape(failure.message))
            took_s = time.perf_counter() - started
            promised = all(check.ok for check in stage.checks)
            sum_up(stage, scenes.figures, took_s)
            if self.options.keep and self.cast.is_up:
                say_how_to_go_on(self.console, self.cast)
                self.cast.is_kept = True
        if self.options.as_json:
            emit_json(self._result(scenes, stage, took_s))
        if promised:
            return ExitCode.OK
        if not self.options.keep:
            self.console.print(f"   [dim]the nodes' logs are in {escape(str(self.cast.folder))}[/]")
        if failure is not None and failure.code != ExitCode.UNMET:
            return failure.code
        return ExitCode.UNMET

    def _result(self, scenes: Scenes, stage: Stage, took_s: float) -> dict[str, object]:
        checks = [{"name": c.name, "ok": c.ok} for c in stage.checks]
        kept = {"urls": self.cast.urls, "key": self.cast.key} if self.options.keep else {}
        defaults = {"nodes": len(self.cast.names), "converged": False, "digests_equal": False}
        return {
            "ok": all(check.ok for check in stage.checks),
            **defaults,
            "audit_equal": False,
            **scenes.figures,
            "took_s": round(took_s, 2),
            "checks": checks,
            **kept,
        }


async def _all(scenes: Scenes, rivals: Rivals) -> None:
    for scene in (
        scenes.meet,
        scenes.arrive,
        scenes.spread,
        scenes.refuse,
        scenes.part,
        scenes.remember,
        rivals.rival,
        rivals.succeed,
        scenes.audit,
    ):
        await scene()
        await scenes.stage.pause(BETWEEN_SCENES_S)
