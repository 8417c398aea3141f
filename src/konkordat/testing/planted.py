"""Bugs on purpose. Each is one that somebody once shipped, and each must be found by a judge that is named in advance.

Nothing here is reachable from the program: a plant replaces a function while a simulation runs, and puts it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final

import msgspec

from konkordat.kernel import digest, merge
from konkordat.kernel.claim import Claim, ClaimId, DecidedClaim, decide
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Collection, Group, NodeName, Origin, RecordId, RecordKey
from konkordat.kernel.policy import Policies, Register
from konkordat.kernel.record import Record
from konkordat.protocol import exchange
from konkordat.protocol.seats.rosters import Rosters
from konkordat.protocol.seats.rules import Rules
from konkordat.replica import admission, claims, telling
from konkordat.replica import replica as replicas
from konkordat.replica.commit import Commit
from konkordat.replica.seating import Seating
from konkordat.store.memory import Data, MemoryReader, MemoryStore
from konkordat.store.port import StoreWriteError, WriteSet
from konkordat.testing import process as processes
from konkordat.testing.cluster import Cluster
from konkordat.testing.disk import MemoryDisk, SimulatedStore
from konkordat.testing.options import Options, drawn
from konkordat.testing.seats.bugs import (
    ClosedIntervals,
    ConfirmsAlone,
    CountsStrangers,
    CountsTwice,
    CutsOneShort,
    GrantsEveryRoster,
    IgnoresTerms,
    OpensTooEarly,
    VoterKeepsConfirming,
)
from konkordat.testing.sim import Result, run
from konkordat.wire.batches import open_body, seal

SEEDS_MAX: Final = 40  # within which a planted bug must be found

Plant = Callable[[ExitStack], None]


class PlantedBug(msgspec.Struct, frozen=True):
    """A bug, who finds it, and the runs in which it can show."""

    name: str
    found_by: tuple[str, ...]  # any of these judges
    plant: Plant
    profile: str = "all"
    settings: Mapping[str, Any] = {}  # options that every such run has
    first: int = 0  # seed to begin with, where the first ones do not bring about what is needed, or take long


def replace(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Put a value in the place of an attribute until the stack unwinds."""
    before = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, value)
    stack.callback(setattr, owner, name, before)


@contextmanager
def planted(bug: PlantedBug) -> Iterator[None]:
    """Run with the bug in place."""
    with ExitStack() as stack:
        bug.plant(stack)
        yield


def options_for(bug: PlantedBug, seed: int) -> Options:
    """The options of a seed, such that the bug can show."""
    return msgspec.structs.replace(drawn(seed, profile=bug.profile), **bug.settings)


def hunt(bug: PlantedBug, seeds: Sequence[int] = range(SEEDS_MAX)) -> tuple[int, Result] | None:
    """The first seed in which one of the named judges finds the bug, and what it said."""
    with planted(bug):
        for seed in (bug.first + each for each in seeds):
            result = run(options_for(bug, seed))
            if any(violation.checker in bug.found_by for violation in result.violations):
                return seed, result
    return None


# Disks and commits --------------------------------------------------------------------------------


def _ack_before_durable(stack: ExitStack) -> None:
    """Commits are acknowledged, and synced some commits later."""
    make = MemoryDisk.__init__

    def lazy(self: MemoryDisk, node: NodeName) -> None:
        make(self, node)
        self.sync_every = 4

    replace(stack, MemoryDisk, "__init__", lazy)


def _frontier_before_data(stack: ExitStack) -> None:
    """The log and frontier are durable before the records: a loss of power between them keeps only the first."""
    fail = MemoryDisk.__dict__["commit"]

    def commit(self: MemoryDisk, store: SimulatedStore, write: WriteSet) -> None:
        if self.fails_with == "before power":
            half = WriteSet(write.hlc, write.log)
            store.apply(half)
            self.commits.append(half)
            self.synced = len(self.commits)
        fail(self, store, write)

    replace(stack, MemoryDisk, "commit", commit)


def _error_ignored(stack: ExitStack) -> None:
    """A commit that failed is taken for done."""
    original = SimulatedStore.__dict__["commit"]

    def commit(self: SimulatedStore, write: WriteSet) -> None:
        try:
            original(self, write)
        except StoreWriteError:
            return

    replace(stack, SimulatedStore, "commit", commit)


