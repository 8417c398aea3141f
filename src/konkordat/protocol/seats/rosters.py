"""The rosters a node knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import MEMBERS_MAX, Roster
from konkordat.protocol.seats.rules import Rules

ASKED_MAX: Final = 1_024  # origins of which it is remembered; strangers cannot make it more


class Rosters:
    """By version. Old ones are kept: terms opened under them ask for their majorities."""

    def __init__(self, first: Roster, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[int, Roster] = {}
        self._forced = 0  # version of the latest that was forced
        self._ever: dict[Origin, bool] = {}  # who was asked for, since the last roster was learnt
        self.latest = first
        self.learn(first)

    def learn(self, roster: Roster) -> None:
        assert 0 < len(roster.members) <= MEMBERS_MAX
        assert tuple(sorted(set(roster.members))) == roster.members
        self._known[roster.version] = roster
        self._ever.clear()
        if roster.version > self.latest.version:
            self.latest = roster

    def force(self, version: int) -> None:
        """Members of rosters before this one, which is known, are lost for good: it stands for all of them."""
        assert version in self._known
        self._forced = max(self._forced, version)

    def get(self, version: int) -> Roster | None:
        return self._known.get(version)

    def is_member(self, origin: Origin, version: int) -> bool:
        """Of a roster that we know."""
        roster = self._known.get(version)
        return roster is not None and self._rules.is_member(origin, roster)

    def was_ever_member(self, origin: Origin) -> bool:
        known = self._ever.get(origin)
        if known is None:
            rosters = self._known.values()
            known = any(self._rules.is_member(origin, roster) for roster in rosters)
            if len(self._ever) < ASKED_MAX:
                self._ever[origin] = known
        return known

    def majority(self, version: int, supporters: Iterable[Origin]) -> bool:
        roster = self._known.get(max(version, self._forced))
        return roster is not None and self._rules.majority(roster, supporters)
