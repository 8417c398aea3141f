"""How far members have the logs, as far as we may count it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from konkordat.kernel.frontier import joined
from konkordat.kernel.ids import Origin
from konkordat.protocol.seats.rules import Rules

# Frontiers of one member that wait for its log. Under load a new one comes every few milliseconds and its log is a few
# behind; the oldest counts first, so beyond this the newest is replaced: it is also the most telling one.
WAITING_MAX: Final = 8

Frontier = Mapping[Origin, int]


class Acknowledgements:
    """The latest countable frontier of each member. Volatile: after a restart members tell again."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.latest: dict[Origin, Frontier] = {}
        self.waiting: dict[Origin, list[Frontier]] = {}  # ascending by the member's own number

    def take(self, member: Origin, frontier: Frontier, ours: Frontier) -> bool:
        """A member said what it has, durably. Late, repeated and reordered frontiers do no harm. True if it counts."""
        if self._rules.countable(ours, member, frontier.get(member, 0)):
            return self._count(member, frontier)
        queue = self.waiting.setdefault(member, [])
        if frontier in queue:
            return False
        if len(queue) == WAITING_MAX:
            queue.pop()
        queue.append(frontier)
        queue.sort(key=lambda waiting: sum(waiting.values()))
        return False

    def reached(self, ours: Frontier) -> bool:
        """Our frontier moved: which of those that wait count now? True if any does."""
        counted = False
        for member, queue in list(self.waiting.items()):
            while queue and self._rules.countable(ours, member, queue[0].get(member, 0)):
                counted = self._count(member, queue.pop(0)) or counted
            if not queue:
                del self.waiting[member]
        return counted

    def _count(self, member: Origin, frontier: Frontier) -> bool:
        """Frontiers of one member only grow, so joining an older one to a newer changes nothing."""
        latest = self.latest.get(member, {})
        self.latest[member] = joined(latest, frontier)
        return self.latest[member] != latest
