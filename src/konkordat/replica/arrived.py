"""Which transactions are here already: a decision may come before the wish that it answers."""

from __future__ import annotations

from konkordat.kernel.claim import ClaimId
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Origin
from konkordat.store.port import Reader


class Arrived:
    """Up to which stamp each log is here; a log grows in the order of its stamps."""

    def __init__(self, store: Reader, own: Origin) -> None:
        self._store = store
        self._own = own
        self._latest: dict[Origin, Hlc] = {}  # the rest is looked up when it is asked for
        self._awaited: dict[ClaimId, dict[Stamp, None]] = {}
        self._moved = False  # since we looked what came

    def reached(self, origin: Origin, hlc: Hlc) -> None:
        """A log is here up to there."""
        self._latest[origin] = hlc
        self._moved = True

    def has(self, stamp: Stamp) -> bool:
        """True if the transaction of that stamp is here."""
        origin = stamp.origin
        if origin == self._own:
            return True
        if origin not in self._latest:
            seq = self._store.frontier().get(origin, 0)
            rows = self._store.batches(origin, seq - 1, 1) if seq else ()
            self._latest[origin] = rows[0].last_hlc if rows else Hlc(0)
        return self._latest[origin] >= stamp.hlc

    def awaits(self, id: ClaimId, stamp: Stamp) -> None:
        """More is final of a claim than the wish that is here: it is to be looked at again when that one comes."""
        self._awaited.setdefault(id, {})[stamp] = None

    def forget(self, id: ClaimId) -> None:
        self._awaited.pop(id, None)

    def take_come(self) -> list[ClaimId]:
        """The claims of which an awaited wish is here now, each once."""
        if not self._moved:
            return []
        self._moved = False
        come = [id for id, stamps in self._awaited.items() if any(map(self.has, stamps))]
        for id in come:
            del self._awaited[id]
        return come
