"""Every moment of a tape that a crash could be at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from konkordat.testing.crash.judge import NOT_OPENED
from konkordat.testing.crash.platter import Platter
from konkordat.testing.crash.tape import Mark, Tape


class Point(NamedTuple):
    """A moment at which the machine may crash."""

    step: int
    returned: int
    begun: int


def moments(tape: Tape) -> Iterator[tuple[Point, Platter]]:
    """Every moment of a tape that a crash could be at: after each step that touched the disk or told the caller."""
    platter = Platter()
    returned, begun = NOT_OPENED, 0
    for number, step in enumerate(tape.steps):
        if isinstance(step, Mark):
            begun = max(begun, step.commit)
            if step.what == "returned":
                returned = step.commit
        else:
            platter.play(step)
        yield Point(number, returned, begun), platter
