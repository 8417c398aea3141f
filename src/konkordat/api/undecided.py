"""Records that wait for a decision, as the feed has told of them, so that the decision is shown without reading them.

Most bookings pass the feed twice: when they are written, and a moment later when they are decided. What the first
commit told is kept until the second; later commits are laid over it, so a state is as the last commit told it or newer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from konkordat.api.views import CLAIMANTS, plain_version
from konkordat.kernel.claim import ClaimState, DecidedClaim
from konkordat.kernel.ids import RecordKey
from konkordat.kernel.record import Record
from konkordat.replica.messages import Committed
from konkordat.store.port import Reader

KEPT_MAX: Final = 2_000  # four seconds of 500 bookings a second; the oldest are read again
KEPT_BYTES_MAX: Final = 8_192  # of one record's values; ordinary ones have one or two thousand


class State(msgspec.Struct, frozen=True):
    """A record, and all that the index has of its claims."""

    record: Record
    claims: Sequence[DecidedClaim]
    version: str  # of the record alone


class _Kept(msgspec.Struct):
    record: Record
    version: str
    claims: dict[str, DecidedClaim]  # by part

    def replace(self, record: Record) -> None:
        if record is not self.record:
            self.record, self.version = record, plain_version(record)


class Undecided:
    """Sees every commit, in order, or is told to forget."""

    def __init__(self) -> None:
        self._kept: dict[RecordKey, _Kept] = {}  # in the order in which they came

    def forget(self) -> None:
        """Commits will be missed."""
        self._kept.clear()

    def take(self, committed: Committed) -> None:
        """Bring what is kept up to date with the next commit."""
        kept = self._kept
        if not kept:
            return
        for entry in committed.entries:
            if entry.key in kept:
                kept[entry.key].replace(entry.record)
        for key, record in committed.records.items():
            if key in kept:
                kept[key].replace(record)
        for id in committed.gone:
            if id.owner in kept:
                kept[id.owner].claims.pop(id.part, None)
        for decided in committed.claims:
            id = decided.claim.id
            if id.owner in kept:
                kept[id.owner].claims[id.part] = decided

    def states(
        self,
        committed: Committed,
        written: Mapping[RecordKey, Record],
        decided: Iterable[RecordKey],
        reader: Reader,
    ) -> dict[RecordKey, State]:
        """How records are after a commit that was taken, or are now: those that it wrote, and others of which it
        decided a claim."""
        records = dict(written)
        for key in decided:
            known = committed.records.get(key)
            if known is None and key in self._kept:
                known = self._kept[key].record
            if known is not None:
                records.setdefault(key, known)
        unknown = [key for key in decided if key not in records]
        if unknown:
            records |= reader.load(unknown)
        claims = self._claims(committed, records, reader)
        return {key: self._state(record, claims.get(key, ())) for key, record in records.items()}

    def _claims(
        self, committed: Committed, keys: Iterable[RecordKey], reader: Reader
    ) -> dict[RecordKey, Sequence[DecidedClaim]]:
        found: dict[RecordKey, Sequence[DecidedClaim]] = {}
        unknown = []
        for key in keys:
            if key.collection not in CLAIMANTS:
                continue
            if key in committed.whole:
                found[key] = committed.whole[key]
            elif key in self._kept:
                claims = self._kept[key].claims
                found[key] = [claims[part] for part in sorted(claims)]
            else:
                unknown.append(key)
        return found | reader.claims_of(unknown) if unknown else found

    def _state(self, record: Record, claims: Sequence[DecidedClaim]) -> State:
        """The state, which is kept while there is something to decide."""
        key = record.key
        kept = self._kept.pop(key, None)
        if kept is not None and kept.record is record:
            state = State(record, claims, kept.version)
        else:
            state = State(record, claims, plain_version(record))
        if any(d.state is ClaimState.TENTATIVE for d in claims) and _is_small(record):
            by_part = {d.claim.id.part: d for d in claims}
            self._kept[key] = _Kept(record, state.version, by_part)
            if len(self._kept) > KEPT_MAX:
                del self._kept[next(iter(self._kept))]
        return state


def _is_small(record: Record) -> bool:
    return sum([len(register.value) for register in record.fields.values()]) <= KEPT_BYTES_MAX
