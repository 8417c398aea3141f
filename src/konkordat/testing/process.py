"""A node's process in a simulation: what `konkordat.node` does with threads and sockets, done in virtual time.

Inputs wait in a bounded inbox; a drain hands all of them to the real replica, which commits; what it wants done is done
some time later, so that a process can die in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Protocol, assert_never

from konkordat.kernel.claim import Claim, ClaimId, DecidedClaim
from konkordat.kernel.frontier import covers
from konkordat.kernel.ids import NodeName, Origin, RecordKey
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record
from konkordat.kernel.seat import SeatId
from konkordat.replica.admission import OwnHistoryLostError
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
    PeerJoined,
    PeerLeft,
    Received,
    Sent,
    Tick,
)
from konkordat.replica.replica import Replica
from konkordat.replica.seat_log import DECISIONS
from konkordat.replica.settings import TICK_MS, ReplicaSettings
from konkordat.store.port import CorruptStoreError, Reader, Store, StoreWriteError
from konkordat.testing.clock import SkewedClock
from konkordat.testing.disk import MemoryDisk, PowerLost
from konkordat.testing.frames import CLUSTER, Frames
from konkordat.testing.network import Network
from konkordat.testing.options import Options
from konkordat.testing.randomness import Source
from konkordat.testing.runlog import Log
from konkordat.testing.timeline import US_PER_MS, Timeline
from konkordat.wire.codec import Codec
from konkordat.wire.errors import WireError
from konkordat.wire.messages import Message, Page

DRAIN_INPUTS_MAX: Final = 512  # as in production
INBOX_MESSAGES_MAX: Final = 4_096
COMMIT_US: Final = 500  # typical: a sync of an SSD
THINK_US: Final = 30  # of a drain that commits nothing
READ_TRY_US: Final = 25_000  # between looks whether a node has caught up with a token

Answer = Callable[[Outcome], None]
Shown = Callable[[Record | None, Mapping[Origin, int], tuple[DecidedClaim, ...]], None]


class World(Protocol):
    """What processes share."""

    timeline: Timeline
    network: Network
    frames: Frames
    log: Log
    seen: Counter[str]
    domain: Domain
    policies: Policies
    members: tuple[NodeName, ...] | None
    options: Options

    def stopped(self, process: Process, why: str, unexpected: bool) -> None:
        """A process ended by itself."""

    def opened(self, seat: str, term: int, holder: Origin) -> None:
        """A process tells who holds a seat."""

    def holds(self, origin: Origin) -> frozenset[str]:
        """The seats that this origin holds, as far as anybody told."""


class Process:
    """One node."""

    def __init__(self, disk: MemoryDisk, world: World, source: Source) -> None:
        self.name: NodeName = disk.node
        self.disk = disk
        self.clock = SkewedClock()
        self.replica: Replica | None = None
        self.store: Store | None = None
        self._reads: Reader | None = None
        self.paused = False
        self.inbox_most = 0  # the fullest it has been
        self.fate: Callable[[], None] | None = (
            None  # what befalls it between its next commit and the answers
        )
        self._world = world
        self._source = source
        self._codec = Codec(CLUSTER, self.name)
        self._life = 0  # what was planned in an earlier life does not happen
        self._inbox: list[Input] = []
        self._answers: dict[str, Answer] = {}
        self._planned = False  # a drain is on the timeline
        self._busy_until_us = 0
        self._ticking = False  # a tick waits in the inbox
        self._stopped_midway: list[list[Effect]] = []  # committed, and paused before it was told
        self._held_seats: frozenset[str] = frozenset()  # when it was paused

    # Life ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process on what the disk has."""
        assert self.replica is None
        timeline = self._world.timeline
        self._life += 1
        self.clock.restart(timeline.now_ms)
        self.store = self.disk.open()
        self.replica = self._replica_on(self.store)
        self._codec = Codec(CLUSTER, self.name)
        self._inbox, self._answers, self._stopped_midway = [], {}, []
        self._planned = self._ticking = self.paused = False
        self._busy_until_us = 0
        self.fate = None
        timeline.after(self._source.randrange(TICK_MS * US_PER_MS), self._tick, self._life)

    def _replica_on(self, store: Store) -> Replica:
        settings = ReplicaSettings(
            CLUSTER,
            api_url=f"sim://{self.name}",
            started_ms=self.now_ms(),
            members=self._world.members,
            connects=True,
            seats=self._world.options.patience,
        )
        return Replica(store, self._world.domain, self._world.policies, settings)

    def forgotten(self) -> tuple[str, ...]:
        """What a new process on this disk would know otherwise of the places that are taken."""
        if self.replica is None or self.store is None:
            return ()
        now, then = places_of(self.replica), places_of(self._replica_on(self.store))
        differing = sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key))
        return tuple(
            [
                f"{id} at {seat}: {now.get((seat, id))}, then {then.get((seat, id))}"
                for seat, id in differing
            ]
        )

    def die(self) -> None:
        """The process is gone, with everything that was only in its memory."""
        assert self.replica is not None
        self._life += 1
        if self._reads is not None:
            self._reads.close()
        self.replica = self.store = self._reads = None
        self._inbox, self._answers = [], {}
        self._world.network.close(self.name)

    def pause(self) -> None:
        """As SIGSTOP does: nothing happens, what arrives waits."""
        self.paused = True
        self._held_seats = self._world.holds(self.disk.origin)

    def resume(self) -> None:
        self.paused = False
        if self._held_seats - self._world.holds(self.disk.origin):
            self._world.seen["holder back from a pause, and followed"] += 1
        midway, self._stopped_midway = self._stopped_midway, []
        for effects in midway:
            self._perform(self._life, effects)
        self._wake()

    @property
    def up(self) -> bool:
        return self.replica is not None

    def now_ms(self) -> int:
        """The time as this process is told."""
        return self.clock.now_ms(self._world.timeline.now_ms)

    # What comes in -------------------------------------------------------------------------------

    def receive(self, sender: NodeName, frame: bytes) -> None:
        """A frame of a peer."""
        if self.replica is None:
            return
        try:
            decoded = self._world.frames.read(frame)
        except WireError as error:
            self._world.seen["frame refused"] += 1
            self._world.log.line(self.name, f"refused a frame of {sender}: {error}")
            return
        if decoded is None or decoded[0] != sender or len(self._inbox) >= INBOX_MESSAGES_MAX:
            self._world.seen["frame dropped at the door"] += 1
            return
        self._world.log.line(self.name, f"heard {sender} {type(decoded[1]).__name__} {len(frame)}")
        if isinstance(decoded[1], Page) and decoded[1].more:
            self._world.seen["page cut short"] += 1
        self._put(Received(sender, decoded[1]))

    def whisper(self, stranger: NodeName, message: Message) -> None:
        """A message of somebody who is no node of this simulation."""
        if self.replica is not None:
            self._put(Received(stranger, message))

    def tell(self, news: PeerJoined | PeerLeft) -> None:
        """The link's own knowledge of peers."""
        if self.replica is not None:
            self._put(news)

    def submit(self, command: Command, answer: Answer) -> None:
        """A client's write; `answer` is called if the process lives to answer it."""
        self._answers[command.cause_id] = answer
        self._put(command)

    def read(self, key: RecordKey, token: Mapping[Origin, int], wait_us: int, shown: Shown) -> None:
        """A client's read: shown once this node has what the token names; (None, {}) when it has not in time."""
        self._read(self._life, key, token, self._world.timeline.now_us + wait_us, shown)

    def _read(
        self, life: int, key: RecordKey, token: Mapping[Origin, int], until_us: int, shown: Shown
    ) -> None:
        if life != self._life or self.store is None:
            return
        if not self.paused:
            frontier = self._reader().frontier()
            if covers(frontier, token):
                claims = self._reader().claims_of([key]).get(key, ())
                shown(self._reader().load([key]).get(key), frontier, tuple(claims))
                return
            if self._world.timeline.now_us >= until_us:
                shown(None, {}, ())
                return
        self._world.timeline.after(READ_TRY_US, self._read, life, key, token, until_us, shown)

    def _reader(self) -> Reader:
        """Reads go around the replica, as in production."""
        if self._reads is None:
            assert self.store is not None
            self._reads = self.store.reader()
        return self._reads

    def _put(self, input_: Input) -> None:
        self._inbox.append(input_)
        self.inbox_most = max(self.inbox_most, len(self._inbox))
        self._wake()

    def _tick(self, life: int) -> None:
        if life != self._life:
            return
        if not self._ticking:
            self._ticking = True
            self._put(Tick())
        self._world.timeline.after(TICK_MS * US_PER_MS, self._tick, life)

    # What is done with it ------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._planned and self._inbox and not self.paused and self.replica is not None:
            self._planned = True
            wait = max(self._busy_until_us - self._world.timeline.now_us, 0) + THINK_US
            self._world.timeline.after(wait, self._drain, self._life)

    def _drain(self, life: int) -> None:
        if life != self._life:
            return
        self._planned = False
        if self.paused or self.replica is None:
            return
        inputs = self._inbox[:DRAIN_INPUTS_MAX]
        del self._inbox[:DRAIN_INPUTS_MAX]
        self._ticking = any(isinstance(i, Tick) for i in self._inbox)
        commits = len(self.disk.commits)
        try:
            effects = self.replica.handle(inputs, self.now_ms())
        except (PowerLost, StoreWriteError, OwnHistoryLostError, CorruptStoreError) as error:
            self._end(error, unexpected=False)
            return
        except Exception as error:  # noqa: BLE001 - a bug in a node is a finding, and not the end of the simulation
            self._end(error, unexpected=True)
            return
        timeline = self._world.timeline
        wait = THINK_US
        if len(self.disk.commits) > commits:
            wait = self._source.delay_us(COMMIT_US)
            if self.fate is not None:
                timeline.after(wait // 2, self.fate)
                self.fate = None
        self._busy_until_us = timeline.now_us + wait
        if effects:
            timeline.after(wait, self._perform, life, effects)
        self._wake()

    def _end(self, error: Exception, unexpected: bool) -> None:
        self.die()
        self._world.stopped(self, f"{type(error).__name__}: {error}", unexpected)

    def _perform(self, life: int, effects: list[Effect]) -> None:
        if life != self._life:
            self._world.seen["died between commit and answer"] += 1
            if any(isinstance(e, Committed) and _decides(e) for e in effects):
                self._world.seen["holder died between decision and answer"] += 1
            return
        if self.paused:
            self._world.seen["paused between commit and answer"] += 1
            self._stopped_midway.append(effects)
            return
        for effect in effects:
            match effect:
                case Answered(cause_id=cause, outcome=outcome):
                    answer = self._answers.pop(cause, None)
                    assert answer is not None, "each command is answered once"
                    answer(outcome)
                case Broadcast(message=message):
                    self._send(self._world.network.names, message)
                case Sent(peer=peer, message=message):
                    self._send([peer], message)
                case Committed():
                    pass  # the disk's watcher has told of it
                case Journaled(level=level, event=event, fields=fields):
                    self._world.seen[event] += 1
                    told = " ".join(f"{k}={v}" for k, v in fields.items())
                    self._world.log.line(self.name, f"{level} {event} {told}")
                    if event == "seat_opened":
                        self._world.opened(**fields)
                case _:
                    assert_never(effect)

    def _send(self, names: list[NodeName], message: Message) -> None:
        frame = self._codec.encode(message)
        network = self._world.network
        for name in names:
            if name != self.name and (self.name, name) in network.lines:
                network.send(self.name, name, frame)


def _decides(committed: Committed) -> bool:
    """True for a commit with decisions of the node's own."""
    return any(entry.key.collection == DECISIONS for entry in committed.entries)


def places_of(replica: Replica) -> dict[tuple[SeatId, ClaimId], Claim | None]:
    """Every place that is taken by what was decided so far, as a replica remembers it."""
    seating = replica._seating  # noqa: SLF001 - nobody else has a use for it
    if seating is None:
        return {}
    machine = seating.machine
    return {
        (seat, id): machine.held(seat, id) for seat in machine.ids for id in machine.all_held(seat)
    }
