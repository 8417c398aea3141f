"""What a node knows of its seats, for operators: to answer what they ask for, and to show. Reads the machine only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from konkordat.kernel.claim import ClaimId
from konkordat.kernel.ids import NodeName, Origin
from konkordat.kernel.seat import Decide, Handover, Roster, SeatId
from konkordat.protocol.seats.machine import Seats
from konkordat.replica.rosters import HandOver
from konkordat.replica.status import SeatingView, SeatView, TenureView

# What of a seat may change its view.
_Key = tuple[object, ...]


class Knowledge:
    """Fulfils `rosters.Situation`, and makes the views of status pages."""

    def __init__(
        self,
        me: Origin,
        machine: Seats,
        heard: Mapping[Origin, int],
        undecided: Mapping[SeatId, Mapping[ClaimId, None]],
        opened_ms: Mapping[tuple[SeatId, int], int],
        takeover_after_ms: int,
    ) -> None:
        self._me = me
        self._machine = machine
        self._heard = heard
        self._undecided = undecided
        self._opened_ms = opened_ms
        self._takeover_after_ms = takeover_after_ms
        self._views: dict[SeatId, tuple[_Key, SeatView]] = {}
        self._seats: tuple[SeatView, ...] = ()
        self._stale = True

    # For operators' commands -----------------------------------------------------------------------

    @property
    def me(self) -> Origin:
        return self._me

    @property
    def roster(self) -> Roster:
        return self._machine.roster

    def was_member(self, origin: Origin) -> bool:
        return self._machine.was_ever_member(origin)

    def alive(self, now_ms: int) -> AbstractSet[Origin]:
        """Who was heard within the time after which a member is taken for gone."""
        since_ms = now_ms - self._takeover_after_ms
        return {self._me} | {origin for origin, at_ms in self._heard.items() if at_ms >= since_ms}

    def heard_ms(self, origin: Origin) -> int | None:
        return self._heard.get(origin)

    def handover(self, order: HandOver) -> Handover | None:
        if order.seat not in self._machine.ids:
            return None
        return Handover(order.seat, self._machine.term(order.seat), NodeName(order.to))

    def holds(self, seat: SeatId) -> Origin | None:
        return None if self._machine.gave_up(seat) else self._machine.holder(seat)

    def decides_at_home(self, seat: SeatId) -> bool:
        return self._machine.decided_by(seat) is Decide.HOME

    def older(self, roster: Roster) -> Sequence[SeatId]:
        machine = self._machine
        return [id for id in machine.ids if machine.opened_under(id) not in (None, roster.version)]

    def homes_of(self, origin: Origin) -> Sequence[SeatId]:
        machine = self._machine
        homes = (id for id in machine.ids if machine.decided_by(id) is Decide.HOME)
        return [id for id in homes if machine.holder(id) == origin]

    # For status pages -------------------------------------------------------------------------------

    def changed(self) -> None:
        """Something may be otherwise from now on."""
        self._stale = True

    def view(self, now_ms: int, conflict: bool) -> SeatingView:
        """All seats. Made anew only where something changed."""
        if self._stale:
            self._stale = False
            self._seats = tuple([self._view(id) for id in sorted(self._machine.ids)])
        roster, alive = self.roster, self.alive(now_ms)
        members = tuple([member for member in roster.members if roster.version])
        heard = tuple([member for member in members if member in alive])
        return SeatingView(roster.version, members, heard, conflict, self._seats)

    def _view(self, id: SeatId) -> SeatView:
        machine = self._machine
        undecided = len(self._undecided.get(id, ()))
        key = (machine.signature(id), machine.roster.version, undecided, machine.spec(id))
        known = self._views.get(id)
        if known is None or known[0] != key:
            known = self._views[id] = (key, self._seen(id, undecided))
        return known[1]

    def _seen(self, id: SeatId, undecided: int) -> SeatView:
        machine = self._machine
        spec, final = machine.spec(id), machine.final_upto(id)
        tenures = tuple(
            [
                TenureView(
                    tenure.term,
                    tenure.holder,
                    self._opened_ms.get((id, tenure.term), 0),
                    tenure.adopted_upto,
                    tenure.voters,
                    tenure.roster,
                )
                for tenure in machine.tenures(id)
            ]
        )
        return SeatView(
            id,
            spec.home if spec is not None else NodeName(""),
            machine.decided_by(id),
            machine.term(id),
            machine.holder(id),
            machine.gave_up(id),
            machine.deciding(id),
            final.seq if final is not None else 0,
            undecided,
            tenures,
        )
