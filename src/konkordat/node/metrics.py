"""A node's numbers, for Prometheus. One registry per node, so that several nodes can live in one process.

Counters are raised where things happen, from any thread; what is a state (lag, queues, sizes) is read at the scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from konkordat.api.gate import NodeStatus
from konkordat.replica.status import SeatingView

_SECONDS: Final = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0),
)
_CHANGES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
HEALTHS: Final = ("joining", "ready", "fenced", "stopping", "failed")


class NodeMetrics:
    """The counters and histograms of one node."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        registry = self.registry
        self.commits = Counter("konkordat_commits", "Transactions made durable.", registry=registry)
        changes = Counter(
            "konkordat_changes_applied",
            "Changes that took effect here, by where they were made.",
            ["source"],
            registry=registry,
        )
        self.changes_local, self.changes_remote = changes.labels("local"), changes.labels("remote")
        self.commit_changes = Histogram(
            "konkordat_commit_changes",
            "Changes per commit: how far writes share one sync of the disk.",
            buckets=_CHANGES,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "konkordat_commit_seconds",
            "Time from taking inputs out of the inbox to their being durable.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.commands = Counter(
            "konkordat_commands",
            "Local commands by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.delay = Histogram(
            "konkordat_replication_delay_seconds",
            "Time from a change's stamp at its origin to its being visible here; both clocks are in it.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.received = Counter(
            "konkordat_frames_received", "Frames of peers taken in.", ["kind"], registry=registry
        )
        self.received_bytes = Counter(
            "konkordat_received_bytes", "Bytes of those frames.", registry=registry
        )
        self.sent_bytes = Counter(
            "konkordat_sent_bytes",
            "Bytes of frames handed to the links, a broadcast counted once.",
            registry=registry,
        )
        self.dropped = Counter(
            "konkordat_frames_dropped",
            "Frames not taken in or not sent, by reason. What they carried is pulled again.",
            ["reason"],
            registry=registry,
        )
        self.journal = Counter(
            "konkordat_journal_events",
            "Events of the replica's journal: quarantines, mismatches, repairs, peers.",
            ["event"],
            registry=registry,
        )
        self._count_claims(registry)

    def _count_claims(self, registry: CollectorRegistry) -> None:
        """What becomes of claims, and who decides."""
        self.displaced = Counter(
            "konkordat_claims_displaced", "Claims that lost their place.", registry=registry
        )
        self.decided = Counter(
            "konkordat_claims_decided",
            "Claims of which the state became final here, by what they came to.",
            ["state"],
            registry=registry,
        )
        self.decision_seconds = Histogram(
            "konkordat_decision_seconds",
            "Time from a claim made at this node to its decision being final here.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.takeovers = Counter(
            "konkordat_seat_takeovers",
            "Terms after a seat's first that this node opened.",
            registry=registry,
        )

    def watch(self, status: Callable[[], NodeStatus], data: Path | None) -> None:
        """Report a node's state at every scrape."""
        self.registry.register(_StateCollector(status, data))

    def render(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)


class _StateCollector(Collector):
    """States are asked for when somebody looks, and not kept twice."""

    def __init__(self, status: Callable[[], NodeStatus], data: Path | None) -> None:
        self._status = status
        self._data = data

    def describe(self) -> Iterator[Metric]:
        """Nothing is asked for at registration: the node may still be starting."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield _gauge("konkordat_ready", "1 when clients should come here.", float(status.ready))
        health = GaugeMetricFamily(
            "konkordat_health", "1 for the present health.", labels=["health"]
        )
        for name in HEALTHS:
            health.add_metric([name], float(name == status.health))
        yield health
        yield _gauge("konkordat_records", "Living records.", status.records)
        yield _gauge("konkordat_inbox_commands", "Commands that wait.", status.queue)
        yield _gauge("konkordat_inbox_commands_max", "How many may wait.", status.queue_max)
        yield _gauge(
            "konkordat_quarantined_origins",
            "Origins whose batches are not taken.",
            len(status.quarantined),
        )
        yield _gauge("konkordat_uptime_seconds", "Since the start.", status.uptime_s)
        if self._data is not None:
            yield _gauge("konkordat_store_bytes", "Size of the data.", _size_of(self._data))
        if status.seating is not None:
            yield from _seats(status.seating)
        yield from _peers(status)


def _seats(seating: SeatingView) -> Iterator[Metric]:
    seats = seating.seats
    yield _gauge("konkordat_seats", "Seats that this node knows.", len(seats))
    held = sum(1 for view in seats if view.deciding)
    yield _gauge("konkordat_seats_held", "Seats that this node holds and decides.", held)
    undecided = sum(view.undecided for view in seats)
    yield _gauge("konkordat_claims_undecided", "Claims that wait for a decision.", undecided)
    yield _gauge("konkordat_roster_version", "Version of the roster known here.", seating.roster)
    yield _gauge("konkordat_roster_members", "Members of it.", len(seating.members))
    yield _gauge("konkordat_roster_heard", "Members heard lately.", len(seating.heard))


def _peers(status: NodeStatus) -> Iterator[Metric]:
    alive = GaugeMetricFamily("konkordat_peer_alive", "1 when heard lately.", labels=["peer"])
    lag = GaugeMetricFamily(
        "konkordat_peer_lag_seconds", "Age of the oldest batch a peer lacks.", labels=["peer"]
    )
    behind = GaugeMetricFamily(
        "konkordat_peer_behind_batches", "Batches that we have and a peer lacks.", labels=["peer"]
    )
    ahead = GaugeMetricFamily(
        "konkordat_peer_ahead_batches", "Batches that a peer has and we lack.", labels=["peer"]
    )
    offset = GaugeMetricFamily(
        "konkordat_peer_clock_offset_seconds", "A peer's clock minus ours.", labels=["peer"]
    )
    for peer in status.peers:
        alive.add_metric([peer.name], float(peer.alive))
        lag.add_metric([peer.name], peer.lag_ms / 1e3)
        behind.add_metric([peer.name], peer.behind)
        ahead.add_metric([peer.name], peer.ahead)
        offset.add_metric([peer.name], peer.clock_offset_ms / 1e3)
    yield from (alive, lag, behind, ahead, offset)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # gone between listing and looking
            continue
    return total
