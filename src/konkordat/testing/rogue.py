"""Strangers in the cluster: well-formed batches with contents that no sound client could send, and forged ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from konkordat.kernel.change import (
    NO_HASH,
    Batch,
    Change,
    SealedBatch,
    Transaction,
    batch_hash,
)
from konkordat.kernel.hlc import Hlc, hlc_at
from konkordat.kernel.ids import NodeName, Origin
from konkordat.testing.history import Asked
from konkordat.testing.randomness import Source
from konkordat.wire.batches import LIFE_MAX, seal
from konkordat.wire.messages import Push

if TYPE_CHECKING:
    from konkordat.testing.cluster import Cluster

MALLORY: Final = NodeName("mallory")
BATCHES: Final = 4

# Values as bytes, because no encoder of ours would make them.
POISON: Final = (
    b"NaN",
    b"-0.0",
    b"1e999",
    b"9223372036854775808",
    b'"\\ud800"',
    b"\xff\xfe",
    b"",
    b"[" * 1_000 + b"]" * 1_000,
    b'"9999-12-31T23:59:59Z"',
    b'{"a":1,"a":2}',
    b"null",
    b"true",
    b"-7",
)
NEWER_FIELD: Final = (
    b"\xc2\x3e\x06newest"  # field 1000 of a batch, which this release does not know
)
LIVES: Final = (1, 1, 1, 2, 3, LIFE_MAX - 2, LIFE_MAX - 1)


def poisoned(cluster: Cluster, source: Source, newer: bool = False) -> Origin:
    """A stranger's batches, pushed to some of the nodes; the others must get them from those. A `newer` stranger is of
    a release that knows more fields, and means no harm.
    """
    origin = Origin(f"{MALLORY}.{len(cluster.rogues)}")
    hlc = hlc_at(cluster.timeline.now_ms - source.choice((0, 0, 3_600_000)))
    previous = NO_HASH
    bodies = []
    for seq in range(1, source.randint(1, BATCHES) + 1):
        body = _poison(cluster, source, origin, seq, previous, Hlc(hlc + seq)).body
        bodies.append(body + NEWER_FIELD if newer else body)
        previous = batch_hash(bodies[-1])
    running = [p for p in cluster.processes.values() if p.up]
    for process in source.some(running, 1, len(running)) if running else ():
        process.whisper(MALLORY, Push(tuple(bodies)))
    return origin


def _poison(
    cluster: Cluster, source: Source, origin: Origin, seq: int, previous: bytes, hlc: Hlc
) -> SealedBatch:
    cause = f"{origin}/{seq}"
    changes = tuple([_change(cluster, source) for _ in range(source.randint(1, 3))])
    keys = tuple(change.key for change in changes)
    tenant = keys[0].tenant
    cluster.history.append(
        Asked(cluster.timeline.now_us, MALLORY, cause, MALLORY, tenant, "poison", keys)
    )
    transaction = Transaction(hlc, changes, f"key:{MALLORY}", cause)
    return seal(Batch(origin, seq, previous, (transaction,)))


def _change(cluster: Cluster, source: Source) -> Change:
    """Now and then of a record that clients use."""
    key, group = cluster.workload.target(source, source.choice(cluster.tenants))
    life = source.choice(LIVES)
    values = POISON + cluster.workload.poison
    fields = {group: source.choice(values)} if life % 2 else {}
    return Change(key, life, fields)


def forged(cluster: Cluster, source: Source) -> None:
    """A batch in the name of a node's origin that does not follow what that node wrote, told to another node."""
    running = [p for p in cluster.processes.values() if p.up]
    if not running:
        return
    target = source.choice(running)
    frontier = target.disk.frontier()
    others = sorted(o for o in frontier if o != target.disk.origin)
    if not others:
        return
    origin = source.choice(others)
    seq = frontier[origin] + source.choice((0, 1, 1))
    key, group = cluster.workload.target(source, cluster.tenants[0])
    change = Change(key, 1, {group: b'"forged"'})
    transaction = Transaction(hlc_at(cluster.timeline.now_ms), (change,), "key:forger", "forged")
    sealed = seal(Batch(origin, seq, b"\x01" * 32, (transaction,)))
    cluster.history.append(
        Asked(
            cluster.timeline.now_us,
            MALLORY,
            "forged",
            target.name,
            change.key.tenant,
            "forged",
            (),
            body=origin,
        )
    )
    target.whisper(MALLORY, Push((sealed.body,)))
