"""The node as the API sees it: fulfils `konkordat.api.gate.Gate`. Everything here happens on the event loop thread.

Commands go into the inbox; the owner thread answers through `take`, once per drain.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Container, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from msgspec import structs

from konkordat import __version__
from konkordat.api.ends import AsOfNow
from konkordat.api.gate import NodeStatus, NodeStopped, Overloaded, PeerStatus
from konkordat.kernel.claim import ClaimId, DecidedClaim
from konkordat.kernel.frontier import covers, distance
from konkordat.kernel.hlc import ms_of
from konkordat.kernel.ids import NodeName, Origin, node_of, uuid7
from konkordat.node.ambient import Ambient
from konkordat.node.decisions import Decisions, is_open
from konkordat.node.drain import Drained
from konkordat.node.feed import Feed
from konkordat.node.health import Health
from konkordat.node.inbox import Inbox, InboxClosed
from konkordat.node.lag import CommitTimes, lag_ms
from konkordat.replica.claims import HELD
from konkordat.replica.messages import (
    Accepted,
    Answered,
    Command,
    Committed,
    Outcome,
    Replayed,
)
from konkordat.replica.status import PeerView, ReplicaStatus
from konkordat.store.port import Reader

WAITERS_MAX: Final = 10_000  # requests that wait for a frontier; one connection has one
RETRY_MS_MIN: Final = 100
RETRY_MS_MAX: Final = 5_000
TRAIL_MAX: Final = 50  # ids named in one log line
UNSIZED_BYTES: Final = 4_096  # counted for a command that cannot be measured
# Weight of the newest drain in the running mean of seconds per command: about the last fifty.
MEAN_WEIGHT: Final = 0.05


class _Waiter(msgspec.Struct, eq=False):
    """A request that waits for a frontier."""

    frontier: Mapping[Origin, int]
    reached: asyncio.Future[bool]


def is_decision(told: DecidedClaim) -> bool:
    """True for what a decision made final; not for a place from before, or for what takes nothing."""
    if is_open(told) or not told.claim.quantity:
        return False
    return not told.claim.id.part.endswith(HELD)


class NodeGate:
    """One node. Made before its owner thread starts; `take` and `fail` are called on the loop thread."""

    def __init__(
        self,
        cluster: str,
        status: ReplicaStatus,
        inbox: Inbox,
        reader: Reader,
        health: Health,
        feed: Feed,
        ambient: Ambient,
    ) -> None:
        self.name: NodeName = node_of(status.origin)
        self.cluster = cluster
        self._inbox = inbox
        self._clock, self._log, self._metrics = ambient
        self._reader = AsOfNow(reader, self._clock.now_ms)
        self._health = health
        self._feed = feed
        self._status = status
        self._frontier = status.frontier
        self._times = CommitTimes()
        self._times.start(status.frontier, self._clock.now_ms())
        self._answers: dict[str, asyncio.Future[Outcome]] = {}  # by cause_id
        self._waiters: set[_Waiter] = set()
        self._decisions = Decisions(reader)
        self._seconds_per_command = 0.001
        self._started_s = time.monotonic()
        self._stopped = ""

    # Writing ---------------------------------------------------------------------------------------

    async def submit(self, command: Command) -> Outcome:
        """Carry out a command; returns when it is durable or refused. Raises Overloaded, NodeStopped."""
        return (await self.submit_many([command]))[0]

    async def submit_many(self, commands: list[Command]) -> list[Outcome]:
        """The same for several independent commands, handed over together. All are taken, or none: Overloaded."""
        if not commands:
            return []
        self._refuse_when_stopped()
        loop = asyncio.get_running_loop()
        waiting: dict[str, asyncio.Future[Outcome]] = {}
        distinct: list[Command] = []
        for command in commands:
            distinct.append(self._distinct(command, waiting))
            waiting[distinct[-1].cause_id] = loop.create_future()
        try:
            taken = self._inbox.offer_commands(distinct, [size_of(c) for c in distinct])
        except InboxClosed:
            raise NodeStopped(self._stopped or "it is stopping") from None
        if not taken:
            self._metrics.commands.labels("overloaded").inc(len(commands))
            raise Overloaded(self._retry_after_ms())
        self._answers.update(waiting)
        try:
            # Not `gather`: when the first fails all fail, and nothing here is a task that could be left behind.
            return [await future for future in waiting.values()]
        finally:
            for cause_id in waiting:
                self._answers.pop(cause_id, None)
            _forget(waiting.values())

    def _distinct(self, command: Command, taken: Container[str]) -> Command:
        """The command under a cause_id that no other waiting one has: callers may choose request ids, and repeat."""
        number, cause_id = 1, command.cause_id
        while cause_id in self._answers or cause_id in taken:
            number += 1
            cause_id = f"{command.cause_id}~{number}"
        return command if number == 1 else structs.replace(command, cause_id=cause_id)

    def _retry_after_ms(self) -> int:
        """About as long as what waits will take."""
        ms = self._inbox.waiting.commands * self._seconds_per_command * 1e3
        return int(min(max(ms, RETRY_MS_MIN), RETRY_MS_MAX))

    def _refuse_when_stopped(self) -> None:
        if self._stopped:
            raise NodeStopped(self._stopped)

    # Reading ---------------------------------------------------------------------------------------

    def reader(self) -> Reader:
        """The reader of the event loop thread."""
        return self._reader

    def frontier(self) -> Mapping[Origin, int]:
        """The frontier that reads see now."""
        return self._frontier

    async def reached(self, frontier: Mapping[Origin, int], timeout_s: float) -> bool:
        """Wait until reads see at least this frontier; False when time runs out first.

        Raises Overloaded when too many wait already, NodeStopped.
        """
        if covers(self._frontier, frontier):
            return True
        self._refuse_when_stopped()
        if timeout_s <= 0:
            return False
        if len(self._waiters) >= WAITERS_MAX:
            raise Overloaded(RETRY_MS_MAX)
        waiter = _Waiter(frontier, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter.reached
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
            _forget([waiter.reached])

    async def decided(self, claims: Iterable[ClaimId], timeout_s: float) -> bool:
        """Wait until none of the claims is tentative; False when time runs out first, or too many wait. Raises
        NodeStopped."""
        self._refuse_when_stopped()
        return await self._decisions.decided(claims, timeout_s)

    @asynccontextmanager
    async def feed(self) -> AsyncIterator[AsyncIterator[Committed]]:
        """Every commit from now on. Iterating raises FeedGap in a reader that is too slow, NodeStopped at the end."""
        reader = self._feed.join()
        try:
            yield reader
        finally:
            self._feed.leave(reader)

    # From the owner thread ---------------------------------------------------------------------------

    def take(self, drained: Drained) -> None:
        """What a drain brought. Reads already see it."""
        for committed in drained.committed:
            self._committed(committed, drained)
        for answered in drained.answered:
            self._answer(answered)
        for entry in drained.journaled:
            self._metrics.journal.labels(entry.event).inc()
            if entry.event == "seat_opened" and self._took_over(entry.fields):
                self._metrics.takeovers.inc()
            self._log(entry.level, entry.event, **_fields(entry.fields))
        if drained.status is not None:
            self._status = drained.status
            self._health.heard(drained.status)
        if drained.commands:
            each_s = drained.seconds / drained.commands
            self._seconds_per_command += MEAN_WEIGHT * (each_s - self._seconds_per_command)

    def _committed(self, committed: Committed, drained: Drained) -> None:
        self._frontier = committed.frontier
        self._times.committed(committed.frontier, drained.now_ms)
        self._measure(committed, drained)
        if self._log.wants("debug"):
            self._log("debug", "committed", **_trail(committed))
        self._feed.publish(committed)
        self._decisions.committed(committed)
        if self._waiters:
            for waiter in [w for w in self._waiters if covers(self._frontier, w.frontier)]:
                self._waiters.discard(waiter)
                if not waiter.reached.done():
                    waiter.reached.set_result(True)

    def _measure(self, committed: Committed, drained: Drained) -> None:
        metrics, own = self._metrics, self._status.origin
        metrics.commits.inc()
        metrics.commit_seconds.observe(drained.seconds)
        metrics.commit_changes.observe(len(committed.entries))
        stamps = [entry.stamp for entry in committed.entries]
        local = sum([1 for stamp in stamps if stamp.origin == own])
        metrics.changes_local.inc(local)
        metrics.changes_remote.inc(len(committed.entries) - local)
        now_ms = self._clock.now_ms()
        # The last of each origin stands for what came with it.
        for stamp in {stamp.origin: stamp for stamp in stamps}.values():
            if stamp.origin != own:
                metrics.delay.observe(max(0, now_ms - ms_of(stamp.hlc)) / 1e3)
        metrics.displaced.inc(sum(1 for c in committed.claims if c.state == "displaced"))
        made = [d for d in committed.claims if is_decision(d)]
        for state, count in Counter([d.state for d in made]).items():
            metrics.decided.labels(state.value).inc(count)
        for decided in made:
            stamp = decided.claim.stamp
            if stamp.origin == own:
                metrics.decision_seconds.observe(max(0, now_ms - ms_of(stamp.hlc)) / 1e3)

    def _took_over(self, opened: Mapping[str, Any]) -> bool:
        """Whether we opened a term after somebody else's, or our own."""
        return opened.get("holder") == self._status.origin and opened.get("term", 0) > 1

    def _answer(self, answered: Answered) -> None:
        outcome = answered.outcome
        kind = "accepted" if isinstance(outcome, Accepted) else "refused"
        kind = "replayed" if isinstance(outcome, Replayed) else kind
        self._metrics.commands.labels(kind).inc()
        future = self._answers.pop(answered.cause_id, None)
        if future is not None and not future.done():  # else the client has gone
            future.set_result(outcome)

    def end_streams(self, reason: str) -> None:
        """The node will stop: readers of the feed and whoever waits for a frontier are told; writes still go on."""
        self._feed.end(reason)
        waiters = list(self._waiters)
        self._waiters.clear()
        _fail([waiter.reached for waiter in waiters], reason)
        _fail(self._decisions.end(), reason)

    def stop(self, reason: str) -> None:
        """The node stops or has failed: everybody who waits is told, and nothing more is taken."""
        self._stopped = self._stopped or reason
        self.end_streams(reason)
        answers = list(self._answers.values())
        self._answers.clear()
        _fail(answers, reason)

    # What others may know ------------------------------------------------------------------------------

    def status(self) -> NodeStatus:
        """This node and its peers, as of the last tick; times are of now."""
        status, now_ms = self._status, self._clock.now_ms()
        return NodeStatus(
            name=self.name,
            origin=status.origin,
            cluster=self.cluster,
            health=self._health.name,
            ready=self._health.ready,
            frontier=self._frontier,
            digest=status.root.text(),
            records=status.root.live,
            queue=self._inbox.waiting.commands,
            queue_max=self._inbox.capacity,
            uptime_s=time.monotonic() - self._started_s,
            release=__version__,
            peers=tuple([self._peer(peer, now_ms) for peer in status.peers]),
            quarantined=status.quarantined,
            problems=self._health.problems(status),
            seating=status.seating,
        )

    def _peer(self, peer: PeerView, now_ms: int) -> PeerStatus:
        oldest = self._times.oldest_missing_ms(peer.frontier)
        return PeerStatus(
            name=peer.name,
            origin=peer.origin,
            alive=peer.alive,
            health=peer.health if peer.alive else "lost",
            frontier=peer.frontier,
            behind=distance(peer.frontier, self._frontier),
            ahead=distance(self._frontier, peer.frontier),
            lag_ms=lag_ms(oldest, peer.alive, peer.heard_ms, now_ms),
            clock_offset_ms=peer.clock_offset_ms,
            digest=peer.root.text(),
            records=peer.sessions,
            api_url=peer.api_url,
            release=peer.release,
            heard_ms_ago=float(now_ms - peer.heard_ms) if peer.heard_ms else -1.0,
        )

    def now_ms(self) -> int:
        """Unix ms of this node's clock."""
        return self._clock.now_ms()

    def new_id(self) -> str:
        """A fresh UUIDv7."""
        return uuid7(self._clock.now_ms(), os.urandom(10))

    def log(self, level: str, event: str, **fields: Any) -> None:
        """One structured log line."""
        self._log(level, event, **fields)


def size_of(command: Command) -> int:
    """About how many bytes a command keeps alive while it waits."""
    try:
        return len(msgspec.msgpack.encode(command.body)) + 256
    except (TypeError, ValueError, OverflowError, RecursionError):
        return UNSIZED_BYTES


def _fail(futures: Iterable[asyncio.Future[Any]], reason: str) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(NodeStopped(reason))


def _forget(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Whoever waited is gone: an exception that nobody will look at is no news."""
    for future in futures:
        if not future.cancel() and not future.cancelled():
            future.exception()


def _trail(committed: Committed) -> dict[str, Any]:
    """What a commit consisted of, by the ids that its changes carry on every node."""
    batches = dict.fromkeys(f"{e.stamp.origin}/{e.seq}" for e in committed.entries)
    causes = dict.fromkeys(e.cause_id for e in committed.entries)
    return {
        "changes": len(committed.entries),
        "batches": list(batches)[:TRAIL_MAX],
        "cause_ids": list(causes)[:TRAIL_MAX],
    }


def _fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Circumstances under names that the log keeps for itself are written under others."""
    return {
        f"{k}_" if k in ("level", "event", "node", "timestamp") else k: v for k, v in fields.items()
    }
