"""The second crash: while a node recovers from the first, or just after.

What a crash left is put on a new tape as what is durable; a node opens it, writes once, and stops. At steps of that the
machine crashes again. Whatever the first recovery had found must be found after the second.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from konkordat.testing.crash.judge import Judge
from konkordat.testing.crash.moments import moments
from konkordat.testing.crash.platter import Files, How
from konkordat.testing.crash.run import Run, Settings
from konkordat.testing.crash.scenarios import put
from konkordat.testing.crash.tape import Mark

# Beside the first steps, of which recovery itself consists, and those at which the caller is told something.
POINTS_A_RECOVERY: Final = 8
FIRST_POINTS: Final = 4
HOWS_AGAIN: Final[tuple[How, ...]] = ("lost", "kept", "shuffled")


class Second(NamedTuple):
    """A crash of a recovering node, and what the judge made of it."""

    step: int
    how: How
    complaints: list[str]


def crash_again(files: Files, folder: Path, seed: int, settings: Settings) -> Iterator[Second]:
    """Recover from these files on tape, and crash at some steps of it."""
    with tempfile.TemporaryDirectory(dir=folder) as data, Run(Path(data), seed, settings) as run:
        for name, content in files.items():
            (run.folder / name).write_bytes(content)
        run.vfs.adopt(files)
        laid = len(run.tape.steps)
        run.open()
        run.write(put(run, "recovered"))
        run.close()
        tape, states = run.tape, run.states
    random = Random(seed)
    steps = range(laid, len(tape.steps))
    told = [n for n in steps if isinstance(tape.steps[n], Mark)]
    chosen = {
        *told,
        *steps[:FIRST_POINTS],
        *random.sample(steps, min(len(steps), POINTS_A_RECOVERY)),
    }
    images = folder / "second"
    images.mkdir(exist_ok=True)
    judge = Judge(images, settings.segment_rows_max)
    for point, platter in moments(tape):
        if point.step not in chosen:
            continue
        for how in HOWS_AGAIN:
            # Until the opening returns nothing may change but what makes it sound: what is found is state 0.
            returned = max(point.returned, 0) if states[0].frontier else point.returned
            left = platter.image(how, random)
            verdict = judge.judge(left, states, returned, max(point.begun, 0), goes_on=True)
            yield Second(point.step, how, list(verdict.complaints))
