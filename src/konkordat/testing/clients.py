"""Clients of a simulated cluster: they write, read, wait, lose patience and ask somewhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from konkordat.kernel.change import RequestMark
from konkordat.kernel.claim import DecidedClaim
from konkordat.kernel.frontier import joined
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.replica.messages import Accepted, Command, Outcome, Replayed
from konkordat.testing.history import Asked, Read, Sight, Told
from konkordat.testing.process import Process
from konkordat.testing.randomness import Source
from konkordat.testing.timeline import US_PER_MS
from konkordat.testing.workbench import digest16
from konkordat.testing.workloads import Writer

if TYPE_CHECKING:
    from konkordat.testing.cluster import Cluster

PATIENCE_US: Final = 1_500_000  # then a client asks again, elsewhere
TRIES_MAX: Final = 4
READ_WAIT_US: Final = 400_000  # as `Prefer: wait` would ask for
WAY_US: Final = 2_000  # from a client to its node, typically
REFUSALS_BEFORE_FORGETTING: Final = 12  # a token that names what a lost disk had can never be met


class Request(msgspec.Struct):
    """A write on its way through tries."""

    kind: str
    body: Any
    keys: tuple[RecordKey, ...]
    request: str  # idempotency key; "" for none
    dry_run: bool = False
    tries: int = 0
    first_node: str = ""
    done: bool = False
    text: str = ""  # what distinguishes its body

    def __post_init__(self) -> None:
        self.text = repr(self.body)


class Client:
    """One client of one tenant, with a session of its own."""

    def __init__(self, number: int, cluster: Cluster, source: Source) -> None:
        self.name = f"client{number}"
        self.tenant = cluster.tenants[number % len(cluster.tenants)]
        self.token: dict[Origin, int] = {}
        self.left = cluster.options.operations // cluster.options.clients
        self._cluster = cluster
        self._workload = cluster.workload
        self._source = source
        self._home = source.choice(cluster.names)
        self._last_home = self._home
        self._number = 0
        self.touched: list[RecordKey] = []  # records it wrote, each once
        self._used: list[Request] = []  # requests that were answered, for trying their keys again
        self._refused_reads = 0

    # The session ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first of a tenant's clients makes what the others refer to."""
        first = self._workload.prepare(self._source, self.writer())
        if first is not None:
            self._try(Request("prepare", first.body, first.keys, "prepare"))
        else:
            self._later()

    def _later(self) -> None:
        """The next operation, after a while."""
        options = self._cluster.options
        think_us = options.think_ms * US_PER_MS
        if options.same_millisecond:  # all clients act at the same moments
            now = self._cluster.timeline.now_us
            wait = think_us - (now - self._cluster.timeline.start_us) % think_us
        else:
            wait = self._source.delay_us(think_us)
        self._cluster.timeline.after(wait, self._next)

    def _next(self) -> None:
        if self.left <= 0 or self._cluster.over:
            self.left = 0
            return
        self.left -= 1
        self._number += 1
        if self._source.chance(0.05):
            self._home = self._source.choice(self._cluster.names)
        kind = self._source.weighted(self._workload.mix)
        if kind == "read":
            self.read(self._workload.some_key(self._source, self.tenant), self._later)
        elif kind == "trespass":
            self._cluster.seen["foreign id tried"] += 1
            self.read(self._workload.foreign_key(self._source, self.tenant), self._later)
        else:
            self._try(self._request(kind))

    # What is asked -------------------------------------------------------------------------------

    def _request(self, kind: str) -> Request:
        source = self._source
        # Clients choose what they like: the same keys as others do.
        key = f"order-{self._number}" if source.chance(0.85) else ""
        if kind == "misuse" and self._used:
            before = source.choice(self._used)
            work = self._workload.another(source, self.writer(), before.keys[0])
            return Request("misuse", work.body, work.keys, before.request)
        work = self._workload.draw(kind, source, self.writer(), key)
        return Request(kind, work.body, work.keys, key, dry_run=kind == "rehearse")

    def writer(self) -> Writer:
        """What marks the next value as ours."""
        return Writer(self.tenant, self.name, self._number)

    # Writing -------------------------------------------------------------------------------------

    def _try(self, request: Request) -> None:
        """Send it to a node, or give up."""
        request.tries += 1
        if request.tries > (TRIES_MAX if request.request else 1):
            self._cluster.counts["unknown"] += 1
            request.done = True
            self._later()
            return
        process = self._node()
        request.first_node = request.first_node or process.name
        cause = f"{self.name}/{self._number}/{request.tries}"
        self._cluster.timeline.after(
            self._source.delay_us(WAY_US), self._arrive, request, process, cause
        )
        self._cluster.timeline.after(PATIENCE_US, self._impatient, request, request.tries)
        self._asked(request, process, cause)

    def _asked(self, request: Request, process: Process, cause: str) -> None:
        keys = " ".join(key.id for key in request.keys)
        self._cluster.log.line(self.name, f"asks {process.name} to {request.kind} {keys}")
        self._cluster.history.append(
            Asked(
                self._cluster.timeline.now_us,
                self.name,
                cause,
                process.name,
                self.tenant,
                "rehearse" if request.dry_run else request.kind,
                request.keys,
                f"{self.name}/{request.request}" if request.request else "",
                request.text,
            )
        )

    def _node(self) -> Process:
        if self._home != self._last_home:
            self._last_home = self._home
            if self.token:
                self._cluster.seen["session moved to another node"] += 1
        return self._cluster.processes[self._home]

    def _arrive(self, request: Request, process: Process, cause: str) -> None:
        if request.done or not self._reaches(process):
            return
        mark = self._mark(request)
        command = Command(cause, f"key:{self.name}", request.body, "", mark, request.dry_run)
        tries = request.tries
        process.submit(
            command, lambda outcome: self._answer(request, tries, process, cause, outcome)
        )

    def _mark(self, request: Request) -> RequestMark | None:
        if not request.request:
            return None
        key = self._cluster.request_key(self.tenant, self.name, request.request)
        return RequestMark(digest16(key), digest16(request.text))

    def _reaches(self, process: Process) -> bool:
        """Clients' requests get lost too, and a dead node or one that is kept from clients takes none."""
        return self._cluster.open_to_clients(process) and not self._lost()

    def _lost(self) -> bool:
        return self._source.chance(self._cluster.client_loss)

    def _answer(
        self, request: Request, tries: int, process: Process, cause: str, outcome: Outcome
    ) -> None:
        if self._lost():
            self._cluster.seen["answer lost on its way to the client"] += 1
            return
        wait = self._source.delay_us(WAY_US)
        self._cluster.timeline.after(wait, self._told, request, tries, process, cause, outcome)

    def _impatient(self, request: Request, tries: int) -> None:
        if not request.done and request.tries == tries:
            self._home = self._source.choice(self._cluster.names)
            self._try(request)

    def _told(
        self, request: Request, tries: int, process: Process, cause: str, outcome: Outcome
    ) -> None:
        told = told_of(self._cluster.timeline.now_us, self.name, cause, process, outcome)
        self._cluster.history.append(told)
        self._cluster.log.line(self.name, f"is told {told.outcome} by {process.name} of {cause}")
        self._cluster.counts[told.outcome.partition(":")[0]] += 1
        self._cluster.seen[f"told {told.outcome}"] += 1
        if not isinstance(outcome, Refusal) and not request.dry_run:
            self.token = joined(self.token, outcome.frontier)
        if isinstance(outcome, Replayed):
            where = "elsewhere" if process.name != request.first_node else "by the same node"
            self._cluster.seen[f"repeated request recognised {where}"] += 1
        if request.done or request.tries != tries:
            return
        if isinstance(outcome, Refusal) and outcome.retry_after_ms:
            self._home = self._source.choice(self._cluster.names)
            self._cluster.timeline.after(
                outcome.retry_after_ms * US_PER_MS, self._impatient, request, tries
            )
            return
        request.done = True
        if not isinstance(outcome, Refusal) and not request.dry_run:
            self.touched += [key for key in request.keys if key not in self.touched]
            if request.request:
                self._used.append(request)
        self._later()

    # Reading -------------------------------------------------------------------------------------

    def read(self, key: RecordKey, then: Callable[[], None]) -> None:
        """Read with the session's token; then go on, whatever came of it."""
        process = self._node()
        token = dict(self.token)
        going = [True]

        def shown(
            record: Record | None,
            frontier: Mapping[Origin, int],
            claims: tuple[DecidedClaim, ...],
        ) -> None:
            if going[0]:
                going[0] = False
                self._shown(key, process, token, record, frontier, claims)
                then()

        def impatient() -> None:
            if going[0]:
                going[0] = False
                self._home = self._source.choice(self._cluster.names)
                then()

        self._cluster.timeline.after(PATIENCE_US, impatient)
        if self._cluster.open_to_clients(process):
            process.read(key, token, READ_WAIT_US, shown)

    def _shown(
        self,
        key: RecordKey,
        process: Process,
        token: Mapping[Origin, int],
        record: Record | None,
        frontier: Mapping[Origin, int],
        claims: tuple[DecidedClaim, ...],
    ) -> None:
        refused = not frontier and bool(token)
        sight = None if refused else sight_of(key, record)
        self._cluster.history.append(
            Read(
                self._cluster.timeline.now_us,
                self.name,
                process.name,
                self.tenant,
                token,
                sight,
                frontier,
                claims,
            )
        )
        self._cluster.log.line(self.name, f"reads {key.id} at {process.name}: {_brief(sight)}")
        self._cluster.counts["reads refused" if refused else "reads"] += 1
        if not refused:
            self._refused_reads = 0
            self.token = joined(self.token, frontier)
            return
        self._cluster.seen["read refused: node is behind"] += 1
        self._refused_reads += 1
        self._home = self._source.choice(self._cluster.names)
        if self._refused_reads >= REFUSALS_BEFORE_FORGETTING and self._cluster.disks_changed:
            self._cluster.seen["token given up after a disk was lost"] += 1
            self.token, self._refused_reads = {}, 0


