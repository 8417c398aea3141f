"""Lanes: what is sent to one peer each waits in a queue of its own, so that a slow peer holds up nobody else.

A page may be a megabyte, and sending it waits while the peer's line is full. That waiting happens on the lane's
thread. A full lane drops what is new: whoever asked asks again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from konkordat.kernel.ids import NodeName
from konkordat.wire.codec import Codec
from konkordat.wire.errors import WireError
from konkordat.wire.messages import Message, Page, Push

LANE_MESSAGES_MAX: Final = 64  # a peer has one pull per origin open, and asks again if unanswered
LANE_BYTES_MAX: Final = 8 << 20  # eight of the largest pages
LANES_MAX: Final = 64  # as many as there may be peers
IDLE_S: Final = 30.0  # then the thread ends; the next message starts one
SMALL_BYTES: Final = 1_024  # what is counted for a message without bodies

Put = Callable[[NodeName, bytes], None]
OnDrop = Callable[[str, NodeName, str], None]  # reason, peer, detail


def weight_of(message: Message) -> int:
    """About how many bytes a message keeps alive while it waits."""
    if isinstance(message, Page | Push):
        return SMALL_BYTES + sum(len(body) for body in message.bodies)
    return SMALL_BYTES


class Lane:
    """The queue of one peer and the thread that empties it."""

    def __init__(self, peer: NodeName, codec: Codec, put: Put, on_drop: OnDrop) -> None:
        self._peer = peer
        self._codec = codec
        self._put = put
        self._on_drop = on_drop
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._changed = threading.Condition(threading.Lock())
        self._over = False
        self._thread = threading.Thread(target=self._run, name=f"lane-{peer}", daemon=True)
        self._thread.start()

    def offer(self, message: Message) -> bool:
        """Queue a message. False when the lane has ended: make a new one. A full lane drops it, visibly."""
        size = weight_of(message)
        with self._changed:
            if self._over:
                return False
            if len(self._waiting) < LANE_MESSAGES_MAX and self._bytes + size <= LANE_BYTES_MAX:
                self._waiting.append(message)
                self._bytes += size
                self._changed.notify()
                return True
        self._on_drop("lane_full", self._peer, type(message).__name__)
        return True

    def end(self) -> None:
        """Forget what waits; the thread ends after what it is sending."""
        with self._changed:
            self._over = True
            self._waiting.clear()
            self._changed.notify()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (message := self._next()) is not None:
            try:
                self._put(self._peer, self._codec.encode(message))
            except WireError as error:
                self._on_drop("too_large", self._peer, str(error))

    def _next(self) -> Message | None:
        with self._changed:
            if not self._waiting and not self._over:
                self._changed.wait(IDLE_S)
            if not self._waiting:
                self._over = True
                return None
            message = self._waiting.popleft()
            self._bytes -= weight_of(message)
            return message


class Lanes:
    """The lanes of a node. `send` and `forget` may be called from every thread."""

    def __init__(self, make_codec: Callable[[], Codec], put: Put, on_drop: OnDrop) -> None:
        self._make_codec = make_codec
        self._put = put
        self._on_drop = on_drop
        self._lock = threading.Lock()
        self._lanes: dict[NodeName, Lane] = {}

    def send(self, peer: NodeName, message: Message) -> None:
        """Queue a message for a peer; never waits."""
        with self._lock:
            lane = self._lanes.get(peer)
            if lane is None and len(self._lanes) >= LANES_MAX:
                self._on_drop("too_many_peers", peer, type(message).__name__)
                return
            if lane is None or not lane.offer(message):
                lane = self._lanes[peer] = Lane(peer, self._make_codec(), self._put, self._on_drop)
                lane.offer(message)

    def forget(self, peer: NodeName) -> None:
        """The peer is gone: what waits for it is of no use."""
        with self._lock:
            lane = self._lanes.pop(peer, None)
        if lane is not None:
            lane.end()

    def close(self, timeout_s: float) -> None:
        """End all lanes and wait for their threads, each at most `timeout_s`."""
        with self._lock:
            lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.end()
        for lane in lanes:
            lane.join(timeout_s)