def _dedupe_forgotten(stack: ExitStack) -> None:
    """Which requests were answered is kept nowhere."""
    original = Commit.write_set

    def write_set(self: Commit, hlc: Hlc, forget_before_ms: int) -> Any:
        write, taken, added = original(self, hlc, forget_before_ms)
        return msgspec.structs.replace(write, answers=()), taken, added

    replace(stack, Commit, "write_set", write_set)


def _incarnation_kept(stack: ExitStack) -> None:
    """A restored backup goes on under its old name."""
    replace(stack, Cluster, "mint", lambda _self, _process: None)


def _audit_outside(stack: ExitStack) -> None:
    """The log is written in another transaction, which a loss of power can lose alone."""
    original = MemoryDisk.__dict__["commit"]

    def commit(self: MemoryDisk, store: SimulatedStore, write: WriteSet) -> None:
        if self.fails_with == "before power":
            half = msgspec.structs.replace(write, log=(), history=())
            store.apply(half)
            self.commits.append(half)
            self.synced = len(self.commits)
        original(self, store, write)

    replace(stack, MemoryDisk, "commit", commit)


# Clocks -------------------------------------------------------------------------------------------


def _clock_without_bound(stack: ExitStack) -> None:
    replace(stack, admission, "too_far_ahead", lambda _seen, _now_ms, _bound_ms: False)


def _clock_moved_by_refused(stack: ExitStack) -> None:
    """What is refused for its stamp moves the clock all the same."""
    original = replicas.Replica.__dict__["_admit"]

    def admit(self: Any, commit: Any, bodies: Any, *rest: Any) -> Hlc:
        hlc = original(self, commit, bodies, *rest)
        stamps = [
            transaction.hlc
            for _peer, sent in bodies
            for body in sent
            for transaction in _opened(body)
        ]
        return Hlc(max([hlc, *stamps]))

    replace(stack, replicas.Replica, "_admit", admit)


def _opened(body: bytes) -> Sequence[Any]:
    try:
        return open_body(body).batch.transactions
    except ValueError:
        return ()


def _clock_forgotten(stack: ExitStack) -> None:
    """The clock begins at zero after each start."""
    original = Data.bookkeeping
    book = lambda self: msgspec.structs.replace(original(self), hlc=Hlc(0))  # noqa: E731
    replace(stack, Data, "bookkeeping", book)


# Merging ------------------------------------------------------------------------------------------


def _tie_by_arrival(stack: ExitStack) -> None:
    """Of equal hybrid times the one that came later wins."""

    def joined(
        _collection: Collection,
        _group: Group,
        ours: Register,
        theirs: Register,
        _policies: Policies,
    ) -> Register:
        return theirs if theirs.stamp.hlc >= ours.stamp.hlc else ours

    replace(stack, merge, "_joined", joined)


def _order_dependent(stack: ExitStack) -> None:
    """A later arrival is appended instead of joined."""

    def joined(
        _collection: Collection,
        _group: Group,
        ours: Register,
        theirs: Register,
        _policies: Policies,
    ) -> Register:
        return Register(max(ours.stamp, theirs.stamp), ours.value + theirs.value)

    replace(stack, merge, "_joined", joined)


def _applied_again(stack: ExitStack) -> None:
    """A batch that arrives twice has its effect twice, and the merge does not bear it."""
    original = Commit.merge

    def merge_twice(self: Commit, transaction: Any, origin: Origin, seq: int) -> None:
        original(self, transaction, origin, seq)
        if transaction.hlc % 3 == 0:
            later = msgspec.structs.replace(transaction, hlc=Hlc(transaction.hlc + 1))
            original(self, later, origin, seq)

    replace(stack, Commit, "merge", merge_twice)


def _set_order_in_digest(stack: ExitStack) -> None:
    """The fingerprint runs over the groups in the order in which they came."""

    def fingerprint(record: Record) -> int:
        parts = [f"{g}={r.stamp}" for g, r in record.fields.items()]
        text = f"{record.key} {record.life} {record.born} {record.touched} {parts}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")

    replace(stack, digest, "fingerprint", fingerprint)


