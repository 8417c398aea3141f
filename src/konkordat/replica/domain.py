"""The port through which a domain takes part in a replica. The replica knows nothing of rooms or
sessions.

All of it is pure. `decide` may refuse a local command; nothing here can refuse a remote change, or
copies would diverge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from konkordat.kernel.claim import Claim, Resource
from konkordat.kernel.ids import Collection, Group, RecordKey
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal


class View(Protocol):
    """The state a command is decided on: what is committed, and what earlier commands of the same commit wrote."""

    now_ms: int

    def record(self, key: RecordKey) -> Record | None:
        """A record, deleted ones included. Free for keys named by `Domain.reads`, one query for any other."""

    def granted(self, resource: Resource, start_ms: int, until_ms: int) -> Sequence[Claim]:
        """The claims that hold a place on a resource in that time."""


class Write(NamedTuple):
    """What a command does to one record."""

    key: RecordKey
    fields: Mapping[Group, bytes] = {}  # canonical JSON per group; b"null" clears
    deletes: bool = False


class Writes(msgspec.Struct, frozen=True):
    """A command's decision to go ahead. One transaction."""

    writes: tuple[Write, ...]
    notes: Any = None  # handed back to whoever sent the command (warnings, what happened to a slot)
    reason: str = ""  # why a rule was overridden, for the audit trail


class Domain(Protocol):
    """Commands in, decisions out; and what of a record is scarce."""

    def reads(self, command: Any) -> Iterable[RecordKey]:
        """The records that `decide` will look at: loaded for all commands of a commit in one query."""

    def decide(self, command: Any, view: View) -> Writes | Refusal: ...

    def claim_groups(self, collection: Collection) -> frozenset[Group]:
        """The groups that `claims` and `capacity` look at: a change of others cannot change what is scarce."""

    def claims(self, record: Record) -> Sequence[Claim]:
        """What the record claims in its present state; empty for a deleted one."""

    def capacity_owner(self, resource: Resource) -> RecordKey | None:
        """The record that says how much of the resource there is."""

    def owned_resource(self, key: RecordKey) -> Resource | None:
        """The resource whose capacity this record says; the inverse of `capacity_owner`."""

    def capacity(self, owner: Record | None) -> int:
        """How much there is. Of a record not (yet) seen: the default."""

    def parent(self, record: Record) -> str:
        """What the record belongs to, for listing: an event's id, or ""."""
