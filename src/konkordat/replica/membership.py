"""Which rosters a node knows, and who may say one: the first is configuration's, what follows is decided by a seat."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from konkordat.kernel.change import Batch
from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.kernel.record import Record
from konkordat.kernel.seat import At, Decision, Request, Roster, Wish
from konkordat.protocol.seats.machine import Seats
from konkordat.replica.agenda import Agenda
from konkordat.replica.commit import Commit
from konkordat.replica.forced import ClosedOutError, Forced, forced_of
from konkordat.replica.rosters import ROSTER_SEAT, claim_of, proposed, refusal_of_change
from konkordat.replica.seat_log import MEMBERS
from konkordat.replica.seat_notes import (
    Note,
    RosterChanged,
    RosterConflict,
    RosterForced,
    RosterRefused,
)
from konkordat.replica.situation import Knowledge

# In force until the first roster is known: nobody is a member, so nobody votes, stands or decides.
NO_ROSTER: Final = Roster(0, (Origin("nobody.0"),))

WAITING_MAX: Final = 64  # as many as a roster has members; a stranger's inventions do not fill us


class Membership:
    """Tells the machine of rosters. Used within a commit."""

    def __init__(
        self,
        me: Origin,
        first: Sequence[NodeName],
        connects: bool,
        machine: Seats,
        agenda: Agenda,
        knowledge: Knowledge,
        notes: list[Note],
    ) -> None:
        """`first` are the names in the configuration; `connects`: it says that there are peers."""
        self._me = me
        self._first = tuple(sorted(first))
        self._connects = connects
        self._machine = machine
        self._agenda = agenda
        self._knowledge = knowledge
        self._notes = notes
        self._known: dict[int, Roster] = {}
        self._waiting: list[Forced] = []  # forced by origins that are in no roster that we know
        self._forced: Forced | None = None  # the latest that is in force
        self._unchecked = False  # whether we have what it closed
        self.conflict = False

    def first(
        self, told: Mapping[Origin, Mapping[Origin, int]], frontier: Mapping[Origin, int]
    ) -> Roster | None:
        """The roster that configuration names, once all are there and we know all that they `told` they know. One of
        them says it."""
        if self._machine.roster.version or self._first[:1] != (node_of(self._me),):
            return None
        if self._connects and not told:
            return None
        # Incarnations of a node sort by age; what an earlier one told may be gone with its disk.
        origins = {node_of(origin): origin for origin in (*sorted(told), self._me)}
        if any(member not in origins for member in self._first):
            return None
        known = [told[origin] for origin in origins.values() if origin != self._me]
        if any(frontier.get(o, 0) < seq for seen in known for o, seq in seen.items()):
            return None
        return Roster(1, tuple(sorted(origins[member] for member in self._first)))

    def is_alone(self, heard: Container[Origin]) -> bool:
        """Whether we are a member and have not heard of a majority yet."""
        roster = self._machine.roster
        count = sum(member in heard for member in roster.members)
        return (
            roster.version > 0 and self._me in roster.members and count * 2 <= len(roster.members)
        )

    def said(self, roster: Roster | None, at: At) -> None:
        """Somebody says a roster. Only the first is said; what follows is decided."""
        if roster is not None and roster.version == 1:
            self.learn(roster)
        else:
            self._notes.append(RosterRefused("roster_not_decided", roster, at.origin))

    def recall(
        self, said: Iterable[Roster], decided: Iterable[Roster], forced: Iterable[Forced]
    ) -> None:
        """At a start: what was said, decided and forced before."""
        firsts = [roster for roster in said if roster.version == 1]
        found: list[Roster | Forced] = [*firsts, *decided, *forced]
        for each in sorted(
            found, key=_version
        ):  # one must be known to be a member before it can force
            if isinstance(each, Forced):
                self.force(each)
            else:
                self.learn(each)

    # When the majority is lost -----------------------------------------------------------------------

    def force(self, forced: Forced) -> None:
        """The author is the only member from here on, if it ever was one."""
        version = forced.roster.version
        if not self._machine.was_ever_member(forced.by):
            if len(self._waiting) < WAITING_MAX:
                self._waiting.append(forced)  # whatever says so may be on its way
            self._notes.append(RosterRefused("not_a_member", forced.roster, forced.by))
            return
        if self._is_too_late(forced):
            self._notes.append(RosterRefused("roster_moved_on", forced.roster, forced.by))
            return
        self.learn(forced.roster)
        if self.conflict:
            return
        self._machine.roster_forced(version)
        if self._forced is None or self._forced.roster.version < version:
            self._forced, self._unchecked = forced, True
        self._notes.append(RosterForced(version, forced.by, forced.closed))

    def _is_too_late(self, forced: Forced) -> bool:
        """Whether a roster was decided that the author did not know."""
        later = [r for version, r in self._known.items() if version > forced.after]
        return bool(later) and forced.roster not in later

    def refuses(self, batch: Batch) -> str:
        """Why nothing more is taken of its author's log; "" for nothing against it."""
        closed = self._closed_at(batch.origin)
        if closed is not None and batch.seq > closed:
            assert self._forced is not None
            return f"its log was closed when {node_of(self._forced.by)} forced a roster"
        for forced in forced_of(batch):
            if self._machine.was_ever_member(forced.by) and self._is_too_late(forced):
                return f"forces roster {forced.roster.version}, and a later one is known"
        return ""

    def _closed_at(self, origin: Origin) -> int | None:
        """The last batch of an origin that counts; None where its log goes on."""
        forced = self._forced
        if forced is None or origin == forced.by:
            return None
        if origin in forced.closed:
            return forced.closed[origin]
        # Whom a change that was under way brought in learnt it from the survivor, after this.
        before = [r for r in self._known.values() if r.version <= forced.after]
        return 0 if any(origin in roster.members for roster in before) else None

    def check(self, frontier: Mapping[Origin, int]) -> None:
        """Before a commit that learnt a forced roster. Raises ClosedOutError where our log was closed, or we have what
        nobody else will."""
        if not self._unchecked or self._forced is None:
            return
        self._unchecked = False
        closed = {origin: self._closed_at(origin) for origin in (*frontier, self._me)}
        beyond = any(at is not None and frontier.get(o, 0) > at for o, at in closed.items())
        if beyond or closed[self._me] is not None:
            raise ClosedOutError(self._forced)

    def decided(self, record: Record | None) -> None:
        """A proposal has its version, finally."""
        roster = proposed(record) if record is not None else None
        if roster is not None and self._known.get(roster.version) != roster:
            self.learn(roster)
            self._notes.append(RosterChanged(roster.version, roster.members))

    def learn(self, roster: Roster) -> None:
        """A roster is in force from here on, unless a later one is. The machine is told all the same: terms are opened
        under either, and of two that come together any may be learnt first."""
        if self.conflict:
            return
        self._knowledge.changed()
        is_new = roster.version not in self._known
        known = self._known.setdefault(roster.version, roster)
        if known != roster:
            # Two nodes were told different members. Going on could let two majorities decide one place.
            self.conflict = True
            self._notes.append(RosterConflict(roster.version, known.members, roster.members))
        elif is_new:
            self._machine.roster_changed(roster)
            waiting, self._waiting = self._waiting, []
            for forced in waiting:
                self.force(forced)

    def deny_unfit(self, commit: Commit) -> list[Decision]:
        """Proposals that may not follow the present roster, as long as it is ours to decide."""
        machine = self._machine
        if not machine.deciding(ROSTER_SEAT):
            return []
        decisions: list[Decision] = []
        for id in self._agenda.open.get(ROSTER_SEAT, {}):
            record = commit.record(id.owner)
            roster = proposed(record) if record is not None else None
            claim = claim_of(record) if record is not None else None
            if record is None or roster is None or claim is None:
                continue
            why = refusal_of_change(roster.version, roster.members, self._knowledge, commit.now_ms)
            denied = why and machine.decide(ROSTER_SEAT, [Request((Wish(claim),))], {})
            if why and denied:
                by = record.fields[MEMBERS].stamp.origin
                self._notes.append(RosterRefused(why.code, roster, by))
                decisions += denied
        return decisions


def _version(each: Roster | Forced) -> float:
    """In which order they came to be known."""
    return each.after + 0.5 if isinstance(each, Forced) else each.version
