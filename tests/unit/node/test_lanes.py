"""Lanes: a slow peer holds up nobody, and what it has no room for is dropped visibly."""

from __future__ import annotations

import os
import threading

import pytest

from konkordat.kernel.ids import NodeName
from konkordat.node.lanes import LANE_BYTES_MAX, LANE_MESSAGES_MAX, Lanes
from konkordat.wire.codec import FRAME_BYTES_MAX, Codec
from konkordat.wire.messages import Goodbye, Page
from support.node import eventually

GENEVA, BASEL = NodeName("geneva"), NodeName("basel")


class Scene:
    def __init__(self) -> None:
        self.codec = Codec("summit", NodeName("zurich"))
        self.sent: list[tuple[NodeName, str]] = []
        self.drops: list[tuple[str, NodeName]] = []
        self.stuck: NodeName | None = None
        self.moves = threading.Event()
        self.at_it = threading.Event()
        self.lanes = Lanes(
            lambda: Codec("summit", NodeName("zurich")),
            self.put,
            lambda reason, peer, _detail: self.drops.append((reason, peer)),
        )

    def put(self, peer: NodeName, frame: bytes) -> None:
        if peer == self.stuck:
            self.at_it.set()
            assert self.moves.wait(10)
        decoded = self.codec.decode(frame)
        assert decoded is not None
        message = decoded[1]
        self.sent.append((peer, message.reason if isinstance(message, Goodbye) else "page"))


def test_what_is_sent_to_a_peer_arrives_in_order() -> None:
    scene = Scene()
    for n in range(20):
        scene.lanes.send(GENEVA, Goodbye(str(n)))
    eventually(lambda: len(scene.sent) == 20)
    assert scene.sent == [(GENEVA, str(n)) for n in range(20)]
    scene.lanes.close(10)


def test_a_stuck_peer_holds_up_nobody_else_and_its_lane_is_bounded() -> None:
    scene = Scene()
    scene.stuck = GENEVA
    scene.lanes.send(GENEVA, Goodbye("first"))
    assert scene.at_it.wait(10)
    for n in range(LANE_MESSAGES_MAX + 10):
        scene.lanes.send(GENEVA, Goodbye(str(n)))
    assert scene.drops == [("lane_full", GENEVA)] * 10
    scene.lanes.send(BASEL, Goodbye("quick"))
    eventually(lambda: scene.sent == [(BASEL, "quick")])
    scene.moves.set()
    eventually(lambda: len(scene.sent) == LANE_MESSAGES_MAX + 2)
    scene.lanes.close(10)


def test_a_lane_is_bounded_by_bytes_too() -> None:
    scene = Scene()
    scene.stuck = GENEVA
    scene.lanes.send(GENEVA, Goodbye("first"))
    assert scene.at_it.wait(10)
    page = Page(1, (bytes(LANE_BYTES_MAX // 3),), more=False)
    for _ in range(4):
        scene.lanes.send(GENEVA, page)
    assert scene.drops == [("lane_full", GENEVA)] * 2
    scene.moves.set()
    scene.lanes.close(10)


def test_what_waits_for_a_peer_that_left_is_forgotten() -> None:
    scene = Scene()
    scene.stuck = GENEVA
    scene.lanes.send(GENEVA, Goodbye("first"))
    assert scene.at_it.wait(10)
    scene.lanes.send(GENEVA, Goodbye("second"))
    scene.lanes.forget(GENEVA)
    scene.stuck = None
    scene.lanes.send(GENEVA, Goodbye("after its return"))
    eventually(lambda: (GENEVA, "after its return") in scene.sent)
    scene.moves.set()
    eventually(lambda: (GENEVA, "first") in scene.sent)
    assert (GENEVA, "second") not in scene.sent
    scene.lanes.close(10)


def test_a_message_that_fits_no_frame_is_dropped_and_the_lane_goes_on() -> None:
    scene = Scene()
    scene.lanes.send(GENEVA, Page(1, (os.urandom(FRAME_BYTES_MAX),), more=False))
    scene.lanes.send(GENEVA, Goodbye("next"))
    eventually(lambda: scene.sent == [(GENEVA, "next")])
    assert scene.drops == [("too_large", GENEVA)]
    scene.lanes.close(10)


def test_an_idle_lane_ends_and_the_next_message_starts_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("konkordat.node.lanes.IDLE_S", 0.01)
    scene = Scene()
    scene.lanes.send(GENEVA, Goodbye("first"))
    eventually(lambda: not any(t.name == "lane-geneva" for t in threading.enumerate()))
    scene.lanes.send(GENEVA, Goodbye("second"))
    eventually(lambda: scene.sent == [(GENEVA, "first"), (GENEVA, "second")])
    scene.lanes.close(10)
