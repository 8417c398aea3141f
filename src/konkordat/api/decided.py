"""Which records a stretch of the log decides something about: a claim that was decided changes what its record shows,
though nobody wrote the record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from konkordat.kernel.change import Change
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.kernel.seat import Decision, Entry, Finality, SeatId, UnreadableEntry
from konkordat.replica.seat_log import decisions_key, entries_in, is_entries
from konkordat.store.port import Reader
from konkordat.wire.batches import open_body

# Rows of the log looked at for what a finality made final. A holder says it within a round trip of the decision, so
# mostly it is one or two; more is a seat that had no majority for long, and its claims are told by the decision too.
LOOK_BACK_ROWS_MAX: Final = 256


class Deciding:
    """Reads one page of the log; what was told of a seat once is not looked up again."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._looked_back: set[SeatId] = set()

    def owners(self, change: Change, hlc: Hlc, origin: Origin) -> Iterator[RecordKey]:
        """The records whose claims a change decides, or makes final."""
        if not is_entries(change):
            return
        for entry in _entries(change):
            yield from _ruled(entry)
            # Decisions after the first finality of a page are in the page; those before may have been told as they
            # were then: tentative.
            if isinstance(entry, Finality) and entry.seat not in self._looked_back:
                self._looked_back.add(entry.seat)
                yield from self._since_last(entry.seat, hlc, origin)

    def _since_last(self, seat: SeatId, hlc: Hlc, origin: Origin) -> Iterator[RecordKey]:
        """The records whose claims were decided since the finality before this one."""
        key = decisions_key(seat)
        for row in self._reader.history(key, LOOK_BACK_ROWS_MAX, (hlc, origin)):
            entries = list(self._said(key, row.origin, row.seq))
            for entry in entries:
                yield from _ruled(entry)
            if any(isinstance(entry, Finality) for entry in entries):
                return

    def _said(self, key: RecordKey, origin: Origin, seq: int) -> Iterator[Entry]:
        (row,) = self._reader.batches(origin, seq - 1, 1)
        for transaction in open_body(row.body).batch.transactions:
            for change in transaction.changes:
                if change.key == key:
                    yield from _entries(change)


def _entries(change: Change) -> Iterable[Entry]:
    try:
        return entries_in(change)
    except UnreadableEntry:
        return ()  # it decides nothing; the journal has it


def _ruled(entry: Entry) -> Iterator[RecordKey]:
    if isinstance(entry, Decision):
        yield from (ruling.claim.id.owner for ruling in entry.rulings)
