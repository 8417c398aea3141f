"""Local writes: commands are decided one after the other, stamped, and sealed into batches of this node's origin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from konkordat.kernel.change import (
    BATCH_BYTES_MAX,
    BATCH_CHANGES_MAX,
    NO_HASH,
    TRANSACTION_CHANGES_MAX,
    Batch,
    Change,
    Transaction,
)
from konkordat.kernel.claim import DecidedClaim
from konkordat.kernel.hlc import Hlc, Stamp, tick
from konkordat.kernel.ids import Group, Origin, RecordKey, node_of
from konkordat.kernel.merge import apply, later_life
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import At
from konkordat.replica.commit import Commit, Repeat
from konkordat.replica.domain import Domain, Write
from konkordat.replica.messages import Accepted, Answered, Command, Outcome, Replayed
from konkordat.store.port import AnswerRow, Reader
from konkordat.wire.batches import LIFE_MAX, check_groups, check_key, open_body, seal
from konkordat.wire.errors import MalformedError

Told = Callable[[Transaction, At], None]


class Pending(msgspec.Struct, frozen=True):
    """A command that was accepted and waits for the commit."""

    cause_id: str
    stamp: Stamp
    records: tuple[Record, ...]
    notes: object


class Stamped(msgspec.Struct, frozen=True):
    """A transaction that is ready to be merged."""

    command: Command
    transaction: Transaction
    notes: object
    bytes: int  # upper bound of its encoded size

    @property
    def keys(self) -> tuple[RecordKey, ...]:
        return tuple(dict.fromkeys(change.key for change in self.transaction.changes))


class Preview(msgspec.Struct, frozen=True):
    """What a dry run would have written."""

    stamp: Stamp
    changes: tuple[Change, ...]
    notes: object
    commit: Commit

    def outcome(self, frontier: Mapping[Origin, int]) -> Accepted:
        records = [
            apply(self.commit.record(c.key), c, self.stamp, "", Policies()) for c in self.changes
        ]
        return Accepted(self.stamp, tuple(records), (), self.notes, dict(frontier))


class _Open(msgspec.Struct):
    """The batch in the making."""

    transactions: list[Transaction] = []
    changes: int = 0
    bytes: int = 0

    def add(self, transaction: Transaction, size: int) -> None:
        self.transactions.append(transaction)
        self.changes += len(transaction.changes)
        self.bytes += size

    def clear(self) -> None:
        self.transactions, self.changes, self.bytes = [], 0, 0


class Made(msgspec.Struct):
    """What local commands came to."""

    hlc: Hlc
    commit: Commit
    bodies: list[bytes] = []  # sealed batches, to be pushed
    refused: list[tuple[str, Outcome]] = []  # and dry runs: whatever needs no commit
    replayed: list[tuple[str, tuple[RecordKey, ...]]] = []
    pending: list[Pending] = []
    claims: dict[RecordKey, list[DecidedClaim]] = {}  # of the pending records, after the commit

    def look_up_claims(self) -> None:
        """What became of the claims of the records that were written; when the commit is complete."""
        wanted = [r.key for p in self.pending for r in p.records]
        self.claims = self.commit.claims.of(wanted) if wanted else {}

    def answers(self, frontier: Mapping[Origin, int]) -> list[Answered]:
        """One answer a command; called when the commit is durable."""
        answers = [Answered(cause, outcome) for cause, outcome in self.refused]
        answers += [Answered(c, Replayed(keys, frontier)) for c, keys in self.replayed]
        claims = self.claims
        for p in self.pending:
            held = tuple([d for r in p.records for d in claims.get(r.key, ())])
            outcome = Accepted(p.stamp, p.records, held, p.notes, frontier)
            answers.append(Answered(p.cause_id, outcome))
        return answers


class LocalWrites:
    """Carries out the commands of one commit."""

    def __init__(
        self, store: Reader, domain: Domain, origin: Origin, told: Told | None = None
    ) -> None:
        """`told` hears of each transaction of a command, with the batch it stands in."""
        self._store = store
        self._domain = domain
        self._origin = origin
        self._told = told

    def carry_out(
        self,
        commands: Sequence[Command],
        commit: Commit,
        frontier: dict[Origin, int],
        heads: dict[Origin, bytes],
        hlc: Hlc,
        refuse: str,
    ) -> Made:
        """Decide all commands in order and seal what they write; `frontier` and `heads` are moved on."""
        made = Made(hlc, commit)
        if refuse:
            made.refused = [(c.cause_id, UNWILLING[refuse]) for c in commands]
            return made
        repeats = self._done_before(commands) | commit.answered
        commit.load(key for c in commands for key in self._domain.reads(c.body))
        batch = _Open()
        for command in commands:
            if self._repeated(command, repeats, made):
                continue
            decided = self._decide(command, commit, made)
            if isinstance(decided, Refusal):
                made.refused.append((command.cause_id, decided))
            elif isinstance(decided, Preview):
                made.refused.append((command.cause_id, decided.outcome(frontier)))
            else:
                self._merge(decided, batch, commit, made, frontier, heads)
                if command.request is not None:
                    repeats[command.request.key_hash] = (command.request, decided.keys)
        self._seal(batch, made, frontier, heads)
        return made

    def write_own(
        self,
        transactions: Iterable[tuple[Change, ...]],
        made: Made,
        commit: Commit,
        frontier: dict[Origin, int],
        heads: dict[Origin, bytes],
    ) -> None:
        """Write what the node itself has to say, in one further batch."""
        batch = _Open()
        actor = f"node:{node_of(self._origin)}"
        seq = frontier.get(self._origin, 0) + 1
        for changes in transactions:
            made.hlc = tick(made.hlc, commit.now_ms)
            transaction = Transaction(made.hlc, changes, actor)
            commit.merge(transaction, self._origin, seq)
            batch.add(transaction, 0)
        self._seal(batch, made, frontier, heads)

    # Repeated requests -------------------------------------------------------------------------

    def _done_before(self, commands: Sequence[Command]) -> dict[bytes, Repeat]:
        """Which of the requests had their effect before, here or, since marks replicate, at another node."""
        hashes = [c.request.key_hash for c in commands if c.request is not None]
        if not hashes:
            return {}
        rows = self._store.answer(hashes)
        return {key_hash: (row.mark, self._keys_of(row)) for key_hash, row in rows.items()}

    def _keys_of(self, row: AnswerRow) -> tuple[RecordKey, ...]:
        (logged,) = self._store.batches(row.origin, row.seq - 1, 1)
        transaction = open_body(logged.body).batch.transactions[row.position]
        return tuple([change.key for change in transaction.changes])

    def _repeated(self, command: Command, repeats: Mapping[bytes, Repeat], made: Made) -> bool:
        mark = command.request
        before = repeats.get(mark.key_hash) if mark is not None else None
        if mark is None or before is None:
            return False
        if before[0].body_hash != mark.body_hash:
            made.refused.append((command.cause_id, KEY_REUSED))
        else:
            made.replayed.append((command.cause_id, before[1]))
        return True

    # Transactions and batches --------------------------------------------------------------------

    def _decide(self, command: Command, commit: Commit, made: Made) -> Stamped | Preview | Refusal:
        """Ask the domain, and stamp what it decided; or say why that cannot be one transaction."""
        decision = self._domain.decide(command.body, commit)
        if isinstance(decision, Refusal):
            return decision
        changes = _changes(decision.writes, commit)
        if len(changes) > TRANSACTION_CHANGES_MAX:
            return _too_large(f"{len(changes)} changes, at most {TRANSACTION_CHANGES_MAX}")
        unfit = _unfit(changes, command, decision.reason)
        if unfit:
            return Refusal(
                "unfit", f"The transaction cannot be kept: {unfit}. Nothing was written."
            )
        hlc = tick(made.hlc, commit.now_ms)
        transaction = Transaction(
            hlc,
            changes,
            command.actor,
            command.cause_id,
            command.trace,
            decision.reason,
            command.request,
        )
        size = _bytes_bound(transaction)
        if size > BATCH_BYTES_MAX:
            return _too_large(f"about {size} bytes, at most {BATCH_BYTES_MAX}")
        if command.dry_run:
            return Preview(Stamp(hlc, self._origin), changes, decision.notes, commit)
        made.hlc = hlc
        return Stamped(command, transaction, decision.notes, size)

    def _merge(
        self,
        stamped: Stamped,
        batch: _Open,
        commit: Commit,
        made: Made,
        frontier: dict[Origin, int],
        heads: dict[Origin, bytes],
    ) -> None:
        transaction = stamped.transaction
        full = batch.changes + len(transaction.changes) > BATCH_CHANGES_MAX
        if full or batch.bytes + stamped.bytes > BATCH_BYTES_MAX:
            self._seal(batch, made, frontier, heads)
        batch.add(transaction, stamped.bytes)
        seq = frontier.get(self._origin, 0) + 1
        commit.merge(transaction, self._origin, seq)
        if self._told is not None:
            self._told(transaction, At(self._origin, seq))
        commit.settle()
        records = [commit.record(key) for key in stamped.keys]
        made.pending.append(
            Pending(
                stamped.command.cause_id,
                Stamp(transaction.hlc, self._origin),
                tuple([r for r in records if r is not None]),
                stamped.notes,
            )
        )

    def _seal(
        self,
        batch: _Open,
        made: Made,
        frontier: dict[Origin, int],
        heads: dict[Origin, bytes],
    ) -> None:
        if not batch.transactions:
            return
        origin = self._origin
        seq = frontier.get(origin, 0) + 1
        previous = heads.get(origin, NO_HASH)
        sealed = seal(Batch(origin, seq, previous, tuple(batch.transactions)))
        made.commit.log(sealed)
        made.bodies.append(sealed.body)
        frontier[origin], heads[origin] = seq, sealed.hash
        batch.clear()


def _changes(writes: Iterable[Write], commit: Commit) -> tuple[Change, ...]:
    """One change per record, whatever a command does to it in turn: a stamp names one write of a record, so what stands
    later in the command must win here and not be left to the merge.
    """
    lives: dict[RecordKey, int] = {}
    fields: dict[RecordKey, dict[Group, bytes]] = {}
    for key, written, deletes in writes:
        if key not in lives:
            record = commit.record(key)
            lives[key], fields[key] = (record.life if record else 0), {}
        life = later_life(lives[key], deletes)
        if life != lives[key]:
            lives[key], fields[key] = life, {}
        if not deletes:
            fields[key].update(written)
    return tuple([Change(key, lives[key], fields[key]) for key in lives])


def _unfit(changes: Iterable[Change], command: Command, reason: str) -> str:
    """Why peers would refuse the batch, and with it all that this node writes afterwards; "" if they would not."""
    try:
        for change in changes:
            check_key(change.key)
            check_groups(change.fields)
            if change.life >= LIFE_MAX:
                return "the record was deleted and made anew too often, or a peer says so"
        f"{command.actor}{command.cause_id}{command.trace}{reason}".encode()
    except MalformedError as error:
        return str(error)
    except UnicodeEncodeError:
        return "a text contains a lone surrogate"
    return ""


def _bytes_bound(transaction: Transaction) -> int:
    """An upper bound of the encoded size, so that a batch that is cut by it never fails to seal."""
    texts = (transaction.actor, transaction.cause_id, transaction.trace, transaction.reason)
    size = 128 + sum(4 * len(t) for t in texts)
    for change in transaction.changes:
        size += 64 + 4 * sum(len(part) for part in change.key)
        size += sum(4 * len(group) + len(value) + 16 for group, value in change.fields.items())
    return size


def _too_large(what: str) -> Refusal:
    return Refusal("too_large", f"The transaction has {what}. Nothing was written. Split it.")


KEY_REUSED: Final = Refusal(
    "idempotency_key_reused",
    "This Idempotency-Key was used for another request. Nothing was written. Use a fresh key for each request.",
)
UNWILLING: Final = {
    "stopping": Refusal(
        "stopping",
        "The node is stopping. Nothing was written. Retry at another node.",
        retry_after_ms=1_000,
    ),
    "clock": Refusal(
        "clock_fenced",
        "This node's clock disagrees with those of the other nodes. Nothing was written. Retry at another node.",
        retry_after_ms=1_000,
    ),
}
