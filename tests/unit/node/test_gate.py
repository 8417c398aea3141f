"""The gate, with a test in the place of the owner thread."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import pytest

from konkordat.api.gate import FeedGap, Gate, NodeStopped, Overloaded
from konkordat.kernel.digest import EMPTY
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin
from konkordat.kernel.refusal import Refusal
from konkordat.node.drain import Drained
from konkordat.node.feed import Feed
from konkordat.node.gate import WAITERS_MAX, NodeGate, size_of
from konkordat.node.health import Health
from konkordat.node.inbox import Inbox, InboxLimits
from konkordat.replica.messages import Answered, Command, Committed, Journaled, Outcome
from konkordat.replica.status import PeerView, ReplicaStatus
from konkordat.store.memory import Data, MemoryStore
from support.node import KeptLog, ambient

pytestmark = pytest.mark.anyio

ZURICH, GENEVA = Origin("zurich.0"), Origin("geneva.0")
DONE = Refusal("played", "")


class Scene:
    def __init__(self, limits: InboxLimits | None = None, feed: Feed | None = None) -> None:
        self.inbox = Inbox(limits or InboxLimits())
        self.ambient = ambient()
        self.health = Health(has_peers_to_dial=False)
        self.health.opened()
        reader = MemoryStore(Data(NodeName("zurich"), ZURICH)).reader()
        status = ReplicaStatus(ZURICH, Hlc(1), {ZURICH: 1}, EMPTY, False, (), {}, 0)
        self.gate = NodeGate(
            "summit", status, self.inbox, reader, self.health, feed or Feed(10, 10), self.ambient
        )

    def take(
        self,
        answered: tuple[Answered, ...] = (),
        committed: tuple[Committed, ...] = (),
        journaled: tuple[Journaled, ...] = (),
        status: ReplicaStatus | None = None,
    ) -> None:
        now_ms = self.gate.now_ms()
        self.gate.take(
            Drained(answered, committed, journaled, status, 0.001, len(answered), now_ms)
        )

    def work(self) -> list[str]:
        """Do what waits; returns the cause ids in order."""
        ids = [c.cause_id for c in self.inbox.drain(0) if isinstance(c, Command)]
        self.take(tuple(Answered(id, Refusal(id, "")) for id in ids))
        return ids

    async def asked(self, *cause_ids: str) -> asyncio.Task[list[Outcome]]:
        task = asyncio.create_task(self.gate.submit_many([command(c) for c in cause_ids]))
        await asyncio.sleep(0)
        return task


def command(cause_id: str) -> Command:
    return Command(cause_id, "tester", {"title": "x"})


def committed(frontier: Mapping[Origin, int]) -> Committed:
    return Committed((), (), frontier)


def test_it_is_a_gate() -> None:
    gate: Gate = Scene().gate
    assert gate.name == "zurich"


async def test_each_command_gets_its_own_answer() -> None:
    scene = Scene()
    first, second = await scene.asked("a", "b"), await scene.asked("c")
    assert scene.work() == ["a", "b", "c"]
    assert [cast("Refusal", o).code for o in await first] == ["a", "b"]
    assert [cast("Refusal", o).code for o in await second] == ["c"]


async def test_requests_that_chose_the_same_id_do_not_get_each_others_answers() -> None:
    scene = Scene()
    first, second = await scene.asked("a", "a"), await scene.asked("a")
    ids = scene.work()
    assert len(set(ids)) == 3
    assert all(id.startswith("a") for id in ids)
    assert [cast("Refusal", o).code for o in await first + await second] == ids


async def test_a_client_that_left_is_not_waited_for() -> None:
    scene = Scene()
    task = await scene.asked("a")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert scene.work() == ["a"]  # what was asked is done all the same


async def test_a_full_inbox_says_when_to_come_again() -> None:
    scene = Scene(InboxLimits(commands_max=2))
    task = await scene.asked("a", "b")
    with pytest.raises(Overloaded) as caught:
        await scene.gate.submit(command("c"))
    assert 100 <= caught.value.retry_after_ms <= 5_000
    scene.work()
    await task
    again = await scene.asked("c")
    scene.work()
    assert await again


async def test_no_commands_are_no_work() -> None:
    assert await Scene().gate.submit_many([]) == []


async def test_when_the_node_fails_everybody_who_waits_is_told() -> None:
    scene = Scene()
    writing = await scene.asked("a", "b")
    reading = asyncio.create_task(scene.gate.reached({ZURICH: 9}, 60))
    await asyncio.sleep(0)
    scene.gate.stop("the disk failed")
    for task in (writing, reading):
        with pytest.raises(NodeStopped, match="the disk failed"):
            await task
    with pytest.raises(NodeStopped):
        await scene.gate.submit(command("c"))
    with pytest.raises(NodeStopped):
        await scene.gate.reached({ZURICH: 9}, 60)
    with pytest.raises(NodeStopped):
        async with scene.gate.feed():
            pass


async def test_a_closed_inbox_is_a_node_that_stops() -> None:
    scene = Scene()
    scene.inbox.close()
    with pytest.raises(NodeStopped):
        await scene.gate.submit(command("a"))


@pytest.mark.row("S0-10")
async def test_a_reader_waits_until_the_frontier_is_reached() -> None:
    scene = Scene()
    assert await scene.gate.reached({ZURICH: 1}, 0)
    assert not await scene.gate.reached({ZURICH: 2}, 0)
    assert not await scene.gate.reached({ZURICH: 2}, 0.01)
    waits = asyncio.create_task(scene.gate.reached({ZURICH: 2, GENEVA: 1}, 60))
    await asyncio.sleep(0)
    scene.take(committed=(committed({ZURICH: 2}),))
    await asyncio.sleep(0)
    assert not waits.done()
    scene.take(committed=(committed({ZURICH: 2, GENEVA: 1}),))
    assert await waits
    assert scene.gate.frontier() == {ZURICH: 2, GENEVA: 1}


async def test_not_everybody_may_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("konkordat.node.gate.WAITERS_MAX", 1)
    assert WAITERS_MAX > 1
    scene = Scene()
    waits = asyncio.create_task(scene.gate.reached({ZURICH: 2}, 60))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await scene.gate.reached({ZURICH: 2}, 60)
    scene.take(committed=(committed({ZURICH: 2}),))
    assert await waits


async def test_the_feed_brings_every_commit_from_its_beginning_on() -> None:
    scene = Scene()
    scene.take(committed=(committed({ZURICH: 2}),))
    async with scene.gate.feed() as feed:
        scene.take(committed=(committed({ZURICH: 3}), committed({ZURICH: 4})))
        assert [(await anext(feed)).frontier[ZURICH] for _ in range(2)] == [3, 4]
        later = asyncio.create_task(_next(feed))
        await asyncio.sleep(0)
        scene.take(committed=(committed({ZURICH: 5}),))
        assert (await later).frontier == {ZURICH: 5}


async def test_a_slow_reader_gets_what_it_has_room_for_and_then_the_gap() -> None:
    scene = Scene(feed=Feed(readers_max=2, commits_max=2))
    async with scene.gate.feed() as slow, scene.gate.feed() as quick:
        for n in range(2, 5):
            scene.take(committed=(committed({ZURICH: n}),))
            assert (await anext(quick)).frontier[ZURICH] == n
        assert [(await anext(slow)).frontier[ZURICH] for _ in range(2)] == [2, 3]
        with pytest.raises(FeedGap):
            await anext(slow)


async def test_readers_are_counted_and_let_go() -> None:
    scene = Scene(feed=Feed(readers_max=1, commits_max=2))
    for _ in range(3):
        async with scene.gate.feed():
            with pytest.raises(Overloaded):
                async with scene.gate.feed():
                    pass


async def test_a_reader_of_a_stopping_node_gets_what_there_is_and_then_the_end() -> None:
    scene = Scene()
    async with scene.gate.feed() as feed:
        scene.take(committed=(committed({ZURICH: 2}),))
        scene.gate.stop("stopping")
        assert (await anext(feed)).frontier == {ZURICH: 2}
        with pytest.raises(NodeStopped):
            await anext(feed)


@pytest.mark.row("S0-28")
async def test_status_tells_how_far_each_peer_is() -> None:
    scene = Scene()
    now_ms = scene.gate.now_ms()
    scene.take(status=ReplicaStatus(ZURICH, Hlc(1), {ZURICH: 1}, EMPTY, False, (), {}, 0))
    behind = peer("geneva", {ZURICH: 1, GENEVA: 3}, heard_ms=now_ms)
    lost = peer("basel", {}, heard_ms=0)
    scene.take(committed=(committed({ZURICH: 4, GENEVA: 1}),))
    scene.take(
        status=ReplicaStatus(ZURICH, Hlc(1), {ZURICH: 4}, EMPTY, False, (lost, behind), {}, 0)
    )
    status = scene.gate.status()
    basel, geneva = status.peers
    assert (geneva.name, geneva.behind, geneva.ahead) == ("geneva", 3, 2)
    assert geneva.health == "ready"
    assert basel.health == "lost"
    assert basel.heard_ms_ago == -1
    assert basel.lag_ms >= 0
    assert status.health == "ready"
    assert status.ready
    assert status.frontier == {ZURICH: 4, GENEVA: 1}
    assert status.problems == ("basel is not heard.",)
    assert status.queue_max == InboxLimits().commands_max


async def test_what_the_replica_journals_is_logged_and_counted() -> None:
    scene = Scene()
    scene.take(journaled=(Journaled("error", "origin_quarantined", {"event": 1, "why": "x"}),))
    log = cast("KeptLog", scene.ambient.log)
    assert log.lines == [("error", "origin_quarantined", {"event_": 1, "why": "x"})]
    value = scene.ambient.metrics.registry.get_sample_value(
        "konkordat_journal_events_total", {"event": "origin_quarantined"}
    )
    assert value == 1


async def test_numbers_for_prometheus_tell_of_peers_and_health() -> None:
    scene = Scene()
    far = peer("geneva", {}, heard_ms=1)
    scene.take(status=ReplicaStatus(ZURICH, Hlc(1), {}, EMPTY, False, (far,), {GENEVA: "why"}, 0))
    scene.ambient.metrics.watch(scene.gate.status, None)
    text = scene.ambient.metrics.render().decode()
    for line in (
        'konkordat_peer_behind_batches{peer="geneva"} 1.0',
        'konkordat_health{health="ready"} 1.0',
        "konkordat_quarantined_origins 1.0",
        "konkordat_inbox_commands_max 2048.0",
    ):
        assert line in text


def test_new_ids_differ() -> None:
    gate = Scene().gate
    assert len({gate.new_id() for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize("body", [object(), {1j: 2}, 1 << 80])
def test_what_cannot_be_measured_still_counts(body: Any) -> None:
    assert size_of(Command("a", "tester", body)) > 1_000


def peer(name: str, frontier: Mapping[Origin, int], heard_ms: int) -> PeerView:
    return PeerView(
        name=NodeName(name),
        origin=Origin(f"{name}.0"),
        joined=heard_ms > 0,
        alive=heard_ms > 0,
        heard_ms=heard_ms,
        clock_offset_ms=0,
        frontier=frontier,
        root=EMPTY,
        api_url="",
        release="",
        sessions=0,
        health="ready",
    )


async def _next(feed: Any) -> Committed:
    return cast("Committed", await anext(feed))
