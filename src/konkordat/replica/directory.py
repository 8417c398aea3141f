"""Which seat decides a resource."""

from __future__ import annotations

from collections.abc import Mapping

from konkordat.kernel.claim import Resource
from konkordat.kernel.ids import valid_record_id
from konkordat.kernel.seat import SeatId, SeatSpec
from konkordat.protocol.seats.machine import Seats
from konkordat.replica.domain import Domain, Records


class Directory:
    """Seats by resource. Once known it stays: what a record says later changes nothing of what was decided."""

    def __init__(self, domain: Domain, machine: Seats) -> None:
        self._domain = domain
        self._machine = machine
        self._seats: dict[Resource, SeatId] = {}

    def known(self, resource: Resource) -> SeatId | None:
        """The seat, if it was asked for or told before."""
        return self._seats.get(resource)

    def look_up(self, resource: Resource, records: Records) -> SeatId | None:
        """The seat as the records tell it; None as long as they do not."""
        seat = self._seats.get(resource)
        if seat is None:
            spec = self._domain.seat(resource, records)
            if spec is None or not valid_record_id(spec.id):
                return None
            self.establish(spec)
            seat = self._seats[resource] = spec.id
        return seat

    def learn(self, seats: Mapping[Resource, SeatId]) -> None:
        """Decisions tell it too, also when the record that told it is gone. What was known stays."""
        for resource, seat in seats.items():
            self._seats.setdefault(resource, seat)

    def establish(self, spec: SeatSpec) -> None:
        """A seat exists, or is configured otherwise."""
        if valid_record_id(spec.id) and self._machine.spec(spec.id) != spec:
            self._machine.establish(spec)
