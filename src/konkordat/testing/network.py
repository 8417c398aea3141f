"""A network that does everything networks do: lose, repeat, reorder, delay, damage, cut off one way, and deliver what
was sent over a connection that is long closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from konkordat.kernel.ids import NodeName
from konkordat.testing.randomness import Source
from konkordat.testing.timeline import Timeline

HELD_MAX: Final = (
    2_000  # frames that a clogged line keeps; like a full socket it loses what comes after
)
LATE_US_MAX: Final = 6_000_000  # how much later a frame of a closed connection may turn up

Deliver = Callable[[NodeName, NodeName, bytes], None]


class Conditions(msgspec.Struct):
    """How a line between two nodes behaves, in one direction."""

    typical_us: int = 300  # loopback and a good LAN
    loss: float = 0.0
    duplicate: float = 0.0
    damage: float = 0.0  # a bit flips
    reorder: bool = False  # frames overtake each other; otherwise they arrive in order
    late: float = 0.0  # of the frames in flight when the line is cut, how many turn up after all
    bytes_per_s: int = 0  # 0 = as fast as one likes


class Line(msgspec.Struct):
    """One direction between two nodes."""

    sender: NodeName
    receiver: NodeName
    conditions: Conditions
    cut: bool = False
    clogged: bool = False
    connection: int = 0  # grows with each cut: what was sent before belongs to a closed connection
    free_us: int = 0  # when a line of limited speed has sent what it was given
    last_us: int = 0  # when the last frame arrives: in order means not before it
    held: list[bytes] = []


class Network:
    """All lines between some nodes."""

    def __init__(
        self, names: Sequence[NodeName], timeline: Timeline, source: Source, deliver: Deliver
    ) -> None:
        self.names = list(names)
        self.counts: Counter[str] = Counter()  # what happened to frames
        self._agenda = timeline
        self._source = source
        self._deliver = deliver
        self.lines = {
            (a, b): Line(a, b, Conditions()) for a in self.names for b in self.names if a != b
        }

    # Frames --------------------------------------------------------------------------------------

    def send(self, sender: NodeName, receiver: NodeName, frame: bytes) -> None:
        """Put a frame on its way, whatever becomes of it."""
        line = self.lines[sender, receiver]
        self.counts["sent"] += 1
        if line.cut:
            self.counts["cut off"] += 1
        elif line.clogged:
            self._hold(line, frame)
        else:
            self._carry(line, frame)

    def _hold(self, line: Line, frame: bytes) -> None:
        if len(line.held) < HELD_MAX:
            line.held.append(frame)
            self.counts["held up"] += 1
        else:
            self.counts["lost"] += 1

    def _carry(self, line: Line, frame: bytes) -> None:
        conditions, source = line.conditions, self._source
        if conditions.loss and source.chance(conditions.loss):
            self.counts["lost"] += 1
            return
        twice = bool(conditions.duplicate) and source.chance(conditions.duplicate)
        if conditions.damage and source.chance(conditions.damage):
            self.counts["damaged"] += 1
            frame = damaged(frame, source)
        self._plan(line, frame)
        if twice:
            self.counts["repeated"] += 1
            self._plan(line, frame)

    def _plan(self, line: Line, frame: bytes) -> None:
        now, conditions = self._agenda.now_us, line.conditions
        at = now + self._source.delay_us(conditions.typical_us)
        if conditions.bytes_per_s:
            busy = len(frame) * 1_000_000 // conditions.bytes_per_s
            line.free_us = max(line.free_us, now) + busy
            at += line.free_us - now
        if at >= line.last_us:
            line.last_us = at
        elif conditions.reorder:
            self.counts["reordered"] += 1
        else:
            at = line.last_us
        self._agenda.after(at - now, self._arrive, line, frame, line.connection)

    def _arrive(self, line: Line, frame: bytes, connection: int) -> None:
        if connection == line.connection:
            self.counts["arrived"] += 1
            self._deliver(line.sender, line.receiver, frame)
        elif self._source.chance(line.conditions.late):
            wait = self._source.randint(0, LATE_US_MAX)
            self._agenda.after(wait, self._arrive_late, line, frame)
        else:
            self.counts["cut off"] += 1

    def _arrive_late(self, line: Line, frame: bytes) -> None:
        if not line.cut:
            self.counts["late"] += 1
            self._deliver(line.sender, line.receiver, frame)

    # Faults --------------------------------------------------------------------------------------

    def cut(self, sender: NodeName, receiver: NodeName) -> None:
        """Nothing goes this way any more; what is in flight is lost, or comes late."""
        line = self.lines[sender, receiver]
        if not line.cut:
            line.cut = True
            self._close(line)

    def close(self, name: NodeName) -> None:
        """All connections of a node end, as when its process dies."""
        for line in self.lines.values():
            if name in (line.sender, line.receiver):
                self._close(line)

    def _close(self, line: Line) -> None:
        line.connection += 1
        line.last_us = 0
        line.free_us = 0
        line.held.clear()

    def mend(self, sender: NodeName, receiver: NodeName) -> None:
        self.lines[sender, receiver].cut = False

    def clog(self, sender: NodeName, receiver: NodeName) -> None:
        """Frames wait, in order, until the line is freed."""
        self.lines[sender, receiver].clogged = True

    def free(self, sender: NodeName, receiver: NodeName) -> None:
        line = self.lines[sender, receiver]
        line.clogged = False
        held, line.held = line.held, []
        for frame in held:
            self._carry(line, frame)

    def heal(self) -> None:
        """Every line as good as new."""
        for line in self.lines.values():
            line.cut = False
            line.conditions = Conditions()
            if line.clogged:
                self.free(line.sender, line.receiver)

    def connected(self, a: NodeName, b: NodeName) -> bool:
        """True when both directions work: what a link needs to stay up."""
        return not (self.lines[a, b].cut or self.lines[b, a].cut)


def damaged(frame: bytes, source: Source) -> bytes:
    """The frame with one bit flipped."""
    at = source.randrange(8 * len(frame)) if frame else 0
    changed = bytearray(frame)
    if changed:
        changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def pairs_between(
    one: Iterable[NodeName], other: Iterable[NodeName]
) -> list[tuple[NodeName, NodeName]]:
    """Both directions between two groups."""
    crossing = [(a, b) for a in one for b in other if a != b]
    return crossing + [(b, a) for a, b in crossing]
