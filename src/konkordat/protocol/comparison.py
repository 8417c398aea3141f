"""Digest comparison: equal frontiers must mean equal data. Where roots differ, descend to the records that do.

The node that notices drives, the other only answers, so every node repairs itself. At each step the driver sends
its digests of some ranges; the answer holds, for those that differ, the other's digests of finer parts, or the
fingerprints of all records once a part is small. Bytes and rows read grow with the difference, not with the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from konkordat.kernel.digest import EVERYTHING, KeyRange, Summary
from konkordat.kernel.ids import NodeName, Origin, RecordKey
from konkordat.wire.messages import Compare, Fetch

WAYS: Final = 16  # parts per step: 100 million records are nine steps of a few kilobytes
LEAF_RECORDS_MAX: Final = (
    256  # below this, fingerprints of all records are cheaper than another step
)
RANGES_MAX: Final = 256  # compared in one message; the rest waits for the next comparison
FETCH_MAX: Final = 256  # records fetched per answer
STEP_TIMEOUT_MS: Final = 3_000
PAUSE_MS: Final = 5_000  # after a comparison that ended, before the next with the same peer


class Digests(Protocol):
    """The part of a store's reader that a comparison needs."""

    def summary(self, range_: KeyRange) -> Summary: ...
    def split(self, range_: KeyRange, ways: int) -> Sequence[tuple[KeyRange, Summary]]: ...
    def fingerprints(self, range_: KeyRange, limit: int) -> Sequence[tuple[RecordKey, Summary]]: ...


class Open(msgspec.Struct):
    id: int
    deadline_ms: int


class Comparison:
    """Drives comparisons with peers and answers theirs."""

    def __init__(self, first_id: int) -> None:
        self._next_id = first_id
        self._open: dict[NodeName, Open] = {}
        self._not_before_ms: dict[NodeName, int] = {}

    def begin(
        self, peer: NodeName, frontier: Mapping[Origin, int], digests: Digests, now_ms: int
    ) -> Compare | None:
        """Roots differ at equal frontiers. None while one is running with that peer, or has just ended."""
        running = self._open.get(peer)
        if running is not None and now_ms < running.deadline_ms:
            return None
        if now_ms < self._not_before_ms.get(peer, 0):
            return None
        number, self._next_id = self._next_id, self._next_id + 1
        self._open[peer] = Open(number, now_ms + STEP_TIMEOUT_MS)
        self._not_before_ms[peer] = now_ms + PAUSE_MS
        return Compare(number, frontier, tuple(digests.split(EVERYTHING, WAYS)))

    def drives(self, peer: NodeName, id: int) -> bool:
        """True if this id is of a comparison that we drive with the peer."""
        running = self._open.get(peer)
        return running is not None and running.id == id

    def answer(
        self, ask: Compare, frontier: Mapping[Origin, int], digests: Digests
    ) -> list[Compare]:
        """What to tell a driver: finer digests, or fingerprints, of the ranges that differ.

        Nothing once frontiers differ: the difference may only be on its way.
        """
        if dict(ask.frontier) != dict(frontier):
            return []
        finer: list[tuple[KeyRange, Summary]] = []
        answers: list[Compare] = []
        for range_, theirs in ask.ranges[:RANGES_MAX]:
            ours = digests.summary(range_)
            if ours == theirs:
                continue
            if max(ours.live + ours.dead, theirs.live + theirs.dead) <= LEAF_RECORDS_MAX:
                keys = tuple(digests.fingerprints(range_, LEAF_RECORDS_MAX))
                answers.append(Compare(ask.id, frontier, leaf=range_, keys=keys))
            else:
                finer += digests.split(range_, WAYS)
        if finer:
            answers.append(Compare(ask.id, frontier, tuple(finer[:RANGES_MAX])))
        return answers

    def proceed(
        self, peer: NodeName, told: Compare, frontier: Mapping[Origin, int], digests: Digests
    ) -> Compare | Fetch | None:
        """The driver's next step after an answer."""
        if dict(told.frontier) != dict(frontier):
            self._open.pop(peer, None)
            return None
        if told.leaf is not None:
            keys = self._differing(told, digests)
            return Fetch(told.id, keys[:FETCH_MAX]) if keys else None
        differing = [
            (range_, ours)
            for range_, theirs in told.ranges[:RANGES_MAX]
            if (ours := digests.summary(range_)) != theirs
        ]
        return Compare(told.id, frontier, tuple(differing)) if differing else None

    def _differing(self, told: Compare, digests: Digests) -> tuple[RecordKey, ...]:
        assert told.leaf is not None
        ours = dict(digests.fingerprints(told.leaf, LEAF_RECORDS_MAX))
        theirs = dict(told.keys)
        return tuple(
            [k for k in sorted(ours.keys() | theirs.keys()) if ours.get(k) != theirs.get(k)]
        )


def first_id(origin: Origin) -> int:
    """Ids of an origin's comparisons begin at a number that no other origin's are near, so an answer cannot be taken
    for a question."""
    digest = hashlib.blake2b(origin.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") << 24
