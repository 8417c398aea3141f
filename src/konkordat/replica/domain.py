"""The port through which a domain takes part in a replica. The replica knows nothing of rooms or
sessions.

All of it is pure. `decide` may refuse a local command; nothing here can refuse a remote change, or
copies would diverge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.ids import Collection, Group, NodeName, RecordKey, Tenant
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import SeatId, SeatSpec

Records = Callable[[RecordKey], Record | None]  # looks a record up, deleted ones included


class View(Protocol):
    """The state a command is decided on: what is committed, and what earlier commands of the same commit wrote."""

    now_ms: int
    roster: int  # version of the latest roster known here; 0 where nobody decides by seats
    members: frozenset[NodeName]  # of that roster

    def record(self, key: RecordKey) -> Record | None:
        """A record, deleted ones included. Free for keys named by `Domain.reads`, one query for any other."""

    def granted(self, resource: Resource, start_ms: int, until_ms: int) -> Sequence[Claim]:
        """The claims that hold a place on a resource in that time, or wait for the decision whether they do. None
        that ended, whether that is decided yet or not."""

    def taken(self, resource: Resource, start_ms: int, until_ms: int) -> int:
        """How much of a resource these take: of each record the largest quantity, added up. It costs the same however
        many they are, where a resource is always asked about for the same time. What ends counts until that is decided.
        """

    def held(self, owners: Iterable[RecordKey]) -> Sequence[Claim]:
        """Of these records, the claims that hold a place or wait for the decision. One query for all of them."""

    def living(self, tenant: Tenant, collection: Collection, parent: str) -> int:
        """How many records of a collection have that parent and are alive. One query."""


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


class Wanted(msgspec.Struct, frozen=True):
    """What a record says about one of its claims beside the claim itself."""

    # Other places that would do, in order of liking. Same id and stamp as the claim; ALTERNATIVES_MAX at most.
    alternatives: tuple[Claim, ...] = ()
    # Claims, of whatever record, whose places are let go when this one is granted, and only then. A claim's own old
    # place is let go in any case.
    replaces: tuple[ClaimId, ...] = ()
    # Granted only with all claims of the same stamp and the same seat that say so too, or not at all.
    together: bool = False
    waits: bool = False  # asked again, in order of stamps, when it was denied and a place frees
    # The place is let go by itself then, Unix ms; 0: never.
    expires_ms: int = 0


PLAIN_CLAIM = Wanted()


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

    def seat(self, resource: Resource, records: Records) -> SeatSpec | None:
        """The seat that decides the claims on a resource. It must not depend on anything that may change while places
        are granted. None: not known, as long as a record is not here that tells; such claims wait. Never asked for
        claims of quantity 0, which nobody decides.
        """

    def seat_of(self, record: Record) -> SeatSpec | None:
        """The seat that exists because of this record (a venue), whether anything was claimed there or not."""

    def seat_named(self, id: SeatId, records: Records) -> SeatSpec | None:
        """The seat of that name, as the records say now; None if they say nothing of it."""

    def wanted(self, record: Record, claim: Claim) -> Wanted:
        """More about one of `claims(record)`; `PLAIN_CLAIM` if there is no more to it."""

    def parent(self, record: Record) -> str:
        """What the record belongs to, for listing: an event's id, or ""."""
