"""The rosters a node knows."""

from __future__ import annotations

from collections.abc import Iterable

from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import MEMBERS_MAX, Roster
from konkordat.protocol.seats.rules import Rules


class Rosters:
    """By version. Old ones are kept: terms opened under them ask for their majorities."""

    def __init__(self, first: Roster, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[int, Roster] = {}
        self.latest = first
        self.learn(first)

    def learn(self, roster: Roster) -> None:
        assert 0 < len(roster.members) <= MEMBERS_MAX
        assert tuple(sorted(set(roster.members))) == roster.members
        self._known[roster.version] = roster
        if roster.version > self.latest.version:
            self.latest = roster

    def get(self, version: int) -> Roster | None:
        return self._known.get(version)

    def is_member(self, origin: Origin, version: int) -> bool:
        """Of a roster that we know."""
        roster = self._known.get(version)
        return roster is not None and self._rules.is_member(origin, roster)

    def was_ever_member(self, origin: Origin) -> bool:
        return any(self._rules.is_member(origin, roster) for roster in self._known.values())

    def majority(self, version: int, supporters: Iterable[Origin]) -> bool:
        roster = self._known.get(version)
        return roster is not None and self._rules.majority(roster, supporters)