class Loader:
    """Writes a lot at one node that is cut off from the others, which have to catch up with it afterwards."""

    PER_TURN: Final = 40
    TURN_US: Final = 20_000

    def __init__(self, cluster: Cluster, source: Source) -> None:
        self._cluster = cluster
        self._source = source
        self._number = 0
        self.left = 0  # writes that are still to come

    def begin(self, count: int) -> None:
        """Cut a node off, and write."""
        self.left = count
        cluster = self._cluster
        process = cluster.processes[self._source.choice(cluster.names)]
        for other in cluster.names:
            if other != process.name:
                cluster.network.cut(process.name, other)
                cluster.network.cut(other, process.name)
        cluster.links_changed()
        cluster.log.line("loader", f"cuts {process.name} off for {count} writes")
        self._turn(process)

    def _turn(self, process: Process) -> None:
        cluster = self._cluster
        if self.left <= 0 or not process.up:
            self.left = 0
            for other in cluster.names:
                if other != process.name:
                    cluster.network.mend(process.name, other)
                    cluster.network.mend(other, process.name)
            cluster.links_changed()
            return
        for _ in range(min(self.PER_TURN, self.left)):
            self._write(process)
        self.left -= self.PER_TURN
        cluster.timeline.after(self.TURN_US, self._turn, process)

    def _write(self, process: Process) -> None:
        self._number += 1
        cause = f"loader/{self._number}"
        tenant = self._cluster.tenants[0]
        work = self._cluster.workload.load(Writer(tenant, "loader", self._number))
        now = self._cluster.timeline.now_us
        self._cluster.history.append(
            Asked(now, "loader", cause, process.name, tenant, "put", work.keys, "", repr(work.body))
        )
        command = Command(cause, "key:loader", work.body)
        process.submit(command, lambda outcome: self._told(process, cause, outcome))

    def _told(self, process: Process, cause: str, outcome: Outcome) -> None:
        now = self._cluster.timeline.now_us
        self._cluster.seen["backlog"] += isinstance(outcome, Accepted)
        self._cluster.history.append(told_of(now, "loader", cause, process, outcome))


