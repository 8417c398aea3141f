"""What has ended reads `expired`, whether that is decided yet or not: a node may be cut off for hours from whoever
decides. The index of claims tells what the log tells, so the clock comes in here.

Where it is not decided, half a second after the end, when the place is free to be booked here: the holder's clock may
be so far behind, and would still deny it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import structs

from konkordat.kernel.claim import ClaimState, DecidedClaim
from konkordat.kernel.hlc import AHEAD_MS_MAX
from konkordat.kernel.ids import RecordKey
from konkordat.replica.claims import HELD
from konkordat.store.port import Reader, Span

_STANDING = frozenset({ClaimState.CONFIRMED, ClaimState.TENTATIVE})


def as_of(claims: Iterable[DecidedClaim], now_ms: int) -> list[DecidedClaim]:
    """Claims as they are at a time. A place that was kept during a move, and ended, is not kept any more."""
    found = []
    ended_ms = now_ms - AHEAD_MS_MAX
    for decided in claims:
        if not decided.is_over(ended_ms) or decided.state not in _STANDING:
            found.append(decided)
        elif not decided.claim.id.part.endswith(HELD):
            found.append(structs.replace(decided, state=ClaimState.EXPIRED))
    return found


class AsOfNow:
    """A reader that tells claims as they are by the clock; fulfils `Reader`. All else is the reader's own."""

    def __init__(self, reader: Reader, now_ms: Callable[[], int]) -> None:
        self._reader = reader
        self._now_ms = now_ms
        self.load = reader.load
        self.scan = reader.scan
        self.count = reader.count
        self.taken = reader.taken
        self.every_claim = reader.every_claim
        self.batches = reader.batches
        self.history = reader.history
        self.answer = reader.answer
        self.summary = reader.summary
        self.split = reader.split
        self.fingerprints = reader.fingerprints
        self.frontier = reader.frontier
        self.moment = reader.moment
        self.close = reader.close

    def claims_on(self, spans: Sequence[Span]) -> list[DecidedClaim]:
        """Every claim that overlaps one of the spans, each once."""
        return as_of(self._reader.claims_on(spans), self._now_ms())

    def claims_of(self, owners: Iterable[RecordKey]) -> dict[RecordKey, list[DecidedClaim]]:
        """The claims that these records make."""
        now_ms = self._now_ms()
        found = self._reader.claims_of(owners)
        return {owner: as_of(claims, now_ms) for owner, claims in found.items()}
