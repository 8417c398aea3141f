"""Operators of a simulated cluster: they hand seats over, and change the roster while nodes run and fail.

They ask at any node, know which disks were lost, and do not wait for each other: now and then two order at once, at
two nodes that may not hear each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from konkordat.kernel.ids import NodeName, node_of
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import Decide, SeatId
from konkordat.replica.messages import Command, Outcome
from konkordat.replica.rosters import ChangeRoster, HandOver
from konkordat.replica.seat_log import SYSTEM, seat_key
from konkordat.replica.status import SeatingView
from konkordat.testing.clients import told_of
from konkordat.testing.history import Asked
from konkordat.testing.process import Answer, Process
from konkordat.testing.randomness import Source
from konkordat.testing.rulings import ANY_CHANGE
from konkordat.testing.timeline import US_PER_MS

if TYPE_CHECKING:
    from konkordat.testing.cluster import Cluster

NAME: Final = "operator"
ORDERS_AT_ONCE_MAX: Final = 3
AT_ONCE_US: Final = 400_000  # within which orders are at once: a change takes about as long
# By the names of kinds in the history. What is not possible now is left out before one is drawn.
MIX: Final = {
    "hand over": 5,
    "join": 3,
    "leave": 2,
    "replace": 1,
    "replace lost": 8,
    "nonsense": 0.5,
}
FEW: Final = 2  # members; of so few hardly anybody is sent away

Order = HandOver | ChangeRoster


class Operators:
    """All of them; each order is one of its own."""

    def __init__(self, cluster: Cluster, source: Source) -> None:
        self._cluster = cluster
        self._source = source
        self._number = 0

    def begin(self) -> None:
        """From now on, until clients begin nothing any more."""
        if self._cluster.options.orders_ms and self._cluster.members is not None:
            self._later()

    def _later(self) -> None:
        wait_us = self._source.delay_us(self._cluster.options.orders_ms * US_PER_MS)
        self._cluster.timeline.after(wait_us, self._turn)

    def _turn(self) -> None:
        if self._cluster.over:
            return
        self._order()
        if self._source.chance(0.3):
            for _ in range(self._source.randint(1, ORDERS_AT_ONCE_MAX - 1)):
                self._cluster.timeline.after(self._source.randint(0, AT_ONCE_US), self._order)
        self._later()

    def _order(self) -> None:
        """One order, at any node that takes it."""
        cluster, source = self._cluster, self._source
        process = cluster.processes[source.choice(cluster.names)]
        if cluster.over or process.replica is None or not cluster.open_to_clients(process):
            return
        view = process.replica.status(process.now_ms()).seating
        if view is None or not view.roster:
            return
        kind, order = self._draw(view)
        if isinstance(order, HandOver):
            process, order = self._by_the_book(process, view, order)
            if not cluster.open_to_clients(process):
                return
        self._number += 1
        cause = f"{NAME}/{self._number}"
        key = seat_key(order.seat) if isinstance(order, HandOver) else ANY_CHANGE
        now_us = cluster.timeline.now_us
        cluster.log.line(NAME, f"asks {process.name} to {kind}: {order}")
        cluster.history.append(
            Asked(now_us, NAME, cause, process.name, SYSTEM, kind, (key,), "", repr(order))
        )
        process.submit(Command(cause, "key:operator", order), self._answer(process, cause, kind))

    def _answer(self, process: Process, cause: str, kind: str) -> Answer:
        cluster = self._cluster

        def answer(outcome: Outcome) -> None:
            told = told_of(cluster.timeline.now_us, NAME, cause, process, outcome)
            cluster.history.append(told)
            cluster.log.line(NAME, f"is told {told.outcome} by {process.name} of {cause}")
            cluster.seen[f"operator told {told.outcome}"] += 1
            if not isinstance(outcome, Refusal) and kind != "hand over":
                cluster.seen["change of roster asked of a split cluster"] += cluster.is_split()

        return answer

    def _by_the_book(
        self, process: Process, view: SeatingView, order: HandOver
    ) -> tuple[Process, HandOver]:
        """What is decided at home is handed over where it is, as long as there is such a node; else the loss is
        accepted."""
        seat = next((seat for seat in view.seats if seat.id == order.seat), None)
        if seat is not None and seat.decide is Decide.HOME and seat.holder is not None:
            holder = self._cluster.processes[node_of(seat.holder)]
            if holder.disk.origin == seat.holder:
                return holder, order
            return process, structs.replace(order, accept_loss=True)
        return process, order

    # What to ask for ------------------------------------------------------------------------------

    def _draw(self, view: SeatingView) -> tuple[str, Order]:
        source = self._source
        members = [node_of(member) for member in view.members]
        present = {name: p.disk.origin for name, p in self._cluster.processes.items()}
        lost = [name for name in members if present[name] not in view.members]
        others = [name for name in self._cluster.names if name not in members]
        possible = {
            "hand over": bool(view.seats),
            "join": bool(others),
            "leave": len(members) > FEW or source.chance(0.1),
            "replace": bool(others),
            "replace lost": bool(lost),
            "nonsense": True,
        }
        kind = source.weighted({name: MIX[name] for name in MIX if possible[name]})
        match kind:
            case "hand over":
                return kind, HandOver(source.choice(view.seats).id, source.choice(members))
            case "join":
                return kind, ChangeRoster("join", source.choice(others))
            case "leave":
                return kind, ChangeRoster("leave", source.choice(members))
            case "replace":
                return kind, ChangeRoster("replace", source.choice(members), source.choice(others))
            case "replace lost":
                return kind, ChangeRoster("replace", source.choice(lost))
            case _:
                return kind, self._nonsense()

    def _nonsense(self) -> Order:
        """What is mostly refused."""
        name: NodeName = self._source.choice(self._cluster.names)
        if self._source.chance(0.5):
            return HandOver(SeatId("nowhere/rooms"), name)
        return ChangeRoster("replace", name, self._source.choice(self._cluster.names))
