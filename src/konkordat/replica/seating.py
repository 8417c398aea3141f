"""Seats in a replica: the machine of `protocol.seats` between the log and the index of claims.

In each commit, after what peers sent and what clients asked for is merged:

    admitted      entries of peers' batches go to the machine, in the order of each log
    transactions  what changed is put on the agenda; the machine says what to write; we decide what is ours to decide
    refresh       what may be told of each claim is written into the index

All of it becomes durable with the one commit, so whatever is answered is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from konkordat.kernel.change import Batch, Change, Transaction
from konkordat.kernel.claim import Claim, ClaimId, ClaimState, Resource
from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.kernel.seat import (
    At,
    Decision,
    Entry,
    Opening,
    SeatId,
    UnreadableEntry,
)
from konkordat.protocol.seats.machine import Seats
from konkordat.protocol.seats.rules import RULES, Rules
from konkordat.replica.agenda import Agenda
from konkordat.replica.arrived import Arrived
from konkordat.replica.claims import own_id
from konkordat.replica.commit import Commit
from konkordat.replica.deciding import Decider
from konkordat.replica.directory import Directory
from konkordat.replica.domain import Domain, Wanted
from konkordat.replica.forced import forced_before, forced_in
from konkordat.replica.membership import NO_ROSTER, Membership
from konkordat.replica.recall import Records, decided_resources, settled_claims
from konkordat.replica.rosters import ROSTER_SEAT, decided_before
from konkordat.replica.seat_log import (
    deciders_of,
    decisions_since,
    elections_before,
    entries_in,
    entry_changes,
    is_entries,
    is_roster,
    roster_change,
    roster_in,
    rosters_before,
    seats_that_decided,
)
from konkordat.replica.seat_notes import (
    Note,
    Opened,
    Unreadable,
)
from konkordat.replica.settings import ReplicaSettings
from konkordat.replica.situation import Knowledge
from konkordat.replica.status import SeatingView
from konkordat.replica.telling import Telling
from konkordat.store.port import Reader
from konkordat.wire.messages import Heartbeat


class Seating:
    """One node's part in deciding what is scarce. Used by the replica, within a commit."""

    def __init__(
        self,
        store: Reader,
        domain: Domain,
        origin: Origin,
        settings: ReplicaSettings,
        rules: Rules = RULES,
    ) -> None:
        started_ms = settings.started_ms
        self._silent_until_ms = started_ms + settings.seats.takeover_after_ms
        self._store = store
        self._domain = domain
        self._origin = origin
        self._heard: dict[Origin, int] = {origin: started_ms}
        self._frontiers: dict[Origin, Mapping[Origin, int]] = {}  # as members last told
        self._machine = Seats(origin, NO_ROSTER, settings.seats, started_ms, rules)
        self._agenda = Agenda()
        self._directory = Directory(domain, self._machine)
        self._arrived = Arrived(store, origin)
        self._has = self._arrived.has
        self._fresh: dict[ClaimId, tuple[Claim, Wanted]] = {}
        self._decider = Decider(
            domain, self._machine, self._agenda, self._seat_for, self._has, self._fresh
        )
        self._unmet: dict[SeatId, None] = {}  # spoken of in logs, and not looked up yet
        self._touched: dict[ClaimId, None] = {}
        self._changed: dict[SeatId, None] = {}  # seats of which something was said
        self._owed: dict[NodeName, None] = {}  # holders that wait for our acknowledgement
        self.notes: list[Note] = []
        self.opened_ms: dict[tuple[SeatId, int], int] = {}
        self.knowledge = Knowledge(
            origin,
            self._machine,
            self._heard,
            self._agenda.open,
            self.opened_ms,
            settings.seats.takeover_after_ms,
        )
        self._membership = Membership(
            origin,
            settings.members or (),
            settings.connects,
            self._machine,
            self._agenda,
            self.knowledge,
            self.notes,
        )
        self._telling = Telling(
            domain,
            self._machine,
            self._agenda,
            self._decider,
            self._arrived,
            self._directory,
            self._membership,
        )
        self._rebuild()

    def view(self, now_ms: int) -> SeatingView:
        """All seats, for other threads."""
        return self.knowledge.view(now_ms, self._membership.conflict)

    @property
    def machine(self) -> Seats:
        """For reading."""
        return self._machine

    # Before the commit ---------------------------------------------------------------------------

    def heard(self, beat: Heartbeat, now_ms: int) -> bool:
        """Its sender lives, and has this much durably. True if that may make something final."""
        self._heard[beat.origin] = now_ms
        self._frontiers[beat.origin] = beat.frontier
        self._machine.acknowledged(beat.origin, beat.frontier)
        return self._machine.awaits_members()

    def has_work(self, now_ms: int) -> bool:
        """True if there may be something to decide or to say though nothing came."""
        machine, agenda = self._machine, self._agenda
        return (
            bool(self._changed or self._touched or agenda.open.get(ROSTER_SEAT))
            or machine.roster.version == 0
            or machine.has_due(now_ms, self._heard)
            or agenda.has_expired(now_ms)
            or self._decider.has_work()
        )

    # In the commit -------------------------------------------------------------------------------

    def admitted(self, transaction: Transaction, at: At) -> None:
        """A transaction stands in a log: ours or a peer's. In the order of each log."""
        self._arrived.reached(at.origin, transaction.hlc)
        for change in transaction.changes:
            if is_entries(change):
                self._take(change, at, transaction.hlc >> 16)
            elif is_roster(change.key):
                forced = forced_in(change, at)
                if forced is not None:
                    self._membership.force(forced)
                else:
                    self._membership.said(roster_in(change.key.id, change.fields), at)

    def said(self, transaction: Transaction, at: At) -> None:
        """What an operator says of seats by a command here stands in our log like what peers say."""
        if any(is_entries(change) or is_roster(change.key) for change in transaction.changes):
            self.admitted(transaction, at)

    def refuses(self, batch: Batch) -> str:
        """Why nothing more is taken of its author's log; "" for nothing against it."""
        return self._membership.refuses(batch)

    def check(self, frontier: Mapping[Origin, int]) -> None:
        """Before what a commit learnt is durable. Raises ClosedOutError."""
        self._membership.check(frontier)

    def _take(self, change: Change, at: At, at_ms: int) -> None:
        try:
            entries = entries_in(change)
        except UnreadableEntry as error:
            self.notes.append(Unreadable(change.key, at, str(error)))
            return
        for entry in entries:
            if self._machine.applied(entry, at):
                self._note(entry, at, at_ms)
            if isinstance(entry, Decision | Opening) and not self._machine.decides_alone(
                entry.seat
            ):
                self._owed[node_of(at.origin)] = None

    def transactions(
        self, commit: Commit, frontier: Mapping[Origin, int], now_ms: int
    ) -> Iterator[tuple[Change, ...]]:
        """What to write now, in the batch after `frontier`: each a transaction of its own."""
        # Our disk may be an old copy, which peers would tell us. Not for long: a seat at home decides though cut off.
        is_new = now_ms < self._silent_until_ms
        if self._membership.conflict or (is_new and self._membership.is_alone(self._heard)):
            return
        first = self._membership.first(self._frontiers, frontier)
        if first is not None:
            yield (roster_change(first),)
            self._membership.learn(first)
        entries: list[Entry] = self._machine.due(now_ms, self._heard)
        self._look_at_changed()
        decided = self._membership.deny_unfit(commit) + self._decider.decide(commit)
        if decided:
            # What needs nobody else's acknowledgement is final with the commit that decides it.
            entries += [*decided, *self._machine.due(now_ms, self._heard)]
        for entry in entries:
            self._note(entry, At(self._origin, frontier.get(self._origin, 0) + 1), now_ms)
        yield from entry_changes(entries)

    def take_changes(self, commit: Commit, frontier: Mapping[Origin, int]) -> None:
        """Put on the agenda what the commit's changes of records mean; `frontier` is what the commit makes durable, up
        to here. Before `transactions`."""
        self._machine.reached(frontier)
        self._look_at_records(commit)
        self._take_late(commit)
        book = commit.claims
        for resource in book.resized if any(self._agenda.waiting.values()) else ():
            seat = self._seat_for(resource, commit)
            if seat is not None:
                self._agenda.place_freed(seat, [resource])
        for id, (old, new) in book.wished.items():
            self._telling.forget_plain(id)
            before = self._seat_for(old.resource, commit) if old is not None else None
            if new is not None:
                seat = self._seat_for(new.resource, commit)
                self._wished(new, before, seat)
                if old is None and seat not in (None, ROSTER_SEAT) and self._is_simple(id):
                    self._note_plain(id, new, commit)
                continue
            self._touched[id] = None
            if before is not None:
                self._agenda.settled(before, id)
                self._agenda.let_go(before, id)
            for seat in self._telling.granted_elsewhere(id, before):
                self._agenda.let_go(seat, id)
        for seat, id in self._agenda.take_expired(commit.now_ms):
            if self._machine.held(seat, id) is not None:
                self._agenda.let_go(seat, id)
                self._touched[id] = None

    def _look_at_records(self, commit: Commit) -> None:
        for record in commit.changed_records():
            spec = self._domain.seat_of(record)
            if spec is not None:
                self._directory.establish(spec)
            if spec is not None or self._domain.owned_resource(record.key) is not None:
                # It may tell whose the claims are of which nobody knew.
                self._touched.update(self._agenda.homeless)

    def _take_late(self, commit: Commit) -> bool:
        """What counts since a roster came to be known, if anything. And establish the seats that entries speak of: a
        decision that came with what it decides tells the seat, so that nobody looks it up for the claim."""
        late = self._machine.take_late()
        for entry, at in late:
            self._note(entry, at, commit.now_ms)
        unmet, self._unmet = self._unmet, {}
        for seat in unmet:
            spec = self._domain.seat_named(seat, commit.record)
            if spec is not None:
                self._directory.establish(spec)
        return bool(late)

    def _is_simple(self, id: ClaimId) -> bool:
        """A new claim of which the index has nothing else, even if its decision came with it."""
        return id not in self._touched or self._telling.is_first_ruled(id)

    def _note_plain(self, id: ClaimId, claim: Claim, commit: Commit) -> None:
        """Most claims are new, are granted as they are, and stay: they need not be looked up again for that."""
        record = commit.record(id.owner)
        if record is None:
            return
        wanted = self._domain.wanted(record, claim)
        self._fresh[id] = (claim, wanted)
        if not wanted.expires_ms:
            self._telling.note_plain(claim)

    def _wished(self, claim: Claim, before: SeatId | None, seat: SeatId | None) -> None:
        """A claim came or moved."""
        id = claim.id
        if seat is None:
            self._agenda.homeless[id] = None
            return
        if before is not None and before != seat:
            self._agenda.settled(before, id)
        self._agenda.undecided(seat, id)
        held = self._machine.held(seat, id)
        has_another = held is not None and held.stamp != claim.stamp
        elsewhere = self._telling.is_ruled_elsewhere(id, seat)
        if has_another or elsewhere or self._machine.is_told(seat, id):
            self._touched[id] = None  # else the index has it as it is: tentative

    def refresh(self, commit: Commit) -> None:
        """Bring the index of claims in line with what may be told now; again if that makes a roster known by which more
        counts: a node that starts anew takes what is final to be in the index."""
        self._refresh_touched(commit)
        while self._take_late(commit):
            self._refresh_touched(commit)
        self._telling.all_told()

    def _refresh_touched(self, commit: Commit) -> None:
        self._look_at_changed()
        changed, self._changed = self._changed, {}
        for seat in changed:
            touched = self._machine.take_touched(seat)
            if not touched:
                continue
            self._touched.update(dict.fromkeys(sorted(touched)))
            for id in touched:
                if self._machine.is_told(seat, id):  # also by decisions that came to count late
                    self._telling.ruled(id, seat)
            for id in [id for id in self._agenda.frees.get(seat, ()) if id in touched]:
                if self._machine.held(seat, id) is None:
                    self._agenda.is_free(seat, id)
        self._touched.update(dict.fromkeys(self._arrived.take_come()))
        self._fresh.clear()
        if not commit.empty:
            self.knowledge.changed()
        if not self._touched:
            return
        ids = [id for id in self._touched if not self._telling.confirm_plainly(id, commit)]
        self._touched = {}
        commit.load(dict.fromkeys(id.owner for id in ids))
        commit.claims.know(dict.fromkeys(id.owner for id in ids))
        for id in ids:
            self._telling.refresh(id, commit)

    def _look_at_changed(self) -> None:
        changed = self._machine.take_changed()
        if not changed:
            return
        self._changed.update(dict.fromkeys(changed))
        self._decider.changed(changed)

    def take_owed(self) -> list[NodeName]:
        """The holders that wait to hear that we have what they decided."""
        self._owed.pop(node_of(self._origin), None)
        owed, self._owed = list(self._owed), {}
        return owed

    def take_notes(self) -> list[Note]:
        notes = [*self.notes, *self._machine.refused]
        self.notes.clear()
        self._machine.refused.clear()
        return notes

    # Seats and rosters ---------------------------------------------------------------------------

    def _seat_for(self, resource: Resource, commit: Commit) -> SeatId | None:
        return self._directory.look_up(resource, commit.record)

    def _note(self, entry: Entry, at: At, at_ms: int) -> None:
        if self._machine.spec(entry.seat) is None:
            self._unmet[entry.seat] = None
        if isinstance(entry, Opening):
            self.opened_ms[(entry.seat, entry.term)] = at_ms
            self.notes.append(Opened(entry.seat, entry.term, at.origin, at_ms))
        elif isinstance(entry, Decision):
            self._note_rulings(entry)

    def _note_rulings(self, decision: Decision) -> None:
        for ruling in decision.rulings:
            self._directory.learn({ruling.claim.resource: decision.seat})
            self._telling.ruled(ruling.claim.id, decision.seat)

    # Start ---------------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        """The machine and the agenda, from what is in the store."""
        store = self._store
        self._membership.recall(rosters_before(store), decided_before(store), forced_before(store))
        records = Records(self._store)
        for said in elections_before(self._store):
            self._machine.applied(said.entry, said.at)
            if isinstance(said.entry, Opening):
                self.opened_ms[(said.entry.seat, said.entry.term)] = said.hlc >> 16
        frontier = self._store.frontier()
        self._machine.reached(frontier)
        self._recall(records)
        known = self._machine.ids
        # Also of seats whose holders we do not know to be members yet: a roster may still come that has them.
        for seat in dict.fromkeys((*known, *seats_that_decided(self._store))):
            counting = self._machine.counting(seat) if seat in known else ()
            for said in decisions_since(self._store, seat, counting):
                counts = self._machine.applied(said.entry, said.at)
                if counts and isinstance(said.entry, Decision):
                    self._note_rulings(said.entry)
            if seat in known:
                self._machine.take_touched(seat)  # the index has it
            spec = self._domain.seat_named(seat, records)
            if spec is not None:
                self._directory.establish(spec)
        self._machine.recounted(frontier)
        self._machine.refused.clear()  # told when it came

    def _recall(self, records: Records) -> None:
        """What is settled, as the index has it; what is open there is to be looked at again."""
        index = {decided.claim.id: decided for decided in self._store.every_claim()}
        for id, decided in index.items():
            if decided.state is not ClaimState.CONFIRMED or decided.expires_ms:
                self._touched[own_id(id)] = None
        decided_on = decided_resources(index)
        lost = [each for each in decided_on if self._directory.look_up(each, records) is None]
        if lost:  # a room's record, say, was overwritten by one that names no venue
            self._directory.learn(deciders_of(self._store, set(lost)))
        for seat, id, settled in settled_claims(index, self._directory.known):
            self._machine.preset(seat, id, settled)
            self._telling.ruled(id, seat)
            if not self._has(settled.stamp):
                self._arrived.awaits(id, settled.stamp)
