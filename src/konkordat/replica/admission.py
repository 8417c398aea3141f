"""Which of the batches that peers send are applied, and in what order: in sequence, unbroken, not from the future."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from konkordat.kernel.change import NO_HASH, Batch, SealedBatch
from konkordat.kernel.hlc import ms_of, too_far_ahead
from konkordat.kernel.ids import NodeName, Origin
from konkordat.protocol.exchange import Exchange
from konkordat.wire.batches import open_body
from konkordat.wire.errors import WireError

PENDING_BYTES_MAX: Final = (
    8 << 20
)  # pushes beyond a gap, over all origins; beyond it they are pulled later
ORIGINS_MAX: Final = 250  # under what a frontier may name; a stranger cannot fill our bookkeeping
BROKEN_HOLD_MS: Final = (
    60_000  # how long a peer is not asked again for an origin of which it gave us what does not fit
)


class Note(msgspec.Struct, frozen=True):
    """For the journal."""

    level: str
    event: str
    fields: dict[str, Any]


class Admission:
    """Takes bodies in, gives sealed batches out. Mutates only its own tables; the frontier it works on is a copy that
    the replica adopts once the commit is durable."""

    def __init__(
        self,
        exchange: Exchange,
        ahead_ms_max: int,
        refuses: Callable[[Batch], str] = lambda _batch: "",
    ) -> None:
        """`refuses` says why a batch, and all that follows it in its log, is not taken; "" if nothing is against it."""
        self._exchange = exchange
        self._ahead_ms_max = ahead_ms_max
        self._refuses = refuses
        self._pending: dict[Origin, dict[int, SealedBatch]] = {}
        self.pending_bytes = 0
        self.quarantined: dict[Origin, str] = {}
        self._waits_until_ms: dict[Origin, int] = {}  # of those, which only wait for a time
        self.notes: list[Note] = []

    def begin(self, frontier: dict[Origin, int], heads: dict[Origin, bytes], now_ms: int) -> None:
        """Start a commit on copies of the bookkeeping."""
        self._frontier, self._heads, self._now_ms = frontier, heads, now_ms
        self.taken: list[SealedBatch] = []

    def take(self, bodies: Iterable[bytes], peer: NodeName, own: Origin) -> None:
        """Admit what fits; what does not is kept for later, or named in a note and dropped."""
        for body in bodies:
            try:
                sealed = open_body(body)
            except WireError as error:
                self._note("warning", "batch_refused", peer=peer, why=str(error))
                continue
            if sealed.batch.origin == own:
                self._own_returned(sealed, peer)
            else:
                self._take_one(sealed, peer)

    def _take_one(self, sealed: SealedBatch, peer: NodeName) -> None:
        batch = sealed.batch
        origin, have = batch.origin, self._frontier.get(batch.origin, 0)
        if batch.seq <= have:
            if batch.seq == have and sealed.hash != self._heads[origin]:
                self._quarantine(origin, f"two contents for batch {batch.seq}", peer)
            return
        if batch.seq > have + 1:
            self._keep(sealed)
            self._exchange.gap_seen(origin, batch.seq, peer, self._now_ms)
            return
        if not self._fits(sealed, peer):
            return
        self._admit(sealed)
        self._admit_waiting(origin, peer)

    def _fits(self, sealed: SealedBatch, peer: NodeName) -> bool:
        batch = sealed.batch
        if batch.origin not in self._frontier and len(self._frontier) >= ORIGINS_MAX:
            self._note("error", "too_many_origins", origin=batch.origin, limit=ORIGINS_MAX)
            return False
        if batch.previous != self._heads.get(batch.origin, NO_HASH):
            self._quarantine(batch.origin, f"batch {batch.seq} breaks the hash chain", peer)
            return False
        why = self._refuses(batch)
        if why:
            self._quarantine(batch.origin, why, peer)
            return False
        if not batch.transactions:
            return True
        last = batch.transactions[-1].hlc
        if too_far_ahead(last, self._now_ms, self._ahead_ms_max):
            self._park(batch.origin, ms_of(last))
            return False
        return True

    def _admit(self, sealed: SealedBatch) -> None:
        batch = sealed.batch
        self._frontier[batch.origin] = batch.seq
        self._heads[batch.origin] = sealed.hash
        self.taken.append(sealed)
        self._release(batch.origin)

    def _admit_waiting(self, origin: Origin, peer: NodeName) -> None:
        waiting = self._pending.get(origin)
        while waiting:
            seq = self._frontier[origin] + 1
            for old in [s for s in waiting if s < seq]:
                self.pending_bytes -= len(waiting.pop(old).body)
            sealed = waiting.pop(seq, None)
            if sealed is None:
                return
            self.pending_bytes -= len(sealed.body)
            if not self._fits(sealed, peer):
                return
            self._admit(sealed)
        self._pending.pop(origin, None)

    def _keep(self, sealed: SealedBatch) -> None:
        """A push beyond a gap: worth keeping, since the gap is often one lost push. Full: dropped, and pulled later."""
        batch, size = sealed.batch, len(sealed.body)
        if self.pending_bytes + size > PENDING_BYTES_MAX:
            return
        waiting = self._pending.setdefault(batch.origin, {})
        if batch.seq not in waiting:
            waiting[batch.seq] = sealed
            self.pending_bytes += size

    def _park(self, origin: Origin, stamp_ms: int) -> None:
        """A stamp too far ahead waits at its origin: nothing of it is stored, our clock does not move, and it is pulled
        again when time has come up with it. Every node holds it back by the same rule."""
        until = stamp_ms - self._ahead_ms_max
        why = f"stamps {stamp_ms - self._now_ms} ms ahead of our clock"
        self._set_aside(origin, why, "")
        if origin in self.quarantined:
            self._exchange.held_until[origin] = until
            self._waits_until_ms[origin] = until

    def release_due(self, now_ms: int) -> None:
        """Whose time has come is set free, even if its batches are gone with the disk that had them."""
        for origin, until_ms in list(self._waits_until_ms.items()):
            if until_ms <= now_ms:
                self._release(origin)

    def _release(self, origin: Origin) -> None:
        self._waits_until_ms.pop(origin, None)
        if self.quarantined.pop(origin, None) is not None:
            self._note("info", "origin_released", origin=origin)

    def _quarantine(self, origin: Origin, why: str, peer: NodeName) -> None:
        self._exchange.distrust(origin, peer, self._now_ms + BROKEN_HOLD_MS)
        self._set_aside(origin, why, peer)
        self._waits_until_ms.pop(origin, None)

    def _set_aside(self, origin: Origin, why: str, peer: str) -> None:
        if origin not in self.quarantined:
            if len(self.quarantined) >= ORIGINS_MAX:
                return  # a stranger's invention: a sound cluster has fewer; what is shown already is enough to act on
            self._note("error", "origin_quarantined", origin=origin, why=why, peer=peer)
        self.quarantined[origin] = why
        for sealed in self._pending.pop(origin, {}).values():
            self.pending_bytes -= len(sealed.body)

    def _own_returned(self, sealed: SealedBatch, peer: NodeName) -> None:
        """A peer has batches of ours that we do not have: our disk lost acknowledged writes, or was restored from a
        backup without a new incarnation. Going on would use sequence numbers twice."""
        if sealed.batch.seq > self._frontier.get(sealed.batch.origin, 0):
            raise OwnHistoryLostError(sealed.batch.origin, sealed.batch.seq, peer)

    def _note(self, level: str, event: str, **fields: Any) -> None:
        self.notes.append(Note(level, event, fields))


class OwnHistoryLostError(Exception):
    """Peer {peer} has batch {seq} of our own origin {origin}, and we do not: this disk lost acknowledged writes, or it
    is an old copy. Nothing was changed. The node must mint a new incarnation before it writes again."""

    def __init__(self, origin: Origin, seq: int, peer: NodeName) -> None:
        super().__init__(f"peer {peer} has batch {seq} of our own origin {origin}, and we do not")
        self.origin, self.seq, self.peer = origin, seq, peer
