"""What is seen at each node: a stream from each, and the moment at which each change came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from konkordat.cli.exits import CommandError, ExitCode


class Eye:
    """What one node's stream has shown so far. Times are of `time.perf_counter`, the same for all nodes here."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sessions: set[str] = set()
        self.token = ""  # of what was told last: a stream that begins anew goes on from there
        self._seen_at: dict[tuple[str, str], float] = {}  # (record id, version) -> when
        self._decided_at: dict[
            str, float
        ] = {}  # session id -> when its slot was first not tentative
        self._news = asyncio.Event()

    def see(
        self, type_: str, id_: str, version: str, deleted: bool, data: Mapping[str, Any] | None
    ) -> None:
        """One change of the stream."""
        now = time.perf_counter()
        self._seen_at.setdefault((id_, version), now)
        if type_ == "sessions":
            (self.sessions.discard if deleted else self.sessions.add)(id_)
            slot = (data or {}).get("slot") or {}
            if slot.get("state", "tentative") != "tentative":
                self._decided_at.setdefault(id_, now)
        self._news.set()

    async def seen(self, id_: str, version: str) -> float:
        """When a version of a record came here; waits for it."""
        while (id_, version) not in self._seen_at:
            self._news.clear()
            await self._news.wait()
        return self._seen_at[id_, version]

    async def decided(self, ids: Collection[str]) -> float:
        """When the last of these sessions' slots was decided, as told here; waits for it."""
        while any(id_ not in self._decided_at for id_ in ids):
            self._news.clear()
            await self._news.wait()
        return max(self._decided_at[id_] for id_ in ids)

    async def count(self, sessions: int) -> float:
        """When that many sessions were here; waits for it."""
        while len(self.sessions) < sessions:
            self._news.clear()
            await self._news.wait()
        return time.perf_counter()


async def all_see(
    eyes: Iterable[Eye], id_: str, version: str, timeout_s: float
) -> dict[str, float]:
    """When a version came to each node. Raises CommandError if it does not come everywhere in time."""
    seen: dict[str, float] = {}
    try:
        async with asyncio.timeout(timeout_s):
            for eye in eyes:
                seen[eye.name] = await eye.seen(id_, version)
    except TimeoutError:
        missing = ", ".join(eye.name for eye in eyes if eye.name not in seen)
        message = f"A change was not seen within {timeout_s:.0f} s at: {missing}."
        raise CommandError(message, ExitCode.UNMET, "not_seen") from None
    return seen


async def all_decided(eyes: Iterable[Eye], ids: Collection[str], timeout_s: float) -> float:
    """When the last node was told the last decision. Raises CommandError if that takes too long."""
    told: dict[str, float] = {}
    try:
        async with asyncio.timeout(timeout_s):
            for eye in eyes:
                told[eye.name] = await eye.decided(ids)
    except TimeoutError:
        message = f"Bookings were still undecided after {timeout_s:.0f} s."
        raise CommandError(message, ExitCode.UNMET, "not_decided") from None
    return max(told.values())