def _tombstone_pruned(stack: ExitStack) -> None:
    """Deleted records are forgotten at once, whoever may still know them."""
    original = MemoryStore.__dict__["commit"]

    def commit(self: MemoryStore, write: WriteSet) -> None:
        original(self, write)
        for made in write.records:
            if not made.record.alive:
                self.data.records.pop(made.record.key, None)
                self.data.history.pop(made.record.key, None)

    replace(stack, MemoryStore, "commit", commit)
    replace(stack, MemoryStore, "_refuse_nonsense", lambda _self, _write: None)


# Admission and repair -----------------------------------------------------------------------------


def _gap_jumped(stack: ExitStack) -> None:
    """A push beyond a gap is taken, and the gap forgotten."""
    original = admission.Admission.__dict__["_take_one"]

    def take_one(self: Any, sealed: Any, peer: NodeName) -> None:
        batch = sealed.batch
        if batch.seq > self._frontier.get(batch.origin, 0) + 1:
            self._frontier[batch.origin] = batch.seq
            self._heads[batch.origin] = sealed.hash
            return
        original(self, sealed, peer)

    replace(stack, admission.Admission, "_take_one", take_one)


def _unknown_fields_dropped(stack: ExitStack) -> None:
    """What is stored and relayed is encoded anew, by a release that does not know all fields."""
    anew = lambda body: seal(open_body(body).batch)  # noqa: E731
    replace(stack, admission, "open_body", anew)


def _only_home_serves(stack: ExitStack) -> None:
    """Batches are only pulled from the node that made them."""

    def whom(self: Any, origin: Origin, have: int, now_ms: int) -> Any:
        alive = self._peers.alive(now_ms)
        able = [p for p in alive if p.origin == origin and p.frontier.get(origin, 0) > have]
        return able[0] if able else None

    replace(stack, exchange.Exchange, "_whom", whom)


def _closed_intervals(stack: ExitStack) -> None:
    """Two claims that only meet are taken to overlap."""

    def closed(wishes: Any, capacity: int) -> dict[ClaimId, DecidedClaim]:
        listed: list[Claim] = list(wishes)
        longer = [msgspec.structs.replace(c, until_ms=c.until_ms + 1) for c in listed]
        given = {claim.id: claim for claim in listed}
        decided: Mapping[ClaimId, DecidedClaim] = decide(longer, capacity)
        return {id: msgspec.structs.replace(d, claim=given[id]) for id, d in decided.items()}

    replace(stack, claims, "decide", closed)


# Around the replica -------------------------------------------------------------------------------


def _key_without_tenant(stack: ExitStack) -> None:
    """An idempotency key is remembered for everybody."""
    replace(stack, Cluster, "request_key", lambda _self, _tenant, _credential, request: request)


def _cache_without_tenant(stack: ExitStack) -> None:
    """Reads are answered from a cache whose key leaves the tenant out."""
    cache: dict[tuple[Collection, RecordId], Record] = {}
    original = MemoryReader.__dict__["load"]

    def load(self: MemoryReader, keys: Any) -> dict[RecordKey, Record]:
        wanted = list(keys)
        found: dict[RecordKey, Record] = original(self, wanted)
        if isinstance(self, MemoryStore):  # only what clients read is cached
            return found
        for key in wanted:
            record = cache.setdefault(key[1:], found[key]) if key in found else cache.get(key[1:])
            if record is not None:
                found[key] = record
        return found

    replace(stack, MemoryReader, "load", load)


def _token_ignored(stack: ExitStack) -> None:
    """A node answers a read whether or not it has what the token names."""
    replace(stack, processes, "covers", lambda _ours, _theirs: True)


def _unseen_not_kept(stack: ExitStack) -> None:
    replace(stack, telling, "unseen", lambda *_: ())


def _first_roster_counts(stack: ExitStack) -> None:
    """What is final is counted among the members of the first roster, also after another rules."""
    replace(stack, Rosters, "get", lambda self, _version: self._known.get(1))


def _rules(broken: Rules) -> Plant:
    """The rules of seats with one of them broken; the same that the model must find."""

    def plant(stack: ExitStack) -> None:
        replace(stack, replicas, "Seating", partial(Seating, rules=broken))

    return plant


