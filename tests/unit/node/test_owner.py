"""The owner thread over a machine that a test plays: what it takes, performs, hands over, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from konkordat.kernel.digest import EMPTY
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin
from konkordat.kernel.refusal import Refusal
from konkordat.node import owner
from konkordat.node.clock import WallClock
from konkordat.node.drain import Drained
from konkordat.node.errors import ExitCode, NodeError
from konkordat.node.inbox import Inbox, InboxClosed, InboxLimits
from konkordat.node.owner import Owner
from konkordat.replica.admission import OwnHistoryLostError
from konkordat.replica.messages import (
    Answered,
    Broadcast,
    Command,
    Committed,
    Effect,
    Input,
    Journaled,
    Received,
    Sent,
    Tick,
)
from konkordat.replica.status import ReplicaStatus
from konkordat.store.port import StoreFullError, StoreWriteError
from konkordat.wire.messages import Goodbye, Message
from support.node import eventually

STATUS = ReplicaStatus(Origin("zurich.0"), Hlc(1), {}, EMPTY, False, (), {}, 0)


class Played:
    """A machine that answers every command, and keeps what it was given."""

    def __init__(self) -> None:
        self.handled: list[list[Input]] = []
        self.stopped = False
        self.before: Callable[[], None] = lambda: None

    def handle(self, inputs: Sequence[Input], now_ms: int) -> list[Effect]:
        self.before()
        self.handled.append(list(inputs))
        effects: list[Effect] = []
        for item in inputs:
            if isinstance(item, Command):
                effects.append(Broadcast(Goodbye(item.cause_id)))
                effects.append(Answered(item.cause_id, Refusal("played", "")))
        return effects

    def status(self, now_ms: int) -> ReplicaStatus:
        return STATUS

    def stop(self) -> list[Effect]:
        self.stopped = True
        return [Broadcast(Goodbye("stopped"))]

    def commands(self) -> list[str]:
        return [c.cause_id for batch in self.handled for c in batch if isinstance(c, Command)]


class Heard:
    """Links that keep what they were asked to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []

    def broadcast(self, message: Message) -> None:
        self.sent.append(("all", message))

    def send(self, peer: NodeName, message: Message) -> None:
        self.sent.append((peer, message))


class Scene:
    def __init__(self) -> None:
        self.machine, self.voice = Played(), Heard()
        self.inbox = Inbox(InboxLimits())
        self.drained: list[Drained] = []
        self.failures: list[NodeError] = []
        self.owner = Owner(
            self.machine,
            self.inbox,
            self.voice,
            WallClock(),
            self.drained.append,
            self.failures.append,
        )

    def ask(self, *cause_ids: str) -> None:
        commands = [Command(c, "tester", None) for c in cause_ids]
        assert self.inbox.offer_commands(commands, [1] * len(commands))

    def tell(self, *messages: str) -> None:
        for each in messages:
            assert self.inbox.offer_message(Received(NodeName("geneva"), Goodbye(each)), 1)

    def received(self) -> list[str]:
        inputs = [i for batch in self.machine.handled for i in batch]
        return [i.message.reason for i in inputs if isinstance(i, Received)]

    def answered(self) -> list[str]:
        return [a.cause_id for d in self.drained for a in d.answered]


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    assert made.owner.stop(10)


def test_what_came_before_the_start_is_one_commit(scene: Scene) -> None:
    scene.ask("a", "b", "c")
    scene.owner.start()
    eventually(lambda: scene.answered() == ["a", "b", "c"])
    assert [c.cause_id for c in scene.machine.handled[0] if isinstance(c, Command)] == [
        "a",
        "b",
        "c",
    ]
    assert scene.drained[0].commands == 3


def test_effects_are_performed_before_anybody_is_answered(scene: Scene) -> None:
    told: list[int] = []
    original = scene.voice.broadcast

    def broadcast(message: Message) -> None:
        told.append(len(scene.drained))
        original(message)

    scene.voice.broadcast = broadcast  # type: ignore[method-assign]
    scene.ask("a")
    scene.owner.start()
    eventually(scene.answered)
    assert told[0] == 0
    assert scene.voice.sent[0] == ("all", Goodbye("a"))


