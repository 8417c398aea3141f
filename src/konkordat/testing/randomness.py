"""One seed, many independent sources: each authority of a simulation draws from its own, forked by label, so that a
change in how often one draws does not disturb the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Source(Random):
    """A seeded source. Seeding by text is the same on every platform and under every PYTHONHASHSEED."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self._label = label

    def fork(self, label: str) -> Source:
        """A source that depends on this one's label and the given one only, not on what was drawn."""
        return Source(f"{self._label}/{label}")

    def chance(self, probability: float) -> bool:
        """True with this probability; certain answers draw nothing."""
        if probability <= 0.0:
            return False
        return probability >= 1.0 or self.random() < probability

    def weighted(self, weights: Mapping[str, float]) -> str:
        """One of the names, by weight."""
        names = list(weights)
        return self.choices(names, [weights[name] for name in names])[0]

    def some(self, items: Sequence[T], at_least: int, at_most: int) -> list[T]:
        """Between so many different items, in an order that is drawn too."""
        return self.sample(list(items), min(len(items), self.randint(at_least, at_most)))

    def delay_us(self, typical_us: int) -> int:
        """A waiting time with a long tail: never below a third of the typical one, sometimes many times it."""
        return typical_us // 3 + int(-log(1.0 - self.random()) / (1.5 / typical_us))
