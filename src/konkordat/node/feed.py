"""The feed of commits: every reader has a bounded queue of its own, and nobody waits for a slow one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from konkordat.api.gate import FeedGap, NodeStopped, Overloaded
from konkordat.replica.messages import Committed


class Reader:
    """One subscriber's place in the feed. On the loop thread only."""

    def __init__(self, commits_max: int) -> None:
        self._waiting: deque[Committed] = deque()
        self._commits_max = commits_max
        self._changed = asyncio.Event()
        self._gap = False
        self._stopped = ""

    def offer(self, committed: Committed) -> bool:
        """Queue a commit; False when the queue is full: the reader is told of the gap after what it has."""
        if len(self._waiting) >= self._commits_max:
            self._gap = True
        else:
            self._waiting.append(committed)
        self._changed.set()
        return not self._gap

    def end(self, reason: str) -> None:
        self._stopped = reason
        self._changed.set()

    def __aiter__(self) -> AsyncIterator[Committed]:
        return self

    async def __anext__(self) -> Committed:
        while not self._waiting:
            if self._gap:
                raise FeedGap
            if self._stopped:
                raise NodeStopped(self._stopped)
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()


class Feed:
    """All readers."""

    def __init__(self, readers_max: int, commits_max: int) -> None:
        self._readers: set[Reader] = set()
        self._readers_max = readers_max
        self._commits_max = commits_max
        self._stopped = ""

    def join(self) -> Reader:
        """A new reader, from the next commit on. Raises Overloaded when there are too many, NodeStopped."""
        if self._stopped:
            raise NodeStopped(self._stopped)
        if len(self._readers) >= self._readers_max:
            raise Overloaded(1_000)
        reader = Reader(self._commits_max)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        self._readers.discard(reader)

    def publish(self, committed: Committed) -> None:
        """Tell everybody. Whoever has no room gets no more."""
        slow = [reader for reader in self._readers if not reader.offer(committed)]
        self._readers.difference_update(slow)

    def end(self, reason: str) -> None:
        """The node stops: readers get what they have, then NodeStopped."""
        self._stopped = reason
        for reader in self._readers:
            reader.end(reason)
        self._readers.clear()
