"""What goes wrong in a simulated cluster, and how it is put right.

Each fault is a function that does it and returns what undoes it; whatever is drawn comes from the source of faults
alone, so a run with other faults keeps everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from konkordat.kernel.ids import NodeName, RecordKey
from konkordat.store.port import PAGE_ROWS_MAX
from konkordat.testing import rogue
from konkordat.testing.disk import FAILURES
from konkordat.testing.history import Entry, FinalBatch
from konkordat.testing.network import Conditions, pairs_between
from konkordat.testing.oracle import entries_of, records_of
from konkordat.testing.process import Process
from konkordat.testing.randomness import Source
from konkordat.testing.timeline import US_PER_MS

if TYPE_CHECKING:
    from konkordat.testing.cluster import Cluster

Undo = Callable[[], None]
Fault = Callable[["Cluster", Source], Undo]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
UP_AGAIN_US: Final = 3_000_000  # a process that died is started again within this


def _nothing() -> None:
    """Some faults need no undoing: the cluster's own recovery is what is tested."""


# The network ------------------------------------------------------------------------------------


def _cut(cluster: Cluster, lines: Sequence[tuple[NodeName, NodeName]], source: Source) -> Undo:
    late = source.choice((0.0, 0.2))
    for sender, receiver in lines:
        cluster.network.lines[sender, receiver].conditions.late = late
        cluster.network.cut(sender, receiver)
    cluster.links_changed()

    def undo() -> None:
        for sender, receiver in lines:
            cluster.network.mend(sender, receiver)
        cluster.links_changed()

    return undo


def _halves(cluster: Cluster, source: Source) -> tuple[list[NodeName], list[NodeName]]:
    names = source.sample(cluster.names, len(cluster.names))
    at = source.randint(1, len(names) - 1)
    return names[:at], names[at:]


def split(cluster: Cluster, source: Source) -> Undo:
    """Two groups, and nothing between them."""
    one, other = _halves(cluster, source)
    return _cut(cluster, pairs_between(one, other), source)


def isolated(cluster: Cluster, source: Source) -> Undo:
    """One node alone."""
    alone = source.choice(cluster.names)
    return _cut(cluster, pairs_between([alone], cluster.names), source)


def one_way(cluster: Cluster, source: Source) -> Undo:
    """One group hears the other and is not heard."""
    one, other = _halves(cluster, source)
    return _cut(cluster, [(a, b) for a in one for b in other], source)


def bridge(cluster: Cluster, source: Source) -> Undo:
    """Two groups that only one node between them sees both of."""
    names = source.sample(cluster.names, len(cluster.names))
    at = source.randint(1, len(names) - 1)
    return _cut(cluster, pairs_between(names[1:at], names[at:]), source)


def flapping(cluster: Cluster, source: Source) -> Undo:
    """A split that comes and goes."""
    one, other = _halves(cluster, source)
    lines = pairs_between(one, other)
    going = [True]
    undo_last: list[Undo] = []

    def turn() -> None:
        if undo_last:
            undo_last.pop()()
        elif going[0]:
            undo_last.append(_cut(cluster, lines, source))
        if going[0]:
            cluster.timeline.after(source.randint(50_000, 800_000), turn)

    turn()

    def undo() -> None:
        going[0] = False
        if undo_last:
            undo_last.pop()()

    return undo


def clogged(cluster: Cluster, source: Source) -> Undo:
    """Nodes are clogged one after the other, and freed in another order."""
    names = source.some(cluster.names, 1, len(cluster.names) - 1)
    lines = [line for line in cluster.network.lines if line[0] in names]
    for line in lines:
        cluster.network.clog(*line)

    def undo() -> None:
        for line in source.sample(lines, len(lines)):
            cluster.network.free(*line)

    return undo


def _conditions(cluster: Cluster, source: Source, change: Callable[[Conditions], None]) -> Undo:
    """Change some of the lines."""
    lines = source.some(list(cluster.network.lines.values()), 1, len(cluster.network.lines))
    for line in lines:
        change(line.conditions)

    def undo() -> None:
        for line in lines:
            line.conditions = Conditions()

    return undo


def loss(cluster: Cluster, source: Source) -> Undo:
    """Frames vanish, a few or most."""
    share = source.choice((0.02, 0.2, 0.6))
    return _conditions(cluster, source, lambda c: setattr(c, "loss", share))


def duplicates(cluster: Cluster, source: Source) -> Undo:
    """Frames arrive twice."""
    share = source.choice((0.1, 0.9))
    return _conditions(cluster, source, lambda c: setattr(c, "duplicate", share))


