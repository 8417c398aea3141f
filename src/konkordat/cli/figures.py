"""Figures out of measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct


class Spread(Struct, frozen=True):
    """What many measurements come to. All in milliseconds."""

    p50: float
    p99: float
    max: float
    count: int


def spread_of(values_ms: Sequence[float]) -> Spread:
    """Percentiles by nearest rank: each is a value that was measured, none is invented between two."""
    if not values_ms:
        return Spread(math.nan, math.nan, math.nan, 0)
    ordered = sorted(values_ms)
    return Spread(_rank(ordered, 50), _rank(ordered, 99), round(ordered[-1], 2), len(ordered))


def _rank(ordered: Sequence[float], percent: int) -> float:
    return round(ordered[math.ceil(len(ordered) * percent / 100) - 1], 2)
