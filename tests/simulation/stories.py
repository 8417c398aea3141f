"""Histories written by hand: a small true one, of which each test of a judge spoils one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from konkordat.kernel.change import (
    NO_HASH,
    Batch,
    Change,
    RequestMark,
    SealedBatch,
    Transaction,
)
from konkordat.kernel.claim import DecidedClaim
from konkordat.kernel.hlc import Hlc, Stamp, hlc_at
from konkordat.kernel.ids import Group, NodeName, Origin, RecordKey
from konkordat.testing.checkers import judge
from konkordat.testing.domain import TrialDomain, item
from konkordat.testing.history import (
    Agreed,
    Asked,
    Final,
    FinalBatch,
    Happening,
    Healed,
    History,
    LoggedBatch,
    Read,
    Sight,
    Started,
    Told,
    Wrote,
)
from konkordat.testing.oracle import entries_of, records_of, root_of
from konkordat.wire.batches import seal

ZURICH, BERN = NodeName("zurich"), NodeName("bern")
OF_ZURICH, OF_BERN = Origin("zurich.1"), Origin("bern.1")
A = item("a", "tenant-0")
NOON_MS = 1_800_000_000_000
EMPTY = root_of({})


def at(second: int) -> Hlc:
    """A stamp's time."""
    return hlc_at(NOON_MS + 1_000 * second)


def us(second: float) -> int:
    return int((NOON_MS + 1_000 * second) * 1_000)


def value(tenant: str, text: str) -> bytes:
    return f'"<{tenant}> {text}"'.encode()


def batch(
    origin: Origin,
    seq: int,
    second: int,
    cause: str,
    text: str = "x",
    key: RecordKey = A,
    life: int = 1,
    previous: bytes = NO_HASH,
    request: bytes = b"",
) -> SealedBatch:
    """A batch of one transaction of one change."""
    fields = {Group("title"): value(key.tenant, text)} if life % 2 else {}
    mark = RequestMark(request, bytes(16)) if request else None
    transaction = Transaction(
        at(second), (Change(key, life, fields),), "key:c", cause, request=mark
    )
    return seal(Batch(origin, seq, previous, (transaction,)))


def final(
    node: NodeName,
    *sealed: SealedBatch,
    complaints: tuple[str, ...] = (),
    claims: Iterable[DecidedClaim] = (),
) -> Final:
    """What a node that took these batches has in the end."""
    rows = sorted(sealed, key=lambda s: (s.batch.origin, s.batch.seq))
    batches = tuple([FinalBatch(s.batch.origin, s.batch.seq, s.hash, s.body) for s in rows])
    entries = entries_of(batches)
    records = records_of(entries)
    frontier: dict[Origin, int] = {}
    for row in batches:
        frontier[row.origin] = row.seq
    written: dict[RecordKey, tuple[Stamp, ...]] = {}
    for entry in entries:
        written[entry.key] = (*written.get(entry.key, ()), entry.stamp)
    index = {decided.claim.id: decided for decided in claims}
    return Final(node, frontier, root_of(records), batches, records, index, written, complaints)


def started(node: NodeName, second: int, hlc: int = 0) -> Started:
    return Started(us(second), node, Origin(f"{node}.1"), Hlc(hlc), {}, EMPTY)


def asked(
    client: str,
    second: float,
    cause: str,
    node: NodeName = ZURICH,
    key: RecordKey = A,
    request: str = "",
    body: str = "x",
    kind: str = "put",
) -> Asked:
    return Asked(us(second), client, cause, node, key.tenant, kind, (key,), request, body)


def told(
    client: str, second: float, cause: str, sealed: SealedBatch, life: int = 1, text: str = "x"
) -> Told:
    """An acknowledgement of a write by its origin."""
    made = sealed.batch
    stamp = Stamp(made.transactions[0].hlc, made.origin)
    key = made.transactions[0].changes[0].key
    sight = seen(key, stamp, life, text)
    node = NodeName(made.origin.partition(".")[0])
    frontier = {made.origin: made.seq}
    return Told(us(second), client, cause, node, "accepted", stamp, (sight,), frontier)


def seen(key: RecordKey, stamp: Stamp, life: int = 1, text: str = "x") -> Sight:
    if life % 2 == 0:
        return Sight(key, life)
    return Sight(key, life, {"title": stamp}, {"title": value(key.tenant, text)})