def reordering(cluster: Cluster, source: Source) -> Undo:
    """Frames overtake each other."""

    def change(conditions: Conditions) -> None:
        conditions.reorder = True
        conditions.typical_us = 40_000

    return _conditions(cluster, source, change)


def slow(cluster: Cluster, source: Source) -> Undo:
    """Frames take long, up to most of a second."""
    typical_us = source.choice((20_000, 150_000, 900_000))
    return _conditions(cluster, source, lambda c: setattr(c, "typical_us", typical_us))


def narrow(cluster: Cluster, source: Source) -> Undo:
    """As slow as a line in the mountains."""
    speed = source.choice((4_000, 40_000, 400_000))
    return _conditions(cluster, source, lambda c: setattr(c, "bytes_per_s", speed))


def damage(cluster: Cluster, source: Source) -> Undo:
    """Bits flip on the way."""
    share = source.choice((0.02, 0.3))
    return _conditions(cluster, source, lambda c: setattr(c, "damage", share))


# Processes --------------------------------------------------------------------------------------


def _one_up(cluster: Cluster, source: Source) -> Process | None:
    running = [p for p in cluster.processes.values() if p.up]
    return source.choice(running) if running else None


def kill(cluster: Cluster, source: Source) -> Undo:
    """The process is gone; what was committed is on the disk. Sometimes nobody has been told of it yet."""
    process = _one_up(cluster, source)
    if process is None:
        return _nothing
    victim, wait_us = process, source.randint(1, UP_AGAIN_US)

    def strike() -> None:
        cluster.stop(victim, "killed")
        cluster.start_later(victim, wait_us)

    _now_or_between(victim, source, strike)
    return lambda: setattr(victim, "fate", None)


def _now_or_between(process: Process, source: Source, strike: Undo) -> None:
    """At once, or between the next commit and its answers."""
    if source.chance(0.5):
        process.fate = strike
    else:
        strike()


def power(cluster: Cluster, source: Source) -> Undo:
    """The power goes in the middle of a commit, or all of a sudden."""
    process = _one_up(cluster, source)
    if process is None:
        return _nothing
    how = source.choice((*(f for f in FAILURES if f.endswith("power")), "now"))
    if how == "now":
        cluster.stop(process, "lost power")
        cluster.start_later(process, source.randint(1, UP_AGAIN_US))
    else:
        process.disk.fail_next(how)
    return process.disk.fail_no_more


def io_error(cluster: Cluster, source: Source) -> Undo:
    """A commit is reported as failed. The node must stop acknowledging, whatever is on the disk."""
    process = _one_up(cluster, source)
    if process is None:
        return _nothing
    process.disk.fail_next(source.choice([f for f in FAILURES if f.endswith("error")]))
    return process.disk.fail_no_more


def pause(cluster: Cluster, source: Source) -> Undo:
    """A process stands still, and goes on as if nothing had been."""
    process = _one_up(cluster, source)
    if process is None:
        return _nothing
    paused = process
    _now_or_between(paused, source, paused.pause)

    def undo() -> None:
        paused.fate = None
        if paused.paused:
            paused.resume()

    return undo


# Clocks -----------------------------------------------------------------------------------------


def skew(cluster: Cluster, source: Source) -> Undo:
    """Clocks that differ by as much as clocks do."""
    for process in cluster.processes.values():
        process.clock.offset_ms = source.randint(-200, 200)
    return _nothing


def _jump(cluster: Cluster, source: Source, by_ms: int) -> Undo:
    process = source.choice(list(cluster.processes.values()))
    process.clock.offset_ms += source.choice((-by_ms, by_ms))

    def undo() -> None:
        process.clock.offset_ms = 0

    return undo


def jump(cluster: Cluster, source: Source) -> Undo:
    """A clock is set wrong by anything from a little to an hour."""
    return _jump(cluster, source, source.choice((300, 450, 600, 5_000, HOUR_MS)))


def jump_a_day(cluster: Cluster, source: Source) -> Undo:
    """A clock is set wrong by a day."""
    return _jump(cluster, source, DAY_MS)


# Disks ------------------------------------------------------------------------------------------


def disk_lost(cluster: Cluster, source: Source) -> Undo:
    """An empty disk in place of the old one, and a new incarnation."""
    process = source.choice(list(cluster.processes.values()))
    cluster.change_disk(process, "lost", 0, source.randint(1, UP_AGAIN_US))
    return _nothing


def restored(cluster: Cluster, source: Source) -> Undo:
    """An old backup is put back by the book: the incarnation is a new one."""
    process = source.choice(list(cluster.processes.values()))
    backup = source.randint(0, process.disk.backup())
    cluster.change_disk(process, "restored", backup, source.randint(1, UP_AGAIN_US))
    return _nothing


