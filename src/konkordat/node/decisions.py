"""Requests that wait until claims are decided. On the loop thread.

Who waits is entered first and looks at the index then, so a decision that came before is not missed; whatever comes
later passes by here with its commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from konkordat.kernel.claim import ClaimId, ClaimState, DecidedClaim
from konkordat.kernel.ids import RecordKey
from konkordat.replica.messages import Committed
from konkordat.store.port import Reader

# Requests that wait at once. Beyond it an answer comes at once, as if nobody had asked to wait: the write took effect,
# so it must not be refused.
WAITING_MAX: Final = 10_000


class _Waiter(msgspec.Struct, eq=False):
    """A request, and what it still waits for."""

    open: set[ClaimId]
    decided: asyncio.Future[bool]


class Decisions:
    """All who wait, by the records whose claims they wait for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiting: dict[RecordKey, set[_Waiter]] = {}
        self._count = 0

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._count

    async def decided(self, claims: Iterable[ClaimId], timeout_s: float) -> bool:
        """Wait until none of the claims is tentative; False when time runs out first, or too many wait already.

        Raises NodeStopped when the node stops meanwhile.
        """
        waiter = _Waiter(set(claims), asyncio.get_running_loop().create_future())
        if not waiter.open:
            return True
        if timeout_s <= 0 or self._count >= WAITING_MAX:
            return not self._undecided(waiter.open)
        owners = {id.owner for id in waiter.open}
        self._enter(waiter, owners)
        try:
            self._look(waiter)
            async with asyncio.timeout(timeout_s):
                return await waiter.decided
        except TimeoutError:
            return False
        finally:
            self._leave(waiter, owners)

    def committed(self, committed: Committed) -> None:
        """A commit that reads already see: some may have waited for it."""
        if not self._waiting:
            return
        for decided in committed.claims:
            if not is_open(decided):
                self._settled(decided.claim.id)
        # A record that was deleted or given another place claims otherwise: nothing is told of the claim that was.
        for id in committed.gone:
            self._settled(id)

    def _settled(self, id: ClaimId) -> None:
        for waiter in self._waiting.get(id.owner, ()):
            waiter.open.discard(id)
            if not waiter.open and not waiter.decided.done():
                waiter.decided.set_result(True)

    def end(self) -> list[asyncio.Future[bool]]:
        """The node stops: those who wait, to be told."""
        return [waiter.decided for waiters in self._waiting.values() for waiter in waiters]

    def _look(self, waiter: _Waiter) -> None:
        waiter.open = self._undecided(waiter.open)
        if not waiter.open and not waiter.decided.done():
            waiter.decided.set_result(True)

    def _undecided(self, claims: set[ClaimId]) -> set[ClaimId]:
        found = self._reader.claims_of(sorted({id.owner for id in claims}))
        return {d.claim.id for own in found.values() for d in own if is_open(d)} & claims

    def _enter(self, waiter: _Waiter, owners: Iterable[RecordKey]) -> None:
        self._count += 1
        for owner in owners:
            self._waiting.setdefault(owner, set()).add(waiter)

    def _leave(self, waiter: _Waiter, owners: Iterable[RecordKey]) -> None:
        self._count -= 1
        for owner in owners:
            self._waiting[owner].discard(waiter)
            if not self._waiting[owner]:
                del self._waiting[owner]
        if not waiter.decided.cancel() and not waiter.decided.cancelled():
            waiter.decided.exception()  # whoever waited is gone: what it was told is no news


def is_open(decided: DecidedClaim) -> bool:
    """Whether it is still to be decided."""
    return decided.state is ClaimState.TENTATIVE
