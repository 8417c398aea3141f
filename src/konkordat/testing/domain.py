"""The smallest domain that uses everything a replica offers: items of free fields, and bookings of resources.

It stands in for a real domain where a test is about replication. Its rules are few, so what a test sees is the
replica's doing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from konkordat.kernel import canonical
from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.ids import Collection, Group, NodeName, RecordKey, Tenant, record_key
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import Decide, SeatId, SeatSpec
from konkordat.replica.domain import PLAIN_CLAIM, Records, View, Wanted, Write, Writes

ITEMS: Final = Collection("items")
BOOKINGS: Final = Collection("bookings")
RESOURCES: Final = Collection("resources")
SLOT: Final = Group("slot")
CAPACITY: Final = Group("capacity")
CAPACITY_DEFAULT: Final = 1
PARENT: Final = Group("parent")  # what an item belongs to
# The farthest that a claim may reach, so that no hostile slot overflows a store's 64-bit column.
TIME_MS_MAX: Final = 1 << 53


class Put(msgspec.Struct, frozen=True):
    """Write groups of a record, whether it exists or not; None clears a group."""

    key: RecordKey
    fields: Mapping[str, Any]


class Remove(msgspec.Struct, frozen=True):
    """Delete a record. Refused (not_found) when it is not alive here."""

    key: RecordKey


class Book(msgspec.Struct, frozen=True):
    """Claim a resource for [start_ms, until_ms). Refused (conflict) when it is taken, unless `insists`."""

    key: RecordKey
    resource: str
    start_ms: int
    until_ms: int
    quantity: int = 1
    insists: bool = False


class Together(msgspec.Struct, frozen=True):
    """Several puts and removals as one transaction."""

    parts: tuple[Put | Remove, ...]
    reason: str = ""


TrialCommand = Put | Remove | Book | Together


def item(id: str, tenant: str = "acme") -> RecordKey:
    """The key of an item."""
    return record_key(tenant, ITEMS, id)


def booking(id: str, tenant: str = "acme") -> RecordKey:
    """The key of a booking."""
    return record_key(tenant, BOOKINGS, id)


def capacity_of(resource: str, capacity: int, tenant: str = "acme") -> Put:
    """The command that says how much of a resource there is."""
    return Put(record_key(tenant, RESOURCES, resource), {CAPACITY: capacity})


class TrialDomain:
    """Fulfils `replica.domain.Domain`."""

    def __init__(self, decided_at: str = "", decide: Decide = Decide.MAJORITY) -> None:
        self.decided_at = NodeName(decided_at)
        self.decide_by = decide

    def reads(self, command: TrialCommand) -> Iterable[RecordKey]:
        if isinstance(command, Together):
            return [part.key for part in command.parts]
        return [command.key]

    def decide(self, command: TrialCommand, view: View) -> Writes | Refusal:
        match command:
            case Book():
                return self._book(command, view)
            case Together(parts=parts, reason=reason):
                return self._together(parts, reason, view)
            case Put() | Remove():
                return self._together((command,), "", view)

    def _together(self, parts: Iterable[Put | Remove], reason: str, view: View) -> Writes | Refusal:
        writes = []
        for part in parts:
            if isinstance(part, Put):
                writes.append(Write(part.key, _encoded(part.fields)))
                continue
            present = view.record(part.key)
            if present is None or not present.alive:
                return Refusal("not_found", f"There is no {part.key.id}. Nothing was written.")
            writes.append(Write(part.key, deletes=True))
        return Writes(tuple(writes), reason=reason)

    def _book(self, command: Book, view: View) -> Writes | Refusal:
        if not 0 <= command.start_ms < command.until_ms <= TIME_MS_MAX or command.quantity < 0:
            return Refusal("bad_interval", "A booking ends after it starts. Nothing was written.")
        resource = Resource(command.key.tenant, command.resource)
        owner = view.record(self.capacity_owner(resource))
        granted = view.granted(resource, command.start_ms, command.until_ms)
        others = [claim for claim in granted if claim.id.owner != command.key]
        if not command.insists and not _fits(command, others, self.capacity(owner)):
            detail = f"{command.resource} is taken then. Nothing was written."
            return Refusal("conflict", detail, conflicts=tuple(others))
        slot = [command.resource, command.start_ms, command.until_ms, command.quantity]
        return Writes((Write(command.key, _encoded({SLOT: slot})),))

    def claim_groups(self, collection: Collection) -> frozenset[Group]:
        return _CLAIM_GROUPS.get(collection, frozenset())

    def claims(self, record: Record) -> Sequence[Claim]:
        register = record.fields.get(SLOT)
        if record.key.collection != BOOKINGS or register is None:
            return ()
        try:
            resource, start, until, quantity = _slot(register)
        except (canonical.UnreadableValue, msgspec.ValidationError):
            return ()  # a peer may write anything; what is no slot claims nothing
        if not 0 <= start < until <= TIME_MS_MAX or not 0 <= quantity <= TIME_MS_MAX:
            return ()
        claim_id = ClaimId(record.key, SLOT)
        wanted = Resource(record.key.tenant, resource)
        return (Claim(claim_id, wanted, start, until, quantity, register.stamp),)

    def capacity_owner(self, resource: Resource) -> RecordKey:
        return record_key(resource.tenant, RESOURCES, resource.name)

    def owned_resource(self, key: RecordKey) -> Resource | None:
        return Resource(key.tenant, key.id) if key.collection == RESOURCES else None

    def capacity(self, owner: Record | None) -> int:
        register = owner.fields.get(CAPACITY) if owner is not None else None
        if register is None:
            return CAPACITY_DEFAULT
        try:
            value = canonical.decode(register.value)
        except canonical.UnreadableValue:
            return CAPACITY_DEFAULT
        sound = isinstance(value, int) and not isinstance(value, bool)
        return max(0, value) if sound else CAPACITY_DEFAULT

    def seat(self, resource: Resource, records: Records) -> SeatSpec:  # noqa: ARG002 - the port's
        """One seat a tenant; its home is the node that `decided_at` names."""
        return SeatSpec(SeatId(f"{resource.tenant}/{RESOURCES}"), self.decided_at, self.decide_by)

    def seat_of(self, record: Record) -> SeatSpec | None:
        """A seat begins with the first thing of which there is only so much."""
        resource = self.owned_resource(record.key)
        return None if resource is None else self.seat(resource, _nothing)

    def seat_named(self, id: SeatId, records: Records) -> SeatSpec | None:
        tenant, _, name = id.partition("/")
        return self.seat(Resource(Tenant(tenant), ""), records) if name == RESOURCES else None

    def wanted(self, record: Record, claim: Claim) -> Wanted:  # noqa: ARG002 - the port's
        return PLAIN_CLAIM

    def parent(self, record: Record) -> str:
        register = record.fields.get(PARENT)
        try:
            value = canonical.decode(register.value) if register is not None else ""
        except canonical.UnreadableValue:
            return ""
        return value if isinstance(value, str) else ""


_CLAIM_GROUPS: Final = {BOOKINGS: frozenset({SLOT}), RESOURCES: frozenset({CAPACITY})}


def _encoded(fields: Mapping[str, Any]) -> dict[Group, bytes]:
    return {Group(name): canonical.encode(value) for name, value in fields.items()}


def _slot(register: Register) -> tuple[str, int, int, int]:
    value = canonical.decode(register.value)
    return msgspec.convert(value, tuple[str, int, int, int])


def _fits(command: Book, others: Iterable[Claim], capacity: int) -> bool:
    """A dumb twin of `kernel.claim.in_the_way`: look at every instant at which the load can rise."""
    rivals = list(others)
    edges = {command.start_ms, *(claim.start_ms for claim in rivals)}
    inside = [at for at in edges if command.start_ms <= at < command.until_ms]
    loads = [sum(c.quantity for c in rivals if c.start_ms <= at < c.until_ms) for at in inside]
    return max(loads) + command.quantity <= capacity


def trial_tenant(number: int) -> Tenant:
    """A tenant's name for tests that need several."""
    return Tenant(f"tenant-{number}")


def _nothing(_key: RecordKey) -> Record | None:
    return None