# Seats that move often, and places that everybody wants.
_FEUD: Final = {
    "domain": "trial",
    "faults": ("kill", "isolated", "split", "pause", "slow"),
    "faults_at_once": 2,
    "quiet_windows": 0.0,
    "nodes": 3,
    "members": 3,
    "tenants": 1,
    "seats": 1,
    "decide": "majority",
    "takeover_ms": 200,
    "window_ms": 1_500,
    "think_ms": 150,
    "backlog": 0,
    "orders_ms": 0,
}
_CONTESTED: Final[Mapping[str, Any]] = {"profile": "network", "settings": _FEUD}
_AMONG_STRANGERS: Final[Mapping[str, Any]] = {
    "profile": "network",
    "settings": {**_FEUD, "nodes": 5},
}
# The roster changes all the time, and hardly anybody is in all of them.
_GOVERNED: Final[Mapping[str, Any]] = {
    "profile": "network",
    "settings": {**_FEUD, "nodes": 5, "orders_ms": 300},
}

BUGS: Final = (
    PlantedBug("acknowledged before durable", ("I2",), _ack_before_durable, "process", first=24),
    PlantedBug("frontier saved before data", ("I1",), _frontier_before_data, "process"),
    PlantedBug("audit outside the transaction", ("I1", "I4"), _audit_outside, "process"),
    PlantedBug("failed sync taken for done", ("I11", "I2"), _error_ignored, "process"),
    PlantedBug("dedupe table not persisted", ("I7",), _dedupe_forgotten, "network"),
    PlantedBug(
        "restored backup keeps its incarnation", ("I1", "I4"), _incarnation_kept, "disk", first=50
    ),
    PlantedBug("clock without bound", ("I9",), _clock_without_bound, "clock"),
    PlantedBug("clock moved by a refused batch", ("I9",), _clock_moved_by_refused, "clock"),
    PlantedBug("clock not persisted", ("I9",), _clock_forgotten, "process"),
    PlantedBug(
        "tie broken by arrival", ("I1",), _tie_by_arrival, "quiet", {"same_millisecond": True}
    ),
    PlantedBug("merge depends on the order", ("I1",), _order_dependent, "quiet", first=1),
    PlantedBug("merge is not idempotent", ("I1",), _applied_again, "quiet"),
    PlantedBug("set order in a digest", ("I1",), _set_order_in_digest, "network"),
    PlantedBug("tombstones pruned at once", ("I8",), _tombstone_pruned, "network"),
    PlantedBug("gap jumped", ("I2", "I4", "I11"), _gap_jumped, "network"),
    PlantedBug("unknown field dropped on relay", ("I4", "I12"), _unknown_fields_dropped, "hostile"),
    PlantedBug("only the home node serves", ("I10",), _only_home_serves, "all"),
    PlantedBug(
        "closed instead of half-open interval", ("I1",), _closed_intervals, "quiet", {"members": 0}
    ),
    PlantedBug("idempotency key without tenant", ("I6", "I7"), _key_without_tenant, "quiet"),
    PlantedBug("cache key without tenant", ("I6",), _cache_without_tenant, "quiet"),
    PlantedBug("token ignored", ("I5",), _token_ignored, "network"),
    PlantedBug("confirm by an old holder", ("I3",), _rules(ConfirmsAlone()), **_CONTESTED),
    PlantedBug("term not checked", ("I3",), _rules(IgnoresTerms()), **_CONTESTED),
    PlantedBug("vote counted twice", ("I3",), _rules(CountsTwice()), **_CONTESTED),
    PlantedBug("vote of a non-member", ("I3",), _rules(CountsStrangers()), **_AMONG_STRANGERS),
    PlantedBug("closed intervals", ("I3",), _rules(ClosedIntervals()), **_CONTESTED),
    PlantedBug("cut-off one short", ("I3",), _rules(CutsOneShort()), **_CONTESTED),
    PlantedBug("voter keeps confirming", ("I3",), _rules(VoterKeepsConfirming()), **_CONTESTED),
    PlantedBug("opened before caught up", ("I3",), _rules(OpensTooEarly()), **_CONTESTED, first=6),
    PlantedBug(
        "majority of the first roster", ("I3",), _first_roster_counts, **_GOVERNED, first=20
    ),
    PlantedBug("two changes of roster at once", ("I3",), _rules(GrantsEveryRoster()), **_GOVERNED),
    PlantedBug(
        "what nobody sees is not kept",
        ("I3",),
        _unseen_not_kept,
        "disk",
        {"domain": "trial", "members": 3, "seats": 1},
        first=50,
    ),
)
