"""What there is to decide, seat by seat. Every node keeps it, since any may come to hold the seat."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.seat import SeatId

DECIDED_AT_ONCE_MAX: Final = 512  # claims in one commit; the next follows within a tick
# Places let go that a node which does not hold the seat remembers. Beyond, the oldest are forgotten, and all places are
# compared with the records should it come to hold the seat.
LET_GO_MAX: Final = 10_000


class Agenda:
    """Ordered throughout: what is iterated comes out alike in every process."""

    def __init__(self) -> None:
        self.open: dict[SeatId, dict[ClaimId, None]] = {}  # not finally decided
        self.asked: dict[SeatId, dict[ClaimId, None]] = {}  # of these: not put to the holder yet
        self.frees: dict[SeatId, dict[ClaimId, None]] = {}  # let go by their owners, or expired
        # Denied, with what they wish; asked again when a place frees.
        self.waiting: dict[SeatId, dict[ClaimId, Claim]] = {}
        self.freed: dict[SeatId, dict[Resource, None]] = {}  # where one did
        self.homeless: dict[ClaimId, None] = {}  # nobody knows the seat yet
        self._looked_over: set[SeatId] = set()  # since the start of the node
        self._expiring: list[tuple[int, SeatId, ClaimId]] = []

    def undecided(self, seat: SeatId, id: ClaimId, asked: bool = True) -> None:
        """A claim waits for its decision, and, unless it was decided though not finally, is to be put to whoever holds
        the seat."""
        self.homeless.pop(id, None)
        self.waiting.get(seat, {}).pop(id, None)
        self.is_free(seat, id)
        self.open.setdefault(seat, {})[id] = None
        if asked:
            self.asked.setdefault(seat, {})[id] = None

    def settled(self, seat: SeatId, id: ClaimId) -> None:
        """Nothing is to be decided of it any more."""
        self.homeless.pop(id, None)
        self.waiting.get(seat, {}).pop(id, None)
        self.open.get(seat, {}).pop(id, None)
        asked = self.asked.get(seat)
        if asked is not None:
            asked.pop(id, None)
            if not asked:
                del self.asked[seat]

    def busy(self) -> list[SeatId]:
        """Seats with something for whoever holds them to decide."""
        return list({**self.asked, **self.frees, **self.freed})

    def has_expired(self, now_ms: int) -> bool:
        """True if some time is up."""
        return bool(self._expiring) and self._expiring[0][0] <= now_ms

    def wait(self, seat: SeatId, wish: Claim) -> None:
        self.waiting.setdefault(seat, {})[wish.id] = wish

    def let_go(self, seat: SeatId, id: ClaimId) -> None:
        """The place is not wanted any more. Every node remembers it until the place is free, whoever decides that."""
        frees = self.frees.setdefault(seat, {})
        frees[id] = None
        if len(frees) > LET_GO_MAX:
            del frees[next(iter(frees))]
            self._looked_over.discard(seat)

    def must_look_over(self, seat: SeatId) -> bool:
        """Whether places may be held that nobody wants any more, and of which nothing is on the agenda. Once asked, it
        is supposed to be looked after, as long as we hold the seat."""
        must = seat not in self._looked_over
        self._looked_over.add(seat)
        return must

    def not_ours(self, seat: SeatId) -> None:
        """We do not hold the seat any more. What we let go may turn out to be void."""
        self._looked_over.discard(seat)

    def take_frees(self, seat: SeatId) -> list[ClaimId]:
        """What is to be let go, by us who hold the seat."""
        return list(self.frees.pop(seat, ()))

    def place_freed(self, seat: SeatId, resources: Iterable[Resource]) -> None:
        freed = dict.fromkeys(resources)
        if freed:
            self.freed.setdefault(seat, {}).update(freed)

    def take_asked(self, seat: SeatId) -> list[ClaimId]:
        """What is to be put to the holder now."""
        asked = self.asked.get(seat, {})
        taken = list(asked)[:DECIDED_AT_ONCE_MAX]
        for id in taken:
            del asked[id]
        if not asked:
            self.asked.pop(seat, None)
        return taken

    def is_free(self, seat: SeatId, id: ClaimId) -> None:
        """The place was let go."""
        frees = self.frees.get(seat)
        if frees is not None:
            frees.pop(id, None)
            if not frees:
                del self.frees[seat]

    def take_freed(self, seat: SeatId) -> list[Resource]:
        return list(self.freed.pop(seat, ()))

    def ask_all(self, seat: SeatId) -> None:
        """We came to hold the seat: everything undecided is ours to decide, and a place may have come free for whoever
        waits while nobody looked."""
        self.place_freed(seat, [claim.resource for claim in self.waiting.get(seat, {}).values()])
        if self.open.get(seat):
            self.asked[seat] = dict(self.open[seat])

    def expires(self, at_ms: int, seat: SeatId, id: ClaimId) -> None:
        heapq.heappush(self._expiring, (at_ms, seat, id))

    def take_expired(self, now_ms: int) -> list[tuple[SeatId, ClaimId]]:
        """Whose time is up, each once."""
        taken = []
        while self._expiring and self._expiring[0][0] <= now_ms:
            _at, seat, id = heapq.heappop(self._expiring)
            taken.append((seat, id))
        return taken
