"""The highest rate that is kept up with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

STEP: Final = 1.4  # between rates, until one is too much; then the gap is halved
HALVINGS: Final = 2
RATE_MIN: Final = 50.0
RATE_MAX: Final = 100_000.0

T = TypeVar("T")


async def highest_rate(
    rate: float,
    outcome: T,
    attempt: Callable[[float], Awaitable[T]],
    keeps_up: Callable[[float, T], bool],
) -> tuple[float, T]:
    """From a rate (1/s) whose outcome is known: by steps up while it is kept up with, or down while it is not.

    Returns the highest rate found that is kept up with, and its outcome. Rate 0, with the first outcome, if none is.
    """
    best: tuple[float, T] = (0.0, outcome)
    too_much = 0.0
    upwards = keeps_up(rate, outcome)
    while RATE_MIN < rate < RATE_MAX:
        kept_up = keeps_up(rate, outcome)
        if kept_up:
            best = (rate, outcome)
        else:
            too_much = rate
        if kept_up != upwards:
            break
        rate = rate * STEP if upwards else rate / STEP
        outcome = await attempt(rate)
    for _ in range(HALVINGS):
        middle = (best[0] + too_much) / 2
        outcome = await attempt(middle)
        if keeps_up(middle, outcome):
            best = (middle, outcome)
        else:
            too_much = middle
    return best
