"""What waits to be sent on one open connection: bounded in number and bytes, and never waited for by anybody else."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

FRAMES_MAX: Final = 4_096
BYTES_MAX: Final = 4 << 20  # what a slow reader costs; ordinary ones have a few frames waiting
LOW_WATER_FRAMES: Final = FRAMES_MAX // 4  # below these, catching up from the log goes on
LOW_WATER_BYTES: Final = BYTES_MAX // 4


class Outbox:
    """Frames for one connection. On the event loop only.

    Changes, and whatever must keep its place among them, go out in order and within the window that the reader has
    opened. Answers are urgent: they pass the changes and need no window, so that a reader may wait for one before it
    acknowledges the others.
    """

    __slots__ = ("_bytes", "_changed", "_ordered", "_urgent", "_window", "closing", "is_full")

    def __init__(self, window: int | None = None) -> None:
        self._ordered: deque[tuple[bytes, bool]] = (
            deque()
        )  # and whether it takes a place in the window
        self._urgent: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._window = window  # changes that may still be sent; None: as many as there are
        self.is_full = False  # a frame was dropped, and none is taken any more
        self.closing = False

    def put(self, frame: bytes, *, counts: bool = False) -> bool:
        """Queue a frame in order. False, now and ever after, once there was no room."""
        if self._takes(frame):
            self._ordered.append((frame, counts))
            return True
        return False

    def put_urgent(self, frame: bytes) -> bool:
        """Queue an answer."""
        if self._takes(frame):
            self._urgent.append(frame)
            return True
        return False

    def _takes(self, frame: bytes) -> bool:
        if self.is_full or self.closing:
            return False
        waiting = len(self._ordered) + len(self._urgent)
        # A single frame of whatever size passes, or it could never be sent.
        self.is_full = waiting >= FRAMES_MAX or bool(
            waiting and self._bytes + len(frame) > BYTES_MAX
        )
        self._changed.set()
        if not self.is_full:
            self._bytes += len(frame)
        return not self.is_full

    def open_window(self, more: int) -> None:
        """The reader has taken in so many changes."""
        if self._window is not None:
            self._window += more
            self._changed.set()

    def set_window(self, size: int) -> None:
        """From now on only so many changes are sent ahead of their acknowledgement."""
        self._window = size

    def close(self) -> None:
        """No more comes; what waits is still sent."""
        self.closing = True
        self._changed.set()

    async def get(self) -> list[bytes]:
        """What may be sent, as soon as there is something; empty when no more will come."""
        while True:
            frames = self._take_all()
            if frames or self.is_full or self.closing:
                return frames
            self._changed.clear()
            await self._changed.wait()

    def _take_all(self) -> list[bytes]:
        frames = list(self._urgent)
        self._urgent.clear()
        ordered = self._ordered
        while ordered:
            frame, counts = ordered[0]
            if counts and self._window is not None:
                if self._window <= 0:
                    break
                self._window -= 1
            frames.append(frame)
            ordered.popleft()
        self._bytes -= sum(map(len, frames))
        self._changed.set()  # whoever waits for room looks again
        return frames

    async def room(self) -> bool:
        """Wait until much of the queue is sent. False when the connection is going to be closed."""
        while len(self._ordered) > LOW_WATER_FRAMES or self._bytes > LOW_WATER_BYTES:
            if self.is_full or self.closing:
                return False
            self._changed.clear()
            await self._changed.wait()
        return not (self.is_full or self.closing)
