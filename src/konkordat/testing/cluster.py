"""A whole cluster in one process: real replicas, real codec, real stores, and everything around them simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.digest import summary_of
from konkordat.kernel.frontier import joined
from konkordat.kernel.hlc import Hlc, ms_of
from konkordat.kernel.ids import NodeName, Origin
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record
from konkordat.replica.messages import PeerJoined, PeerLeft
from konkordat.replica.rosters import decided_before
from konkordat.replica.seat_log import rosters_before
from konkordat.store.port import RecordWrite, Store, WriteSet
from konkordat.testing import history as past
from konkordat.testing.disk import MemoryDisk
from konkordat.testing.domain import trial_tenant
from konkordat.testing.frames import Frames
from konkordat.testing.network import Network
from konkordat.testing.options import NODES, Options
from konkordat.testing.process import Process
from konkordat.testing.randomness import Source
from konkordat.testing.recorder import Recorder
from konkordat.testing.rulings import lives_by_majority
from konkordat.testing.runlog import Log
from konkordat.testing.timeline import US_PER_MS, Timeline
from konkordat.testing.workloads import WORKLOADS

LEASE_US: Final = 1_000_000  # after which a link notices that its other end is gone
NOTICE_US: Final = 20_000  # after which it notices that it is there
UNTOLD_WAIT_US: Final = (
    3_000_000  # how long a node on an old copy is kept from clients while it hears its peers
)
LOOK_US: Final = 50_000
# Without a commit, after which nobody is about to decide anything: longer than a takeover by the last in order takes.
SILENCE_US: Final = 10_000_000
WARP_OVER_MS: Final = 1_000  # stamps further ahead than this are waited for by a leap of time


class Cluster:
    """Nodes, lines, clocks and disks of one run. Clients and faults act on it."""

    def __init__(
        self,
        options: Options,
        show: Callable[[str], None] | None = None,
        disk: Callable[[NodeName], MemoryDisk] = MemoryDisk,
    ) -> None:
        self.options = options
        self.timeline = Timeline()
        self.log = Log(self.timeline, show)
        self.seen: Counter[str] = Counter()  # situations that a campaign must have met
        self.faults: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()  # of operations, by how they ended
        self.history: past.History = []
        self.workload = WORKLOADS[options.domain](options)
        self.domain = self.workload.domain
        self.policies = Policies()
        self.names = [NodeName(name) for name in NODES[: options.nodes]]
        self.tenants = [trial_tenant(n) for n in range(options.tenants)]
        self.members = tuple(self.names[: options.members]) or None
        self.rogues: list[Origin] = []
        self.over = False  # clients begin nothing any more
        self.client_loss = 0.0
        self.disks_changed = 0
        self.slept_us = 0  # time in which nobody did anything
        self.agreed_after_us = -1  # the last fault; -1 = never
        self._source = Source(f"cluster/{options.seed}")
        self.network = Network(
            self.names, self.timeline, self._source.fork("network"), self._deliver
        )
        self.frames = Frames()
        self.recorder = Recorder(self)
        self.processes = {
            name: Process(disk(name), self, self._source.fork(f"process/{name}"))
            for name in self.names
        }
        self._blocked: set[NodeName] = set()
        self._holders: dict[str, tuple[int, Origin]] = {}
        self._joined = {(a, b): False for a in self.names for b in self.names if a != b}
        for process in self.processes.values():
            self.recorder.watch(process)

    # World of the processes ----------------------------------------------------------------------

    def _deliver(self, sender: NodeName, receiver: NodeName, frame: bytes) -> None:
        self.processes[receiver].receive(sender, frame)

    def stopped(self, process: Process, why: str, unexpected: bool) -> None:
        """It stopped by itself. An operator looks, and starts it again: on a lost past as a new incarnation."""
        self.recorder.stopped(process, why, unexpected)
        self.seen[f"stopped by {why.partition(':')[0]}"] += 1
        self._blocked.discard(process.name)
        if why.startswith("PowerLost") and process.disk.lose_power():
            self.seen["unsynced commits lost"] += 1
        if why.startswith("OwnHistoryLostError"):
            process.disk.mint(process.clock.machine_ms(self.timeline.now_ms))
        self.links_changed()
        self.start_later(process, self._source.randint(1, 1_000_000))

    def opened(self, seat: str, term: int, holder: Origin) -> None:
        """A process tells who holds a seat; late tellings of earlier terms change nothing."""
        self._holders[seat] = max(self._holders.get(seat, (0, holder)), (term, holder))

    def holds(self, origin: Origin) -> frozenset[str]:
        """The seats that this origin holds, as far as anybody told."""
        return frozenset(seat for seat, (_, holder) in self._holders.items() if holder == origin)

    def request_key(self, tenant: str, credential: str, request: str) -> str:
        """What an idempotency key is remembered by; as the API scopes it."""
        return f"{tenant}/{credential}/{request}"

    # Processes -----------------------------------------------------------------------------------

    def start(self, process: Process) -> None:
        if process.up:
            return
        process.start()
        self.recorder.started(process)
        self._joined.update({pair: False for pair in self._joined if pair[0] == process.name})
        self.links_changed()

    def start_later(self, process: Process, wait_us: int) -> None:
        self.timeline.after(wait_us, self.start, process)

    def stop(self, process: Process, why: str) -> None:
        """A fault ends a process."""
        if not process.up:
            return
        process.die()
        if process.disk.lose_power():
            self.seen["unsynced commits lost"] += 1
        self._blocked.discard(process.name)
        self.recorder.stopped(process, why)
        self.links_changed()

    def open_to_clients(self, process: Process) -> bool:
        return process.up and process.name not in self._blocked

    # Disks ---------------------------------------------------------------------------------------

    def change_disk(self, process: Process, why: str, backup: int, wait_us: int) -> None:
        """Another content by the book: stopped, replaced, a new incarnation, started again."""
        self.stop(process, why)
        self._replace(process, why, backup)
        self.mint(process)
        self.start_later(process, wait_us)

    def spoil(self, process: Process, record: Record) -> None:
        """Put a record on a disk behind its process's back, which then starts anew on it."""
        before = process.disk.content().load([record.key]).get(record.key)
        if before is None or before == record:
            return
        self.stop(process, "spoilt")
        write = RecordWrite(
            record, summary_of(before), summary_of(record), self.domain.parent(record)
        )
        process.disk.put(WriteSet(Hlc(0), records=(write,)))
        self.history.append(past.Spoilt(self.timeline.now_us, process.name, record.key))
        self.log.line(process.name, f"has {record.key.id} spoilt")
        self.start_later(process, LOOK_US)

    def mint(self, process: Process) -> None:
        """What `konkordat restore` does."""
        process.disk.mint(process.clock.machine_ms(self.timeline.now_ms))

    def restore_untold(self, process: Process, backup: int) -> None:
        """An old content under the old incarnation; kept from clients until its peers had their say."""
        self.stop(process, "restored untold")
        self._replace(process, "restored untold", backup)
        self._blocked.add(process.name)
        self.start(process)
        self.timeline.after(
            UNTOLD_WAIT_US, self._believe, process, process.disk.origin, len(self.names) - 1
        )

    def _believe(self, process: Process, origin: Origin, others: int) -> None:
        """By now it has heard every peer, or its operator makes sure by a new incarnation."""
        if process.name not in self._blocked or process.disk.origin != origin:
            return
        replica = process.replica
        heard = replica.status(process.now_ms()).peers if replica is not None else ()
        if sum(peer.alive for peer in heard) < others:
            self.stop(process, "told after all")
            self.mint(process)
            self.start_later(process, LOOK_US)
        self._blocked.discard(process.name)

    def _replace(self, process: Process, why: str, backup: int) -> None:
        process.disk.restore(backup)
        self.disks_changed += 1
        elsewhere: dict[Origin, int] = {}
        for other in self.processes.values():
            if other is not process:
                elsewhere = joined(elsewhere, other.disk.frontier())
        self.history.append(
            past.DiskChanged(
                self.timeline.now_us,
                process.name,
                why,
                process.disk.frontier(),
                elsewhere,
            )
        )
        self.log.line(process.name, f"disk {why}: {backup} commits left")

    # Links ---------------------------------------------------------------------------------------

    def links_changed(self) -> None:
        """Links notice, after a while, who is there."""
        self.timeline.after(NOTICE_US, self._look, True)
        self.timeline.after(LEASE_US, self._look, False)

    def _look(self, appeared: bool) -> None:
        """Tell processes of peers that appeared, or that are gone."""
        for (here, there), was in self._joined.items():
            observer, subject = self.processes[here], self.processes[there]
            now = observer.up and subject.up and self.network.connected(here, there)
            if now == was or now != appeared:
                continue
            self._joined[here, there] = now
            if observer.up:
                observer.tell(PeerJoined(there) if now else PeerLeft(there))

    def is_split(self) -> bool:
        """True if some node does not reach another."""
        return any(line.cut or line.clogged for line in self.network.lines.values())

    # Time ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        if self.members is not None:
            self.history.append(past.Constituted(self.timeline.now_us, self.members))
        for process in self.processes.values():
            self.start(process)

    def heal(self) -> None:
        """The last fault is over: lines, clocks and processes are as they should be."""
        self.network.heal()
        self.client_loss = 0.0
        for process in self.processes.values():
            process.clock.offset_ms = 0
            process.disk.fail_no_more()
            if process.paused:
                process.resume()
            ahead = process.up and process.now_ms() > self.timeline.now_ms + WARP_OVER_MS
            if ahead:  # its operator sees that it runs ahead of its machine
                self.stop(process, "clock corrected")
            self.start(process)
        self.links_changed()
        self.history.append(past.Healed(self.timeline.now_us))
        self.log.line("cluster", "healed")

    def await_agreement(self) -> bool:
        """Let time pass until all nodes agree, or the deadline is over; stamps far ahead are waited for by leaps."""
        began_us = self.awake_us
        until = began_us + self.options.deadline_ms * US_PER_MS
        while self.awake_us < until:
            self.timeline.run_for(LOOK_US)
            if self.agree():
                self.agreed_after_us = self.awake_us - began_us
                self.history.append(past.Agreed(self.timeline.now_us))
                self.log.line("cluster", "agrees")
                return True
            self._wait_for_stamps()
        why = self.disagreement()
        self.history.append(past.GaveUp(self.timeline.now_us, why))
        self.log.line("cluster", f"does not agree: {why}")
        return False

    def await_decisions(self) -> None:
        """Let time pass until no claim waits for its decision any more, or nobody says anything of it."""
        until = self.awake_us + self.options.deadline_ms * US_PER_MS
        last_us, commits = self.awake_us, 0
        while self.awake_us < until and self._undecided():
            self._wait_for_stamps()  # until then nodes write nothing, and so decide nothing
            made = sum(len(process.disk.commits) for process in self.processes.values())
            if made != commits:
                last_us, commits = self.awake_us, made
            elif self.awake_us - last_us > SILENCE_US:
                self.log.line("cluster", "leaves claims undecided")
                return
            self.timeline.run_for(LOOK_US)

    def _undecided(self) -> bool:
        """True if a node still tells of a tentative claim, and there is who could decide it."""
        stores = [process.store for process in self.processes.values() if process.store]
        if not stores or not self._majority_lives(stores[0]):
            return False
        return any(
            decided.state is ClaimState.TENTATIVE and decided.claim.quantity
            for store in stores
            for decided in store.every_claim()
        )

    def _majority_lives(self, store: Store) -> bool:
        rosters = [*rosters_before(store), *decided_before(store)]
        living = {process.disk.origin for process in self.processes.values()}
        return bool(rosters) and lives_by_majority(rosters[-1].members, living)

    @property
    def awake_us(self) -> int:
        """How long the world was awake until now."""
        return self.timeline.now_us - self.timeline.start_us - self.slept_us

    def sleep(self, ms: int) -> None:
        """Time passes for everybody, and nobody does anything in it."""
        self.log.line("cluster", f"sleeps for {ms} ms")
        self.timeline.leap(ms * US_PER_MS)
        self.slept_us += ms * US_PER_MS

    def _wait_for_stamps(self) -> None:
        """Leap to where time has come up with the stamps that a wrong clock put far ahead."""
        ahead_ms = self._stamped_ahead_ms()
        if ahead_ms > WARP_OVER_MS:
            self.log.line("cluster", f"waits {ahead_ms} ms for stamps that are ahead")
            self.seen["waited for stamps from the future"] += 1
            self.sleep(ahead_ms)

    def _stamped_ahead_ms(self) -> int:
        latest = [p.disk.commits[-1].hlc for p in self.processes.values() if p.disk.commits]
        return max((ms_of(hlc) for hlc in latest), default=0) - self.timeline.now_ms

    def agree(self) -> bool:
        """True when all nodes run, and have the same frontier and digest."""
        states = []
        for process in self.processes.values():
            if process.replica is None:
                return False
            states.append(process.replica.standing)
        return all(state == states[0] for state in states)

    def dissolve(self) -> None:
        """The run is over. Its parts know of each other; apart from each other they are freed at once, without a
        collector that must find them first."""
        for process in self.processes.values():
            process.disk.release()
        vars(self).clear()

    def disagreement(self) -> str:
        """What differs, for people."""
        told = []
        for process in self.processes.values():
            if process.replica is None:
                told.append(f"{process.name} is down")
                continue
            status = process.replica.status(process.now_ms())
            frontier = " ".join(f"{o}:{s}" for o, s in sorted(status.frontier.items()))
            aside = dict(status.quarantined) or ""
            told.append(f"{process.name} {status.root.text()} {frontier} {aside}")
        return " | ".join(told)
