"""What waits for the owner thread: bounded in number and bytes, commands and peers' messages apart.

Commands are refused when there is no room: the client is told and tries again. Messages of peers are dropped: what
they carried is pulled later. News of peers coming and going is always taken; there are few. So neither clients nor
peers can crowd the other out, and memory stays bounded.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from konkordat.replica.messages import Command, Input, PeerJoined, PeerLeft, Received

DRAIN_INPUTS_MAX: Final = 512  # one commit; more would make the first of them wait for the last
DRAIN_BYTES_MAX: Final = 4 << 20  # about what a commit may hold in memory several times over


class InboxLimits(msgspec.Struct, frozen=True):
    commands_max: int = 2_048
    command_bytes_max: int = 32 << 20
    messages_max: int = 4_096
    message_bytes_max: int = 64 << 20


class InboxClosed(Exception):
    """The owner takes no more work. Nothing was queued."""


class Waiting(NamedTuple):
    """How much waits."""

    commands: int
    messages: int
    bytes: int


class _Room:
    """A budget of items and bytes."""

    def __init__(self, items_max: int, bytes_max: int) -> None:
        self.items = 0
        self.bytes = 0
        self._items_max = items_max
        self._bytes_max = bytes_max

    def fits(self, items: int, size: int) -> bool:
        # An empty room takes anything, or one item over the limit of bytes would be refused for ever.
        within = self.items + items <= self._items_max and self.bytes + size <= self._bytes_max
        return within or self.items == 0

    def take(self, items: int, size: int) -> None:
        self.items += items
        self.bytes += size

    def free(self, size: int) -> None:
        self.items -= 1
        self.bytes -= size


class Inbox:
    """Safe to put into from every thread; one thread drains."""

    def __init__(self, limits: InboxLimits) -> None:
        self._limits = limits
        self._waiting: deque[tuple[Input, int]] = deque()
        self._commands = _Room(limits.commands_max, limits.command_bytes_max)
        self._messages = _Room(limits.messages_max, limits.message_bytes_max)
        self._closed = False
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        # Apart, so that who waits for commands is not woken by every message.
        self._commanded = threading.Condition(lock)

    def offer_commands(self, commands: Sequence[Command], sizes: Sequence[int]) -> bool:
        """Queue all of them, or none and return False when there is no room. Raises InboxClosed."""
        with self._changed:
            if self._closed:
                raise InboxClosed
            if not self._commands.fits(len(commands), sum(sizes)):
                return False
            self._commands.take(len(commands), sum(sizes))
            self._waiting.extend(zip(commands, sizes, strict=True))
            self._changed.notify()
            self._commanded.notify()
            return True

    def has_room_for_message(self, size: int) -> bool:
        """Whether a message of a peer is worth decoding."""
        return self._messages.fits(1, size)

    def offer_message(self, message: Received, size: int) -> bool:
        """Queue a message of a peer; False when there is no room: drop it."""
        with self._changed:
            if self._closed or not self._messages.fits(1, size):
                return False
            self._messages.take(1, size)
            self._waiting.append((message, size))
            self._changed.notify()
            return True

    def tell(self, news: PeerJoined | PeerLeft) -> None:
        """Queue news of a peer. Never refused; after closing it no longer matters."""
        with self._changed:
            if not self._closed:
                self._waiting.append((news, 0))
                self._changed.notify()

    def await_commands(self, timeout_s: float) -> None:
        """Let messages come in until a command waits, at most `timeout_s`."""
        with self._changed:
            if not self._commands.items and not self._closed:
                self._commanded.wait(timeout_s)

    def drain(self, timeout_s: float) -> list[Input]:
        """What waits, in order, up to what one commit should hold; waits for something at most `timeout_s`."""
        with self._changed:
            if not self._waiting and not self._closed and timeout_s > 0:
                self._changed.wait(timeout_s)
            drained: list[Input] = []
            size = 0
            while self._waiting and len(drained) < DRAIN_INPUTS_MAX and size <= DRAIN_BYTES_MAX:
                item, item_size = self._waiting.popleft()
                drained.append(item)
                size += item_size
                self._release(item, item_size)
            return drained

    def _release(self, item: Input, size: int) -> None:
        if isinstance(item, Command):
            self._commands.free(size)
        elif isinstance(item, Received):
            self._messages.free(size)

    def close(self) -> None:
        """Take nothing more. What waits can still be drained."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._commanded.notify_all()

    @property
    def closed(self) -> bool:
        """True once it takes nothing more."""
        return self._closed

    @property
    def waiting(self) -> Waiting:
        """A glance without the lock; the numbers may be of slightly different moments."""
        commands, messages = self._commands, self._messages
        return Waiting(commands.items, messages.items, commands.bytes + messages.bytes)

    @property
    def capacity(self) -> int:
        """How many commands may wait."""
        return self._limits.commands_max