def test_each_kind_of_effect_goes_its_way(scene: Scene) -> None:
    geneva = NodeName("geneva")
    effects: list[Effect] = [Sent(geneva, Goodbye("page")), Journaled("info", "seen", {"n": 1})]
    scene.machine.handle = lambda inputs, now_ms: effects  # type: ignore[method-assign]
    scene.ask("a")
    scene.owner.start()
    drained = eventually(lambda: next((d for d in scene.drained if d.journaled), None))
    assert scene.voice.sent[0] == (geneva, Goodbye("page"))
    assert drained.journaled == (Journaled("info", "seen", {"n": 1}),)


def test_while_a_commit_takes_long_the_next_one_grows(scene: Scene) -> None:
    syncing, synced = threading.Event(), threading.Event()

    def slow() -> None:
        syncing.set()
        assert synced.wait(10)

    scene.machine.before = slow
    scene.owner.start()
    scene.ask("a")
    assert syncing.wait(10)
    for n in range(50):
        scene.ask(f"b{n}")
    synced.set()
    eventually(lambda: len(scene.answered()) == 51)
    sizes = [d.commands for d in scene.drained if d.commands]
    assert len(sizes) <= 3
    assert sum(sizes) == 51


def test_messages_come_together_after_a_commit_that_nobody_waits_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "RECEIVING_RESTS", 1e9)
    monkeypatch.setattr(owner, "RECEIVING_REST_S_MAX", 60.0)
    handle = scene.machine.handle

    def commits(inputs: Sequence[Input], now_ms: int) -> list[Effect]:
        return [*handle(inputs, now_ms), Committed((), (), {})]

    scene.machine.handle = commits  # type: ignore[method-assign]
    scene.tell("first")
    scene.owner.start()
    eventually(lambda: scene.drained)
    scene.tell("second", "third")
    scene.ask("a")  # ends the rest: a client waits
    eventually(scene.answered)
    together = next(batch for batch in scene.machine.handled if len(batch) > 2)
    assert [i.message.reason for i in together if isinstance(i, Received)] == ["second", "third"]
    assert any(isinstance(i, Command) for i in together)
    scene.tell("fourth")  # after a commit that was answered, nothing is held up
    eventually(lambda: "fourth" in scene.received())


def test_time_passes_without_work(scene: Scene) -> None:
    scene.owner.start()
    eventually(lambda: sum(Tick() in batch for batch in scene.machine.handled) >= 3)
    assert all(d.status == STATUS for d in scene.drained)


def test_at_a_stop_what_was_taken_is_carried_out_and_goodbye_is_said(scene: Scene) -> None:
    scene.ask(*[f"c{n}" for n in range(2_000)])
    scene.owner.start()
    assert scene.owner.stop(10)
    assert scene.machine.commands() == [f"c{n}" for n in range(2_000)]
    assert len(scene.answered()) == 2_000
    assert scene.voice.sent[-1] == ("all", Goodbye("stopped"))
    with pytest.raises(InboxClosed):
        scene.ask("late")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreWriteError("the disk failed"), ExitCode.STORE_FAILED),
        (StoreFullError("the disk is full"), ExitCode.STORE_FAILED),
        (OwnHistoryLostError(Origin("zurich.0"), 7, NodeName("geneva")), ExitCode.IDENTITY),
        (ZeroDivisionError("a defect"), ExitCode.SOFTWARE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_after_a_failure_nothing_is_answered_or_sent_any_more(
    scene: Scene, error: Exception, code: ExitCode
) -> None:
    def fail() -> None:
        raise error

    scene.machine.before = fail
    scene.ask("a")
    scene.owner.start()
    (failure,) = eventually(lambda: scene.failures)
    assert failure.exit_code == code
    assert str(error) in str(failure)
    assert failure.__cause__ is error
    assert scene.answered() == []
    assert scene.voice.sent == []
    with pytest.raises(InboxClosed):
        scene.ask("late")
    assert not scene.machine.stopped
