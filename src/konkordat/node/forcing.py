"""A roster forced at a stopped node, when most members are lost for good. `replica.forced` says why it is safe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from konkordat.kernel.change import Batch
from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.kernel.policy import Policies
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import SeatId
from konkordat.node.clock import WallClock
from konkordat.node.tables import collection_views
from konkordat.replica.forced import VERSIONS_ON, ForceRoster
from konkordat.replica.messages import Answered, Command, Outcome
from konkordat.replica.replica import Replica
from konkordat.replica.settings import ReplicaSettings
from konkordat.replica.status import SeatingView
from konkordat.schedule.domain import ScheduleDomain
from konkordat.store.port import CorruptStoreError, Store
from konkordat.store.replay import Replay
from konkordat.store.sqlite import open_sqlite
from konkordat.store.sqlite.backup import inspect
from konkordat.wire.batches import open_body

ACTOR: Final = "operator:offline"  # in the audit trail
CAUSE: Final = "roster-force"


class SeatOf(msgspec.Struct, frozen=True):
    """A seat that a lost member held, as far as is known here."""

    id: SeatId
    decide: str


class Lost(msgspec.Struct, frozen=True):
    """A member that goes. What it confirmed after `batch` may be promised again."""

    node: NodeName
    origin: Origin
    batch: int  # the last of its log that is here; 0: none
    at_ms: int | None  # when it wrote that
    seats: tuple[SeatOf, ...]


class Forcing(msgspec.Struct, frozen=True):
    """What was done, or would be."""

    node: NodeName
    version: int  # of the roster it has, or would have
    members: tuple[NodeName, ...]  # before
    lost: tuple[Lost, ...]
    done: bool
    refusal: Refusal | None = None


def force_roster(data: Path, *, accept_loss: bool) -> Forcing:
    """Make the stopped node of a data directory the only member; without `accept_loss` say only what that would lose.

    Everything in the directory is checked first. Raises StoreUnusableError if it is in use or holds nothing of ours,
    CorruptStoreError if it is damaged.
    """
    replay = Replay(_decode, Policies())
    facts, findings = inspect(data, replay)
    if facts is None or findings:
        raise CorruptStoreError(f"{data}: {findings[0]}")
    now_ms = WallClock().now_ms()
    store = open_sqlite(data, NodeName(facts.node), now_ms, os.urandom, collection_views(), replay)
    try:
        return _force(store, now_ms, accept_loss=accept_loss)
    finally:
        store.close()


def _force(store: Store, now_ms: int, *, accept_loss: bool) -> Forcing:
    # Nobody's member by configuration: it says no first roster here.
    settings = ReplicaSettings("", started_ms=now_ms, members=(), connects=True)
    replica = Replica(store, ScheduleDomain(), Policies(), settings)
    seating = replica.status(now_ms).seating
    assert seating is not None
    lost = tuple(_lost(store, seating, replica.origin))
    order = ForceRoster(dict(store.frontier()))
    command = Command(CAUSE, ACTOR, order, dry_run=not accept_loss)
    (outcome,) = [e.outcome for e in replica.handle([command], now_ms) if isinstance(e, Answered)]
    return Forcing(
        replica.node,
        seating.roster + VERSIONS_ON,
        tuple([node_of(member) for member in seating.members]),
        lost,
        accept_loss and not isinstance(outcome, Refusal),
        _refusal(outcome),
    )


def _refusal(outcome: Outcome) -> Refusal | None:
    return outcome if isinstance(outcome, Refusal) else None


def _lost(store: Store, seating: SeatingView, me: Origin) -> Iterator[Lost]:
    frontier = store.frontier()
    for origin in seating.members:
        if origin == me:
            continue
        batch = frontier.get(origin, 0)
        rows = store.batches(origin, batch - 1, 1) if batch else ()
        at_ms = rows[0].last_hlc >> 16 if rows else None
        held = [s for s in seating.seats if s.holder == origin]
        seats = tuple([SeatOf(seat.id, seat.decide.value) for seat in held])
        yield Lost(node_of(origin), origin, batch, at_ms, seats)


def _decode(body: bytes) -> Batch:
    return open_body(body).batch