def read(
    client: str,
    second: float,
    node: NodeName,
    sight: Sight | None,
    token: dict[Origin, int],
    frontier: dict[Origin, int],
) -> Read:
    return Read(us(second), client, node, A.tenant, token, sight, frontier)


def wrote(
    node: NodeName,
    second: float,
    taken: Sequence[SealedBatch],
    had: Sequence[SealedBatch] = (),
    claims: Iterable[DecidedClaim] = (),
) -> Wrote:
    """A commit that took these batches on top of those it had."""
    state = final(node, *had, *taken)
    batches = tuple(
        [
            LoggedBatch(s.batch.origin, s.batch.seq, s.hash, s.batch.transactions[-1].hlc)
            for s in taken
        ]
    )
    hlc = max(s.batch.transactions[-1].hlc for s in (*had, *taken))
    lives = {
        c.key: state.records[c.key].life
        for s in taken
        for t in s.batch.transactions
        for c in t.changes
    }
    now_ms = NOON_MS + int(1_000 * second)
    return Wrote(
        us(second), node, now_ms, hlc, batches, state.frontier, state.root, lives, tuple(claims)
    )


FIRST = batch(OF_ZURICH, 1, 1, "c/1", "one", request=b"r" * 16)
SECOND = batch(OF_BERN, 1, 2, "c/2", "two")
GONE = batch(OF_BERN, 2, 3, "c/3", life=2, previous=SECOND.hash)
BOTH = {OF_ZURICH: 1, OF_BERN: 1}
ALL = {OF_ZURICH: 1, OF_BERN: 2}


def true_history() -> History:
    """A client writes at Zurich, writes at Bern, reads, deletes at Bern and reads again."""
    stamp_two = Stamp(at(2), OF_BERN)
    return [
        started(ZURICH, 0),
        started(BERN, 0),
        asked("c", 1, "c/1", request="c/order-1"),
        wrote(ZURICH, 1, [FIRST]),
        told("c", 1.1, "c/1", FIRST, text="one"),
        wrote(BERN, 1.5, [FIRST]),
        asked("c", 2, "c/2", BERN),
        wrote(BERN, 2, [SECOND], [FIRST]),
        told("c", 2.1, "c/2", SECOND, text="two"),
        wrote(ZURICH, 2.2, [SECOND], [FIRST]),
        read("c", 2.5, ZURICH, seen(A, stamp_two, text="two"), BOTH, BOTH),
        asked("c", 3, "c/3", BERN, kind="remove"),
        wrote(BERN, 3, [GONE], [FIRST, SECOND]),
        told("c", 3.1, "c/3", GONE, life=2),
        read("c", 3.2, ZURICH, None, ALL, {}),
        wrote(ZURICH, 3.3, [GONE], [FIRST, SECOND]),
        read("c", 3.5, ZURICH, Sight(A, 2), ALL, ALL),
        Healed(us(4)),
        Agreed(us(5)),
        final(ZURICH, FIRST, SECOND, GONE),
        final(BERN, FIRST, SECOND, GONE),
    ]


# Looking at histories, and spoiling them -------------------------------------------------------------

replaced = msgspec.structs.replace


def verdict(history: History) -> set[str]:
    """The names of the judges that found something."""
    return {violation.checker for violation in judge(history, TrialDomain())}


def change(past: History, which: Callable[[Happening], bool], /, **fields: Any) -> History:
    """The history with the first happening that is meant changed."""
    changed = list(past)
    at_ = next(i for i, h in enumerate(changed) if which(h))
    changed[at_] = replaced(changed[at_], **fields)
    return changed


def without(history: History, which: Callable[[Happening], bool]) -> History:
    at_ = next(i for i, h in enumerate(history) if which(h))
    return history[:at_] + history[at_ + 1 :]


def put_after(history: History, which: Callable[[Happening], bool], new: Happening) -> History:
    at_ = next(i for i, h in enumerate(history) if which(h))
    return [*history[: at_ + 1], new, *history[at_ + 1 :]]


def is_final(node: str) -> Callable[[Happening], bool]:
    return lambda h: isinstance(h, Final) and h.node == node


def is_wrote(node: str, second: float) -> Callable[[Happening], bool]:
    return lambda h: isinstance(h, Wrote) and h.node == node and h.at_us == us(second)


def is_told(cause: str) -> Callable[[Happening], bool]:
    return lambda h: isinstance(h, Told) and h.cause == cause


def final_of(history: History, node: str) -> Final:
    (found,) = [h for h in history if isinstance(h, Final) and h.node == node]
    return found