def restored_untold(cluster: Cluster, source: Source) -> Undo:
    """An old copy is put back without telling the program, which must find out. It can only where peers have what the
    node lost, and are heard before anything is written: so all are up and have it, and the node is kept from clients
    for a while. Whoever puts copies back elsewhere must say so."""
    lines = cluster.network.lines.values()
    if not all(p.up and not p.paused for p in cluster.processes.values()):
        return _nothing
    if any(line.cut or line.clogged or line.conditions != Conditions() for line in lines):
        return _nothing
    process = source.choice(list(cluster.processes.values()))
    own = process.disk.origin
    made = process.disk.frontier().get(own, 0)
    if all(p.disk.frontier().get(own, 0) == made for p in cluster.processes.values()):
        cluster.restore_untold(process, source.randint(0, process.disk.backup()))
    return _nothing


def wrong_record(cluster: Cluster, source: Source) -> Undo:
    """A record is put back to an earlier state of itself, digests and all: as if a change had been merged wrongly. The
    comparison of digests must find it, and the join with any peer's state mend it."""
    process = source.choice(list(cluster.processes.values()))
    content = process.disk.content()
    frontier = content.frontier()
    rows = [row for o in sorted(frontier) for row in content.batches(o, 0, PAGE_ROWS_MAX, 1 << 30)]
    batches = [FinalBatch(row.origin, row.seq, row.hash, row.body) for row in rows]
    of_key: dict[RecordKey, list[Entry]] = {}
    for entry in entries_of(batches):
        of_key.setdefault(entry.key, []).append(entry)
    written_twice = sorted(
        key
        for key, entries in of_key.items()
        # Of a record that claims something, its claims would have to be put back too.
        if len(entries) > 1 and not cluster.domain.claim_groups(key.collection)
    )
    if written_twice:
        key = source.choice(written_twice)
        kept = of_key[key][: source.randint(1, len(of_key[key]) - 1)]
        cluster.spoil(process, records_of(kept)[key])
    return _nothing


# Strangers --------------------------------------------------------------------------------------


def poison(cluster: Cluster, source: Source) -> Undo:
    """Somebody writes what no sound client could: odd JSON, no JSON, extreme lives and slots."""
    cluster.rogues.append(rogue.poisoned(cluster, source))
    return _nothing


def newer_release(cluster: Cluster, source: Source) -> Undo:
    """A node of a later release writes fields that nobody here knows."""
    cluster.rogues.append(rogue.poisoned(cluster, source, newer=True))
    return _nothing


def broken_chain(cluster: Cluster, source: Source) -> Undo:
    """Batches in a node's name that do not follow from what it wrote."""
    rogue.forged(cluster, source)
    return _nothing


FAULTS: Final[dict[str, Fault]] = {
    "split": split,
    "isolated": isolated,
    "one way": one_way,
    "bridge": bridge,
    "flapping": flapping,
    "clogged": clogged,
    "loss": loss,
    "duplicates": duplicates,
    "reordering": reordering,
    "slow": slow,
    "narrow": narrow,
    "damage": damage,
    "kill": kill,
    "power": power,
    "io error": io_error,
    "pause": pause,
    "skew": skew,
    "jump": jump,
    "jump a day": jump_a_day,
    "disk lost": disk_lost,
    "restored": restored,
    "restored untold": restored_untold,
    "wrong record": wrong_record,
    "poison": poison,
    "newer release": newer_release,
    "broken chain": broken_chain,
}


class Plan:
    """Draws the faults of window after window and ends them."""

    def __init__(self, cluster: Cluster, source: Source) -> None:
        self._cluster = cluster
        self._source = source
        self._undos: list[tuple[str, Undo]] = []
        self._over = False

    def begin(self) -> None:
        self._window()

    def _window(self) -> None:
        if self._over:
            return
        options = self._cluster.options
        self._end_faults()
        if options.faults and not self._source.chance(options.quiet_windows):
            for _ in range(self._source.randint(1, options.faults_at_once)):
                self.strike()
        wait = self._source.delay_us(options.window_ms * US_PER_MS)
        self._cluster.timeline.after(wait, self._window)

    def strike(self) -> None:
        """One more fault."""
        name = self._source.choice(self._cluster.options.faults)
        self._cluster.log.line("fault", name)
        self._cluster.faults[name] += 1
        self._undos.append((name, FAULTS[name](self._cluster, self._source)))

    def _end_faults(self) -> None:
        undos, self._undos = self._undos, []
        for name, undo in undos:
            self._cluster.log.line("fault", f"{name} ends")
            undo()

    def end(self) -> None:
        """No more faults."""
        self._over = True
        self._end_faults()
