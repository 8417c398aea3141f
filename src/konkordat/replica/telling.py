"""What may be told of claims: the index of claims, brought in line with what is final at their seats."""

from __future__ import annotations

from collections.abc import Iterable

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim
from konkordat.kernel.seat import SeatId
from konkordat.protocol.seats.machine import Seats
from konkordat.replica.agenda import Agenda
from konkordat.replica.arrived import Arrived
from konkordat.replica.claims import held_claim, held_id, settled_id
from konkordat.replica.commit import Commit
from konkordat.replica.deciding import Decider, wish_of
from konkordat.replica.directory import Directory
from konkordat.replica.domain import Domain
from konkordat.replica.membership import Membership
from konkordat.replica.recall import unseen
from konkordat.replica.rosters import ROSTER_SEAT


class Telling:
    """Writes the index, and puts on the agenda what it finds undecided on the way."""

    def __init__(
        self,
        domain: Domain,
        machine: Seats,
        agenda: Agenda,
        decider: Decider,
        arrived: Arrived,
        directory: Directory,
        membership: Membership,
    ) -> None:
        self._domain = domain
        self._machine = machine
        self._agenda = agenda
        self._decider = decider
        self._arrived = arrived
        self._directory = directory
        self._membership = membership
        # Which seats decided about a claim: one that went to another seat may still have a place at the old one.
        self._ruled_by: dict[ClaimId, dict[SeatId, None]] = {}
        # New claims of which the index tells no more than that.
        self._plain: dict[ClaimId, Claim] = {}
        self._first_ruled: set[ClaimId] = set()  # with this commit; the index has nothing of that

    # What it is told -----------------------------------------------------------------------------

    def ruled(self, id: ClaimId, seat: SeatId) -> None:
        """A seat decided about a claim."""
        ruled_by = self._ruled_by.get(id)
        if ruled_by is None:
            ruled_by = self._ruled_by[id] = {}
            self._first_ruled.add(id)
        ruled_by[seat] = None

    def is_first_ruled(self, id: ClaimId) -> bool:
        """Nothing was decided about it before this commit."""
        return id in self._first_ruled

    def all_told(self) -> None:
        """The index is as it is to be: what was decided from here on comes with another commit."""
        self._first_ruled.clear()

    def is_ruled_elsewhere(self, id: ClaimId, seat: SeatId) -> bool:
        """Another seat decided about it."""
        return any(other != seat for other in self._ruled_by.get(id, ()))

    def note_plain(self, claim: Claim) -> None:
        """A new claim; all that may become of it soon is that it is granted as it is."""
        self._plain[claim.id] = claim

    def forget_plain(self, id: ClaimId) -> None:
        self._plain.pop(id, None)

    # What it tells -------------------------------------------------------------------------------

    def confirm_plainly(self, id: ClaimId, commit: Commit) -> bool:
        """Tell that a plain claim is confirmed, if it is."""
        claim = self._plain.get(id)
        seat = self._directory.known(claim.resource) if claim is not None else None
        if claim is None or seat is None or self.granted_elsewhere(id, seat):
            return False
        view = self._machine.state(seat, id, claim.stamp)
        if view.state is not ClaimState.CONFIRMED:
            return False
        del self._plain[id]
        self._agenda.settled(seat, id)
        commit.claims.tell(DecidedClaim(view.holds or claim, view.state))
        return True

    def refresh(self, id: ClaimId, commit: Commit) -> None:
        """Tell of one claim what may be told now."""
        book, agenda = commit.claims, self._agenda
        self._plain.pop(id, None)  # from here on the index may tell more of it
        wish = wish_of(self._domain, id, commit)
        if wish is None:
            self._withdraw(id, commit)
            return
        claim, wanted = wish
        seat = self._directory.look_up(claim.resource, commit.record) if claim.quantity else None
        if seat is None:
            return  # nobody decides it, or nobody knows who does: laid down as it is
        view = self._machine.state(seat, id, claim.stamp)
        if seat == ROSTER_SEAT and view.holds is not None:
            self._membership.decided(commit.record(id.owner))
        holds = self._latest_place(id, (seat, *self._ruled_by.get(id, ())))
        state, place, expires_ms = view.state, claim, wanted.expires_ms
        if state is ClaimState.TENTATIVE:
            is_ruled = self._machine.answered(seat, id, claim.stamp) is not None  # if not finally
            agenda.undecided(seat, id, asked=not is_ruled)
        else:
            agenda.settled(seat, id)
        if state is ClaimState.CONFIRMED:
            place = view.holds or claim
            for other in self.granted_elsewhere(id, seat):
                self._agenda.let_go(other, id)  # the new seat confirmed it
            if expires_ms:
                agenda.expires(expires_ms, seat, id)
        elif state is ClaimState.DISPLACED and expires_ms and not view.against:
            state = ClaimState.EXPIRED  # before it was decided
        elif state is ClaimState.DISPLACED and wanted.waits:
            self._decider.wait(seat, claim, wanted, commit)
        elif state is ClaimState.RELEASED and expires_ms and not view.against:
            # Its owner still asks for it and nobody took it over. By the log, not by our clock: else a node that looks
            # again later would tell otherwise.
            state = ClaimState.EXPIRED
        book.tell(DecidedClaim(place, state, view.against, expires_ms))
        if holds is not None and state in (ClaimState.TENTATIVE, ClaimState.DISPLACED):
            # It ends with what its owner asks for now.
            book.tell(DecidedClaim(held_claim(holds), ClaimState.CONFIRMED, (), expires_ms))
        else:
            book.withdraw(held_id(id))
            holds = place if state is ClaimState.CONFIRMED else None
        self._keep_settled(id, holds, commit)

    def _withdraw(self, id: ClaimId, commit: Commit) -> None:
        """Nobody asks for it any more, as far as we know. A place whose wish is still to come is told as it is; until
        places are free we remember who gave them."""
        place = self._latest_place(id, self._ruled_by.get(id, ()))
        shown = place if place is not None and not self._arrived.has(place.stamp) else None
        commit.claims.withdraw(id)
        commit.claims.withdraw(held_id(id))
        self._keep_settled(id, shown, commit)
        if shown is not None:
            commit.claims.tell(DecidedClaim(shown, ClaimState.CONFIRMED))
            self._arrived.awaits(id, shown.stamp)
        left: dict[SeatId, None] = {}
        for seat in self._ruled_by.pop(id, {}):
            if not self._decider.knows_wish(seat, id) or self._decider.is_hidden(seat, id, commit):
                left[seat] = None
                continue
            self._machine.forget(seat, id)
            held = self._machine.held(seat, id) or self._machine.finally_holds(seat, id)
            if held is not None:
                left[seat] = None
        if left:
            self._ruled_by[id] = left

    def _keep_settled(self, id: ClaimId, shown: Claim | None, commit: Commit) -> None:
        """Keep in the index what is final of a claim beside the place that is shown: after a restart nothing else tells
        it."""
        self._arrived.forget(id)
        for seat in self._ruled_by.get(id, ()):
            told = self._machine.told(seat, id)
            is_ahead = told is not None and not self._arrived.has(told.stamp)
            if told is not None and is_ahead:
                self._arrived.awaits(id, told.stamp)
            is_ahead = is_ahead or self._decider.is_hidden(seat, id, commit)
            rows = unseen(id, seat, told, shown, is_ahead) if told is not None else ()
            kept = {row.claim.id: row for row in rows}
            for row in kept.values():
                commit.claims.tell(row)
            for part in (settled_id(id, seat), settled_id(held_id(id), seat)):
                if part not in kept:
                    commit.claims.withdraw(part)

    def granted_elsewhere(self, id: ClaimId, seat: SeatId | None) -> list[SeatId]:
        """Other seats at which it has a place, as far as decided."""
        ruled_by = self._ruled_by.get(id, ())
        return [other for other in ruled_by if other != seat and self._machine.held(other, id)]

    def _latest_place(self, id: ClaimId, seats: Iterable[SeatId]) -> Claim | None:
        """The place that a claim finally has at one of the seats; of several the one it came to last."""
        places = [self._machine.finally_holds(seat, id) for seat in dict.fromkeys(seats)]
        found = [place for place in places if place is not None]
        return max(found, key=lambda place: place.stamp, default=None)
