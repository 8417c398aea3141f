"""Replicas on a table: a test decides what is delivered, when, and what gets lost.

Every message goes through the real codec. Nothing happens by itself, so a test reads as the story of one situation; the
simulated cluster is for stories that nobody thought of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from konkordat.kernel import canonical
from konkordat.kernel.change import RequestMark
from konkordat.kernel.ids import NodeName, Origin, RecordKey
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record
from konkordat.replica.domain import Domain
from konkordat.replica.messages import (
    Answered,
    Broadcast,
    Command,
    Committed,
    Effect,
    Input,
    Journaled,
    Outcome,
    Received,
    Sent,
    Tick,
)
from konkordat.replica.replica import Replica
from konkordat.replica.settings import TICK_MS, ReplicaSettings
from konkordat.testing.clock import ManualClock
from konkordat.testing.disk import Disk, MemoryDisk
from konkordat.testing.domain import TrialDomain
from konkordat.wire.codec import Codec
from konkordat.wire.messages import Message

CLUSTER: Final = "trial"
ROUNDS_MAX: Final = 400  # of ticks and deliveries in `settle`: twenty seconds of virtual time


class Frame(msgspec.Struct, frozen=True):
    """A message in flight."""

    sender: NodeName
    receiver: NodeName
    message: Message  # what the sender meant
    data: bytes  # what the receiver gets

    @property
    def kind(self) -> str:
        return type(self.message).__name__


class Bench:
    """One node on the table: a real replica, and all it ever said."""

    def __init__(
        self,
        disk: Disk,
        domain: Domain,
        cluster: str = CLUSTER,
        members: Sequence[NodeName] | None = None,
        clock: ManualClock | None = None,
    ) -> None:
        self.name = disk.node
        self.members = members
        self._clock = clock or ManualClock()
        self.disk = disk
        self.domain = domain
        self.cluster = cluster
        self.offset_ms = 0  # how wrong its clock is
        self.connects = False  # from its next start on: whether it is told that there are peers
        self.effects: list[Effect] = []
        self.start()

    def start(self) -> None:
        """A new process on the same disk."""
        self.store = self.disk.open()
        settings = ReplicaSettings(
            self.cluster,
            api_url=f"http://{self.name}",
            started_ms=self._clock.now_ms,
            members=None if self.members is None else tuple(self.members),
            connects=self.connects,
        )
        self.replica = Replica(self.store, self.domain, Policies(), settings)
        self.codec = Codec(self.cluster, self.name)

    def events(self, name: str = "") -> list[Journaled]:
        """What it journaled, of one name if given."""
        return [e for e in self.effects if isinstance(e, Journaled) and name in ("", e.event)]

    def feed(self) -> list[Committed]:
        return [e for e in self.effects if isinstance(e, Committed)]

    def record(self, key: RecordKey) -> Record | None:
        return self.store.load([key]).get(key)

    def values(self, key: RecordKey) -> dict[str, Any] | None:
        """What a reader sees: decoded groups of a living record, None of any other."""
        record = self.record(key)
        if record is None or not record.alive:
            return None
        return {str(g): canonical.decode(r.value) for g, r in sorted(record.fields.items())}

    def log(self, origin: Origin | None = None) -> list[bytes]:
        """The bodies it has of an origin (its own if none is named), in sequence."""
        rows = self.store.batches(origin or self.replica.origin, 0, 10_000, 1 << 40)
        return [row.body for row in rows]


class Workbench:
    """Some nodes and the messages between them."""

    def __init__(
        self,
        *names: str,
        domain: Callable[[], Domain] = TrialDomain,
        disk: Callable[[NodeName], Disk] = MemoryDisk,
        members: Sequence[str] | None = None,
    ) -> None:
        self.clock = ManualClock()
        roster = None if members is None else [NodeName(name) for name in members]
        self.nodes = {
            n: Bench(disk(NodeName(n)), domain(), members=roster, clock=self.clock) for n in names
        }
        self.flying: list[Frame] = []
        self._causes = 0

    def __getitem__(self, name: str) -> Bench:
        return self.nodes[name]

    # Acting --------------------------------------------------------------------------------------

    def do(self, name: str, *inputs: Input) -> list[Effect]:
        """Hand inputs to a node as one drain; what it sends is in flight afterwards."""
        node = self.nodes[name]
        effects = node.replica.handle(inputs, self.clock.now_ms + node.offset_ms)
        node.effects += effects
        for effect in effects:
            if isinstance(effect, Broadcast):
                self._send(node, self.nodes, effect.message)
            elif isinstance(effect, Sent):
                self._send(node, [effect.peer], effect.message)
        return effects

    def command(
        self,
        body: Any,
        key: str = "",
        request_body: str = "",
        actor: str = "key:1",
        dry_run: bool = False,
    ) -> Command:
        """A command with a cause of its own; `key` makes it a request with an idempotency key."""
        self._causes += 1
        mark = request_mark(key, request_body or repr(body)) if key else None
        return Command(f"cause-{self._causes}", actor, body, "", mark, dry_run)

    def write(self, name: str, body: Any, key: str = "", **more: Any) -> Outcome:
        """One command in a drain of its own; its outcome."""
        (outcome,) = self.write_all(name, [self.command(body, key, **more)])
        return outcome

    def write_all(self, name: str, commands: Iterable[Command]) -> list[Outcome]:
        """Several commands in one drain; their outcomes, in the order of the commands."""
        commands = list(commands)
        effects = self.do(name, *commands)
        outcomes = {e.cause_id: e.outcome for e in effects if isinstance(e, Answered)}
        assert len(outcomes) == len(commands), "each command is answered once"
        return [outcomes[c.cause_id] for c in commands]

    def _send(self, node: Bench, names: Iterable[str], message: Message) -> None:
        data = node.codec.encode(message)
        for name in names:
            if name != node.name and name in self.nodes:
                self.flying.append(Frame(node.name, NodeName(name), message, data))

    # Messages ------------------------------------------------------------------------------------

    def take(self, sender: str = "", receiver: str = "", kind: str = "") -> list[Frame]:
        """Take frames out of the air, oldest first; with no condition all of them."""
        taken: list[Frame] = []
        left: list[Frame] = []
        for frame in self.flying:
            wanted = sender in ("", frame.sender) and receiver in ("", frame.receiver)
            (taken if wanted and kind in ("", frame.kind) else left).append(frame)
        self.flying = left
        return taken

    def lose(self, sender: str = "", receiver: str = "", kind: str = "") -> int:
        """Frames that never arrive; how many."""
        return len(self.take(sender, receiver, kind))

    def deliver(self, *frames: Frame) -> None:
        """Hand these frames over, each in a drain of its own."""
        for frame in frames:
            decoded = self.nodes[frame.receiver].codec.decode(frame.data)
            assert decoded is not None
            self.do(frame.receiver, Received(*decoded))

    def deliver_together(self, *frames: Frame) -> None:
        """Hand these frames, all of one receiver, over in one drain."""
        (receiver,) = {frame.receiver for frame in frames}
        decoded = [self.nodes[receiver].codec.decode(frame.data) for frame in frames]
        self.do(receiver, *[Received(*message) for message in decoded if message is not None])

    def deliver_all(self) -> None:
        """Everything in flight, and what that causes, till the air is empty."""
        for _ in range(100_000):
            if not self.flying:
                return
            self.deliver(self.flying.pop(0))
        raise AssertionError("the nodes talk without end")

    # Time ----------------------------------------------------------------------------------------

    def tick(self, passed_ms: int = TICK_MS) -> None:
        """Let time pass, and tell every node."""
        self.clock.advance(passed_ms)
        for name in self.nodes:
            self.do(name, Tick())

    def settle(self, at_least_ms: int = 0) -> int:
        """Let time pass and messages flow until all nodes agree; how long that took in ms."""
        began = self.clock.now_ms
        for _ in range(ROUNDS_MAX):
            self.tick()
            self.deliver_all()
            passed = self.clock.now_ms - began
            if passed >= at_least_ms and self.agree():
                return passed
        raise AssertionError(f"no agreement: {self.frontiers()}")

    def agree(self) -> bool:
        """True when all nodes have the same frontier and the same digest."""
        states = [node.replica.status(self.clock.now_ms) for node in self.nodes.values()]
        first = states[0]
        return all(
            dict(s.frontier) == dict(first.frontier) and s.root == first.root for s in states
        )

    def frontiers(self) -> dict[str, Mapping[Origin, int]]:
        now = self.clock.now_ms
        return {name: node.replica.status(now).frontier for name, node in self.nodes.items()}


def request_mark(key: str, body: str) -> RequestMark:
    """A mark as the API would make it, of short texts."""
    return RequestMark(digest16(key), digest16(body))


def digest16(text: str) -> bytes:
    """16 bytes that stand for a text."""
    import hashlib

    return hashlib.blake2b(text.encode(), digest_size=16).digest()
