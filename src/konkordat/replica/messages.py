"""Inputs and effects of a replica: everything that goes in, everything that comes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from konkordat.kernel.change import RequestMark
from konkordat.kernel.claim import ClaimId, DecidedClaim
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import NodeName, Origin, RecordKey
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.wire.messages import Heartbeat, Message, Page, Push

# Inputs ---------------------------------------------------------------------------------------


class Command(msgspec.Struct, frozen=True, tag=False):
    """A local write. Answered by exactly one Answered with the same `cause_id`."""

    cause_id: str
    actor: str
    body: Any  # for the domain; opaque here
    trace: str = ""
    request: RequestMark | None = None
    dry_run: bool = False  # decide and answer, write nothing


class Received(msgspec.Struct, frozen=True):
    """A decoded message of a peer. What it says is not trusted beyond its form."""

    peer: NodeName
    message: Message


class PeerJoined(msgspec.Struct, frozen=True):
    peer: NodeName


class PeerLeft(msgspec.Struct, frozen=True):
    peer: NodeName


class Tick(msgspec.Struct, frozen=True):
    """Time passes. The shell sends one every TICK_MS; every deadline inside is checked then."""


Input = Command | Received | PeerJoined | PeerLeft | Tick

# Outcomes of a command -------------------------------------------------------------------------


class Accepted(msgspec.Struct, frozen=True):
    """Durable. `records` are as the transaction left them (deleted ones included), `claims` what it claimed."""

    stamp: Stamp
    records: tuple[Record, ...]
    claims: tuple[DecidedClaim, ...]
    notes: Any
    frontier: Mapping[Origin, int]  # after the commit: the consistency token of the answer


class Replayed(msgspec.Struct, frozen=True):
    """The same request had its effect before. `keys` are the records it wrote."""

    keys: tuple[RecordKey, ...]
    frontier: Mapping[Origin, int]


Outcome = Accepted | Replayed | Refusal

# Effects: performed by the shell in order; all of them are about state that is already durable ---


class Answered(msgspec.Struct, frozen=True):
    cause_id: str
    outcome: Outcome


class Broadcast(msgspec.Struct, frozen=True):
    """Tell every peer, best effort."""

    message: Message


class Sent(msgspec.Struct, frozen=True):
    """Tell one peer, best effort."""

    peer: NodeName
    message: Message


class FeedEntry(msgspec.Struct, frozen=True, gc=False):
    """One change as it took effect here."""

    key: RecordKey
    stamp: Stamp
    seq: int  # with stamp.origin: the batch
    actor: str
    cause_id: str
    groups: tuple[str, ...]  # written groups; empty for a deletion
    record: Record  # after the commit (of several changes in one commit, all carry the last state)
    before_life: (
        int  # 0 if the record was unknown: with record.life it tells created, updated, deleted
    )


class Committed(msgspec.Struct, frozen=True):
    """The feed: what a commit changed, in the order of its application."""

    entries: tuple[FeedEntry, ...]
    claims: tuple[DecidedClaim, ...]  # claims whose decision changed, of whatever record
    frontier: Mapping[Origin, int]
    gone: tuple[ClaimId, ...] = ()  # claims of which nothing is told any more
    # What the commit knew anyway, so that those who tell of it need not read it again: records without an entry (a
    # claim of theirs was decided, or they were repaired), and of records touched in any way all that the index has of
    # their claims, by part. Both are as the commit leaves them. What is missing here must be read.
    records: Mapping[RecordKey, Record] = {}
    whole: Mapping[RecordKey, tuple[DecidedClaim, ...]] = {}


class Journaled(msgspec.Struct, frozen=True):
    """Something worth a log line: level, a past participle, and its circumstances."""

    level: str  # "info" | "warning" | "error"
    event: str  # "gap_pull_started", "digest_mismatch", "origin_quarantined" …
    fields: Mapping[str, Any] = {}


Effect = Answered | Broadcast | Sent | Committed | Journaled


def bodies_of(input_: Received) -> tuple[bytes, ...]:
    """The batches that a message carries."""
    message = input_.message
    return message.bodies if isinstance(message, Push | Page) else ()


Beat = tuple[NodeName, Heartbeat]  # and who sent it


def beats_of(inputs: Iterable[Input]) -> Iterator[Beat]:
    """The heartbeats among inputs."""
    for input_ in inputs:
        if isinstance(input_, Received) and isinstance(input_.message, Heartbeat):
            yield input_.peer, input_.message
