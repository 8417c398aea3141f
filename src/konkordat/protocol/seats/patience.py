"""When to stand for a seat, and when a vote would be rash.

Nothing here is about safety: at worst nobody holds a seat for a while, or it changes hands more often than it need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import Roster, SeatSpec, candidates

# Shorter moves seats when a node only pauses (a collection of garbage, a slow disk) and each move may leave decisions
# void; longer leaves the venues of a lost node without decisions for as long.
TAKEOVER_AFTER_MS: Final = 3_000
# Between candidates of neighbouring ranks: longer than a round of votes takes, so that the second stands only if the
# first did not get through.
RANK_STEP_MS: Final = 500
# What an election may take before somebody else tries: two exchanges over a bad line. Shorter lets candidates cross
# each other's votes, longer leaves a seat empty after a lost message.
ELECTION_MS: Final = 1_000


class SeatSettings(msgspec.Struct, frozen=True):
    takeover_after_ms: int = TAKEOVER_AFTER_MS
    rank_step_ms: int = RANK_STEP_MS
    election_ms: int = ELECTION_MS


Heard = Mapping[
    Origin, int
]  # when each member was last heard, on our clock (ms); those never heard are not in it


class Company:
    """Whether we hear a majority, and since when without a break. While we did not, the silence of a single member told
    nothing of it."""

    def __init__(self, started_ms: int) -> None:
        self.since_ms = started_ms  # silence before we listened is no silence
        self._together = True

    def look(self, together: bool, now_ms: int) -> None:
        """As it is now; as often as time may make something due."""
        if together and not self._together:
            self.since_ms = now_ms
        self._together = together


class Patience:
    """What one node remembers of time for one seat."""

    def __init__(self, me: Origin, settings: SeatSettings, company: Company) -> None:
        self._me = me
        self._settings = settings
        self._company = company
        self._not_before_ms = 0  # somebody stands; let that come to an end first
        self._news = False  # a candidacy of another came since we looked last

    def other_stands(self) -> None:
        """Give it time to win, from when we look next."""
        self._news = True

    def opened(self) -> None:
        """The election is over. What comes next is another's silence."""
        self._news, self._not_before_ms = False, 0

    def _wait(self, spec: SeatSpec, roster: Roster, now_ms: int) -> None:
        """Try again after those before us in order: two do not duel for ever."""
        rank = candidates(spec.id, spec.home, roster.members).index(self._me)
        wait_ms = self._settings.election_ms + rank * self._settings.rank_step_ms
        self._not_before_ms = max(self._not_before_ms, now_ms + wait_ms)
        self._news = False

    def alive(self, member: Origin, now_ms: int, heard: Heard) -> bool:
        within = self._settings.takeover_after_ms
        return member == self._me or now_ms - heard.get(member, -within - 1) <= within

    def fresh(self, member: Origin, now_ms: int, heard: Heard) -> bool:
        """Heard so lately that a takeover would be rash."""
        within = self._settings.takeover_after_ms // 2
        return member == self._me or now_ms - heard.get(member, -within - 1) <= within

    def may_stand(
        self, spec: SeatSpec, roster: Roster, absent: Origin | None, now_ms: int, heard: Heard
    ) -> bool:
        """True when it is our turn: who should hold the seat (`absent`, if it is not we) is silent, a majority is not,
        and those before us in order are gone or have had their chance."""
        alive = [m for m in roster.members if self.alive(m, now_ms, heard)]
        if self._me not in alive or len(alive) * 2 <= len(roster.members):
            return False  # it could only disturb: a vote for a higher term stops a holder elsewhere
        if self._news:
            self._wait(spec, roster, now_ms)
        due_ms = self._not_before_ms
        if absent is not None:
            silent_since_ms = max(heard.get(absent, 0), self._company.since_ms)
            vacant_ms = silent_since_ms + self._settings.takeover_after_ms + 1
            order = [m for m in candidates(spec.id, spec.home, alive) if m != absent]
            rank_ms = order.index(self._me) * self._settings.rank_step_ms
            due_ms = max(due_ms, vacant_ms + rank_ms)
        return now_ms >= due_ms

    def stood(self, spec: SeatSpec, roster: Roster, now_ms: int) -> None:
        """We stand."""
        self._wait(spec, roster, now_ms)
