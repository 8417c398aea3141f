"""What was written: changes in transactions, transactions in batches, batches in one hash chain per origin."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Group, Origin, RecordKey

HASH_BYTES: Final = 32
NO_HASH: Final = bytes(HASH_BYTES)  # the "hash before" of an origin's first batch
TRANSACTION_CHANGES_MAX: Final = (
    500  # an atomic /v2/batch; bounds what one commit must hold in memory
)
BATCH_CHANGES_MAX: Final = (
    1_000  # one group commit, so that one page of a pull always holds at least one batch
)
BATCH_BYTES_MAX: Final = (
    2 << 20
)  # encoded; above the 1 MiB a request may carry, below what a peer accepts in a frame


class Change(msgspec.Struct, frozen=True, gc=False):
    """One record's written field groups, or its deletion."""

    key: RecordKey
    # Causal length of the record's life as its writer saw it: odd = alive (1 first life, 3 second …), even = deleted.
    life: int
    # Group name -> canonical JSON. Empty for a deletion. b"null" clears a group.
    fields: Mapping[Group, bytes] = {}


class RequestMark(NamedTuple):
    """Which client request a transaction answers, so that a retry at any node has one effect."""

    key_hash: bytes  # 16 bytes over (tenant, credential, Idempotency-Key)
    body_hash: bytes  # 16 bytes over the request's method, path and body


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """Changes that one command made together, under one stamp."""

    hlc: Hlc
    changes: tuple[Change, ...]
    actor: str = ""  # who asked: the id of a credential, or "node:<name>" for the node's own work
    cause_id: str = ""  # ties log lines, answers and changes of one request together across nodes
    trace: str = ""  # W3C traceparent of the request, if it had one
    reason: str = ""  # why a rule was overridden; shown in the audit trail
    request: RequestMark | None = None


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Transactions of one origin that were committed, and are replicated and applied, as one atomic unit."""

    origin: Origin
    seq: int  # contiguous from 1, given inside the committing transaction, so an origin's log has no holes
    previous: bytes  # hash of batch seq - 1
    transactions: tuple[Transaction, ...]


class SealedBatch(msgspec.Struct, frozen=True, gc=False):
    """A batch with the bytes its origin encoded. Those bytes are hashed, stored and relayed as they are, so fields that
    a newer release added survive every older node on the way."""

    batch: Batch
    body: bytes
    hash: bytes


def batch_hash(body: bytes) -> bytes:
    """BLAKE2b-256 of an encoded batch. The body holds origin, seq and the previous hash, so the hashes form a chain."""
    return hashlib.blake2b(body, digest_size=HASH_BYTES, person=b"konkordat.batch").digest()
