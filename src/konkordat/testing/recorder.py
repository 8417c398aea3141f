"""Writes down what happens in a cluster, for its judges and for the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from konkordat.kernel.claim import Claim, Resource
from konkordat.kernel.digest import EVERYTHING, Summary
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import NodeName, Origin
from konkordat.replica.admission import PENDING_BYTES_MAX
from konkordat.store.port import PAGE_ROWS_MAX, WriteSet
from konkordat.testing import history as past
from konkordat.testing.disk import Content, Replays
from konkordat.testing.process import INBOX_MESSAGES_MAX, Process

if TYPE_CHECKING:
    from konkordat.testing.cluster import Cluster

WISHES_KEPT = 20  # to be compared with a new one


class Recorder:
    """Knows what each disk holds by what was committed to it, not by asking the replica."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._frontiers: dict[str, dict[Origin, int]] = {}
        self._roots: dict[str, Summary] = {}
        self._replays: Replays = {}
        self._wishes: deque[tuple[NodeName, Claim]] = deque(maxlen=WISHES_KEPT)

    def watch(self, process: Process) -> None:
        """From now on, every commit of this node is written down."""
        process.disk.watcher = lambda write: self._wrote(process, write)
        process.disk.failure_watcher = lambda how: self._failed(process, how)
        process.disk.replays = self._replays

    def started(self, process: Process) -> None:
        assert process.store is not None
        book = process.store.book
        self._frontiers[process.name] = dict(book.frontier)
        self._roots[process.name] = book.root
        now = self._cluster.timeline.now_us
        self._cluster.history.append(
            past.Started(now, process.name, book.origin, book.hlc, dict(book.frontier), book.root)
        )
        self._cluster.log.line(process.name, f"starts as {book.origin}")

    def stopped(self, process: Process, why: str, unexpected: bool = False) -> None:
        now = self._cluster.timeline.now_us
        self._cluster.history.append(past.Stopped(now, process.name, why, unexpected))
        self._cluster.log.line(process.name, f"stops: {why}")

    def _failed(self, process: Process, how: str) -> None:
        now = self._cluster.timeline.now_us
        self._cluster.history.append(past.DiskFailed(now, process.name, how))

    def _wrote(self, process: Process, write: WriteSet) -> None:
        name, cluster = process.name, self._cluster
        frontier = dict(self._frontiers[name])
        batches = []
        for row in write.log:
            frontier[row.origin] = row.seq
            batches.append(past.LoggedBatch(row.origin, row.seq, row.hash, row.last_hlc))
        root = self._roots[name]
        for made in write.records:
            root = root.minus(made.before).plus(made.after)
        self._frontiers[name], self._roots[name] = frontier, root
        self._asked_apart(process, write)
        cluster.history.append(
            past.Wrote(
                cluster.timeline.now_us,
                name,
                process.now_ms(),
                write.hlc,
                tuple(batches),
                frontier,
                root,
                {made.record.key: made.record.life for made in write.records},
                tuple(write.claims),
                tuple(write.claims_gone),
                self._capacities(write),
            )
        )
        told = " ".join([f"{b.origin}:{b.seq}" for b in batches])
        cluster.log.line(name, f"commits {told} digest {root.text()}")

    def _capacities(self, write: WriteSet) -> dict[Resource, int]:
        domain = self._cluster.domain
        owners = [(domain.owned_resource(made.record.key), made.record) for made in write.records]
        return {of: domain.capacity(record) for of, record in owners if of is not None}

    def _asked_apart(self, process: Process, write: WriteSet) -> None:
        """Note wishes for a place that another node, which cannot be reached, was just asked for too."""
        own = process.disk.origin
        for decided in write.claims:
            claim = decided.claim
            if claim.stamp.origin != own or not claim.quantity or claim.stamp.hlc < write.hlc:
                continue
            for name, other in self._wishes:
                both = other.resource == claim.resource and other.overlaps(claim)
                if both and other.id != claim.id and self._is_cut_off(process.name, name):
                    self._cluster.seen["same place asked on both sides of a partition"] += 1
            self._wishes.append((process.name, claim))

    def _is_cut_off(self, here: NodeName, there: NodeName) -> bool:
        network = self._cluster.network
        return here != there and not network.connected(here, there)

    def finish(self) -> None:
        """Write down what every node has in the end, and how full what is bounded has been."""
        logs: dict[tuple[past.FinalBatch, ...], tuple[past.FinalBatch, ...]] = {}
        for process in self._cluster.processes.values():
            final = final_of(process)
            # One value for equal logs: judges compare and hash them all the time.
            log = logs.setdefault(final.batches, final.batches)
            self._cluster.history.append(msgspec.structs.replace(final, batches=log))
            self._gauges(process)

    def _gauges(self, process: Process) -> None:
        gauged = past.Gauged(process.name, "inbox", process.inbox_most, INBOX_MESSAGES_MAX + 512)
        self._cluster.history.append(gauged)
        if process.replica is not None:
            pending = process.replica.status(process.now_ms()).pending_bytes
            self._cluster.history.append(
                past.Gauged(process.name, "pending bytes", pending, PENDING_BYTES_MAX)
            )


def final_of(process: Process) -> past.Final:
    """Everything that is on a simulated node's disk."""
    replica = process.replica
    aside = dict(replica.status(process.now_ms()).quarantined) if replica is not None else {}
    final = final_state(process.name, process.disk.content(), aside)
    return msgspec.structs.replace(final, forgotten=process.forgotten())


def final_state(node: NodeName, store: Content, quarantined: Mapping[Origin, str]) -> past.Final:
    """Everything that is in a store."""
    frontier = store.frontier()
    batches = []
    for origin in sorted(frontier):
        after = 0
        while rows := store.batches(origin, after, PAGE_ROWS_MAX, 1 << 30):
            batches += [past.FinalBatch(r.origin, r.seq, r.hash, r.body) for r in rows]
            after = rows[-1].seq
    keys = [key for key, _ in store.fingerprints(EVERYTHING, 1 << 30)]
    claims = {d.claim.id: d for found in store.claims_of(keys).values() for d in found}
    written = {
        key: tuple([Stamp(row.hlc, row.origin) for row in store.history(key, PAGE_ROWS_MAX)])
        for key in keys
    }
    return past.Final(
        node,
        frontier,
        store.summary(EVERYTHING),
        tuple(batches),
        store.load(keys),
        claims,
        written,
        tuple(store.check()),
        quarantined,
    )
