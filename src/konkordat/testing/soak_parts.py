"""The parts of the long campaign: how much of each there is to do, cut into pieces that a process of its own can do.

A piece is a value; `done` carries it out and returns what it came to. Quotas are those of the proof plan's long column,
in proportion to the minutes that there are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from konkordat.testing.campaign import SeedResult, run_seed
from konkordat.testing.crash.campaign import Report as CrashReport
from konkordat.testing.crash.campaign import run_campaign
from konkordat.testing.crash.faults import FaultReport, try_every_operation
from konkordat.testing.crash.flips import FlipReport, run_flips
from konkordat.testing.model import Found, explore
from konkordat.testing.options import Options, drawn, drawn_long
from konkordat.testing.planted import BUGS, SEEDS_MAX, hunt
from konkordat.testing.real.campaign import Report as RealReport
from konkordat.testing.seats.bugs import BUGS as SEAT_BUGS
from konkordat.testing.seats.scopes import SCOPES

FULL_MINUTES: Final = 150.0  # in which two cores do all of the plan
PLAN: Final = {
    "short seeds": 20_000,
    "long seeds": 600,
    "examples of each merge law": 50_000,
    "states of the seat model": 2_000_000,
    "crash images": 100_000,
    "kills of real processes": 1_000,
    "bit flips": 10_000,
}
IMAGES_A_PIECE: Final = 6_000  # every step of the named scenarios is about a third of it
FLIPS_A_PIECE: Final = 500
KILLS_A_PIECE: Final = 20  # about a minute
EXAMPLES_A_PIECE: Final = 5_000  # about five minutes
STATES_A_PIECE: Final = 500_000  # what memory should hold of one world
STATES_FOR_A_BUG: Final = 250_000
BACKLOG_EVERY: Final = 1_000  # one seed in so many makes a node catch up with a backlog
BACKLOG: Final = 100_000
PIECE_S_MAX: Final = 1_800  # a process that takes longer hangs
LAWS: Final = (
    Path("tests") / "laws" / "kernel" / "test_merge_laws.py"
)  # beside the sources; what is installed has none


class Seed(msgspec.Struct, frozen=True):
    options: Options


class Hunt(msgspec.Struct, frozen=True):
    """For a planted bug of the simulator, or of the seat model."""

    bug: str
    of_seats: bool = False


class Crashes(msgspec.Struct, frozen=True):
    images: int
    seed: int


class Flips(msgspec.Struct, frozen=True):
    flips: int
    seed: int


class FailingDisks(msgspec.Struct, frozen=True):
    seed: int


class Exploration(msgspec.Struct, frozen=True):
    scope: str
    states: int


class Laws(msgspec.Struct, frozen=True):
    examples: int
    seed: int


class Kills(msgspec.Struct, frozen=True):
    kills: int
    seed: int


Piece = Seed | Hunt | Crashes | Flips | FailingDisks | Exploration | Laws | Kills


class Hunted(msgspec.Struct, frozen=True):
    bug: str
    where: str  # "" = not found


class LawsTold(msgspec.Struct, frozen=True):
    examples: int
    said: str  # the runner's last line
    failed: str = ""  # and what failed


class Broken(msgspec.Struct, frozen=True):
    """A piece that did not come to an end: a fault of the campaign, or of what it looks at."""

    piece: str
    why: str


Outcome = (
    SeedResult
    | Hunted
    | CrashReport
    | FlipReport
    | FaultReport
    | Found
    | LawsTold
    | RealReport
    | Broken
)


def quotas(minutes: float) -> dict[str, int]:
    """What is to be done in so many minutes."""
    share = minutes / FULL_MINUTES
    return {name: max(1, round(number * share)) for name, number in PLAN.items()}


def seeds(first: int, quota: dict[str, int]) -> Iterator[Seed]:
    """Without end: long ones among short ones as the plan has them, and rarely one with a great backlog."""
    long_every = max(2, quota["short seeds"] // quota["long seeds"])
    seed = first
    while True:
        number = seed - first
        if number % BACKLOG_EVERY == BACKLOG_EVERY // 2:
            yield Seed(drawn(seed, nodes=3, profile="quiet", backlog=BACKLOG))
        elif number % long_every == long_every // 2:
            yield Seed(drawn_long(seed))
        else:
            yield Seed(drawn(seed))
        seed += 1


def pieces(first: int, quota: dict[str, int], *, planted: bool) -> list[Piece]:
    """Everything but seeds, so mixed that whatever time there is, something of each is done."""
    each = -(-quota["states of the seat model"] // len(SCOPES))
    kinds: list[list[Piece]] = [
        [Kills(n, first + i) for i, n in _cut(quota["kills of real processes"], KILLS_A_PIECE)],
        [Crashes(n, first + i) for i, n in _cut(quota["crash images"], IMAGES_A_PIECE)],
        [Flips(n, first + i) for i, n in _cut(quota["bit flips"], FLIPS_A_PIECE)],
        [Exploration(scope, min(each, STATES_A_PIECE)) for scope in SCOPES],
        [
            Laws(n, first + i)
            for i, n in _cut(quota["examples of each merge law"], EXAMPLES_A_PIECE)
        ],
        [FailingDisks(first)],
    ]
    if planted:
        kinds.append([Hunt(bug.name) for bug in BUGS])
        kinds.append([Hunt(bug, of_seats=True) for bug in SEAT_BUGS])
    placed = [((i + 0.5) / len(kind), piece) for kind in kinds for i, piece in enumerate(kind)]
    return [piece for _, piece in sorted(placed, key=lambda at: at[0])]


def _cut(total: int, size: int) -> Iterator[tuple[int, int]]:
    """(number, size) of parts of about the same size, none over `size`."""
    parts = -(-total // size)
    return ((i, total // parts + (i < total % parts)) for i in range(parts))


def done(piece: Piece) -> tuple[Outcome, float]:
    """Carry a piece out, in whatever process; what it came to, and how long it took."""
    began = time.monotonic()
    return _done(piece), time.monotonic() - began


def _done(piece: Piece) -> Outcome:
    match piece:
        case Seed(options=options):
            return run_seed(options)
        case Hunt(bug=bug, of_seats=True):
            found = explore(SEAT_BUGS[bug], STATES_FOR_A_BUG)
            return Hunted(f"seats: {bug}", found.fault and f"after {len(found.way)} steps")
        case Hunt(bug=bug):
            return Hunted(bug, _hunted(bug))
        case Crashes(images=images, seed=seed):
            return run_campaign(images, seed)
        case Flips(flips=flips, seed=seed):
            return run_flips(flips, seed)
        case FailingDisks(seed=seed):
            return try_every_operation(seed)
        case Exploration(scope=scope, states=states):
            return explore(SCOPES[scope], states)
        case Laws(examples=examples, seed=seed):
            return _laws(examples, seed)
        case Kills(kills=kills, seed=seed):
            return _kills(kills, seed)


def _hunted(name: str) -> str:
    bug = next(bug for bug in BUGS if bug.name == name)
    found = hunt(bug, range(SEEDS_MAX))
    if found is None:
        return ""
    seed, result = found
    judges = sorted({v.checker for v in result.violations} & set(bug.found_by))
    return f"{', '.join(judges)} in seed {seed}"


def _laws(examples: int, seed: int) -> LawsTold:
    """The laws are tests: the test runner runs them, with so many examples each."""
    options = [
        f"--hypothesis-seed={seed}",
        "-q",
        "--tb=line",
        "-p",
        "no:randomly",
        "-o",
        f"timeout={PIECE_S_MAX}",
    ]
    effort = {"HYPOTHESIS_PROFILE": "soak", "KONKORDAT_EXAMPLES": str(examples)}
    ended = _run(["pytest", *options, str(LAWS)], effort)
    lines = (ended.stdout.strip() or ended.stderr.strip() or "it said nothing").splitlines()
    failed = "\n".join(line for line in lines if line.startswith(("FAILED", "ERROR")))
    return LawsTold(examples, lines[-1], failed or ("" if ended.returncode == 0 else lines[-1]))


def _kills(kills: int, seed: int) -> Outcome:
    ended = _run(
        ["konkordat.testing.real", "--seed", str(seed), "--kills", str(kills), "--json"], {}
    )
    lines = ended.stdout.strip().splitlines()
    if not lines:
        return Broken(f"{kills} kills, seed {seed}", ended.stderr.strip()[-500:])
    return msgspec.json.decode(lines[-1], type=RealReport)


def _run(module: list[str], more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, "-m", *module],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=PIECE_S_MAX,
        check=False,
    )
