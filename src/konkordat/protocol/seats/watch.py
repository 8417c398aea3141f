"""Which seats have to be looked at, so that a commit costs what happens in it, not how many seats there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import SeatId


class Watch:
    """A seat is looked at when something was said of it, every time as long as time may make something due, and, once
    it has a holder and nobody contests that, when its holder falls silent. Ordered throughout."""

    def __init__(self) -> None:
        self._stirred: dict[SeatId, None] = {}
        self._restless: dict[SeatId, None] = {}
        self._calm: dict[Origin, dict[SeatId, None]] = {}  # by holder
        self._holders: dict[SeatId, Origin] = {}  # of the calm ones

    def stir(self, seats: Iterable[SeatId]) -> None:
        """Something was said of them."""
        self._stirred.update(dict.fromkeys(seats))

    def take(self, is_silent: Callable[[Origin], bool]) -> list[SeatId]:
        """The seats to look at now; tell of each what was found by `found`."""
        due = {**self._stirred, **self._restless}
        for holder, seats in self._calm.items():
            if seats and is_silent(holder):
                due.update(seats)
        self._stirred = {}
        return list(due)

    def has_any(self, is_silent: Callable[[Origin], bool]) -> bool:
        """True if there is a seat to look at now."""
        if self._stirred or self._restless:
            return True
        return any(seats and is_silent(holder) for holder, seats in self._calm.items())

    def found(self, seat: SeatId, holder: Origin | None) -> None:
        """It is calm under a holder, or not."""
        before = self._holders.pop(seat, None)
        if before is not None:
            del self._calm[before][seat]
        if holder is None:
            self._restless[seat] = None
            return
        self._restless.pop(seat, None)
        self._calm.setdefault(holder, {})[seat] = None
        self._holders[seat] = holder
