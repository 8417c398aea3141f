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
from konkordat.kernel.seat import ALTERNATIVES_MAX, Decide, SeatId, SeatSpec
from konkordat.replica.domain import PLAIN_CLAIM, Records, View, Wanted, Write, Writes

ITEMS: Final = Collection("items")
BOOKINGS: Final = Collection("bookings")
RESOURCES: Final = Collection("resources")
SLOT: Final = Group("slot")
WISH: Final = Group("wish")  # what more a booking wants than its slot; written with it
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


class Wish(msgspec.Struct, frozen=True, array_like=True):
    """What a booking wants beside its slot; as `replica.domain.Wanted` has it."""

    also: tuple[tuple[str, int, int], ...] = ()  # other resources and times that would do
    replaces: tuple[str, ...] = ()  # ids of bookings whose places are let go for this one
    together: bool = False
    waits: bool = False
    expires_ms: int = 0


PLAIN_WISH: Final = Wish()


class Book(msgspec.Struct, frozen=True):
    """Claim a resource for [start_ms, until_ms). Refused (conflict) when it is taken, unless `insists`."""

    key: RecordKey
    resource: str
    start_ms: int
    until_ms: int
    quantity: int = 1
    insists: bool = False
    wish: Wish = PLAIN_WISH


class Together(msgspec.Struct, frozen=True):
    """Several commands as one transaction; bookings in it are not refused for what is in their way."""

    parts: tuple[Put | Remove | Book, ...]
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

    def __init__(
        self, decided_at: str | Sequence[str] = "", decide: Decide = Decide.MAJORITY
    ) -> None:
        """`decided_at` names the node at home; or several, each of a seat for its share of a tenant's resources."""
        homes = (decided_at,) if isinstance(decided_at, str) else decided_at
        self._homes = tuple([NodeName(home) for home in homes])
        self._decide_by = decide

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

    def _together(
        self, parts: Iterable[Put | Remove | Book], reason: str, view: View
    ) -> Writes | Refusal:
        writes = []
        for part in parts:
            if isinstance(part, Put):
                writes.append(Write(part.key, _encoded(part.fields)))
                continue
            if isinstance(part, Book):
                writes.append(_booked(part))
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
        return Writes((_booked(command),))

    def claim_groups(self, collection: Collection) -> frozenset[Group]:
        return _CLAIM_GROUPS.get(collection, frozenset())

    def claims(self, record: Record) -> Sequence[Claim]:
        found = self._claim(record)
        return () if found is None else (found,)

    def _claim(self, record: Record) -> Claim | None:
        register = record.fields.get(SLOT)
        if record.key.collection != BOOKINGS or register is None:
            return None
        try:
            resource, start, until, quantity = _slot(register)
        except (canonical.UnreadableValue, msgspec.ValidationError):
            return None  # a peer may write anything; what is no slot claims nothing
        if not _is_sound(start, until) or not 0 <= quantity <= TIME_MS_MAX:
            return None
        wanted = Resource(record.key.tenant, resource)
        return Claim(ClaimId(record.key, SLOT), wanted, start, until, quantity, register.stamp)

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
        """Seats share a tenant's resources by the last character of their names."""
        number = ord(resource.name[-1]) % len(self._homes) if resource.name else 0
        return self._spec(resource.tenant, number)

    def _spec(self, tenant: str, number: int) -> SeatSpec:
        id = SeatId(f"{tenant}/{RESOURCES}" + (f"/{number}" if number else ""))
        return SeatSpec(id, self._homes[number], self._decide_by)

    def seat_of(self, record: Record) -> SeatSpec | None:
        """A seat begins with the first thing of which there is only so much."""
        resource = self.owned_resource(record.key)
        return None if resource is None else self.seat(resource, _nothing)

    def seat_named(self, id: SeatId, records: Records) -> SeatSpec | None:  # noqa: ARG002 - the port's
        tenant = id.partition("/")[0]
        specs = (self._spec(tenant, number) for number in range(len(self._homes)))
        return next((spec for spec in specs if spec.id == id), None)

    def wanted(self, record: Record, claim: Claim) -> Wanted:
        register = record.fields.get(WISH)
        if register is None or register.stamp != claim.stamp:
            return PLAIN_CLAIM
        try:
            wish = msgspec.convert(canonical.decode(register.value), Wish)
        except (canonical.UnreadableValue, msgspec.ValidationError):
            return PLAIN_CLAIM
        also = [
            msgspec.structs.replace(
                claim, resource=Resource(record.key.tenant, name), start_ms=start, until_ms=until
            )
            for name, start, until in wish.also[:ALTERNATIVES_MAX]
            if _is_sound(start, until)
        ]
        others = [ClaimId(booking(id, record.key.tenant), SLOT) for id in wish.replaces]
        return Wanted(tuple(also), tuple(others), wish.together, wish.waits, wish.expires_ms)

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


def _booked(command: Book) -> Write:
    slot = [command.resource, command.start_ms, command.until_ms, command.quantity]
    wish = None if command.wish == PLAIN_WISH else msgspec.to_builtins(command.wish)
    return Write(command.key, _encoded({SLOT: slot, WISH: wish}))


def _is_sound(start_ms: int, until_ms: int) -> bool:
    return 0 <= start_ms < until_ms <= TIME_MS_MAX


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