def sight_of(key: RecordKey, record: Record | None) -> Sight:
    """What a reader is shown."""
    if record is None:
        return Sight(key, 0)
    stamps = {str(g): r.stamp for g, r in record.fields.items()}
    values = {str(g): r.value for g, r in record.fields.items()}
    return Sight(key, record.life, stamps, values)


def told_of(at_us: int, client: str, cause: str, process: Process, outcome: Outcome) -> Told:
    """An outcome as the history keeps it."""
    name = process.name
    match outcome:
        case Accepted(stamp=stamp, records=records, frontier=frontier, claims=claims):
            sights = tuple([sight_of(r.key, r) for r in records])
            return Told(
                at_us, client, cause, name, "accepted", stamp, sights, dict(frontier), claims
            )
        case Replayed(keys=keys, frontier=frontier):
            shown = process.store.load(keys) if process.store is not None else {}
            sights = tuple([sight_of(key, shown.get(key)) for key in keys])
            return Told(at_us, client, cause, name, "replayed", None, sights, dict(frontier))
        case Refusal(code=code, conflicts=conflicts):
            owners = tuple([Sight(claim.id.owner, 1) for claim in conflicts])
            return Told(at_us, client, cause, name, f"refused:{code}", None, owners)


def _brief(sight: Sight | None) -> str:
    if sight is None:
        return "not yet"
    return f"life {sight.life} {sorted(sight.stamps)}"
