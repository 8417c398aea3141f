"""A programme in a dict: the smallest node that commands can be decided on. No network, no store, the real kernel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from konkordat.kernel import canonical
from konkordat.kernel.change import Change
from konkordat.kernel.claim import Claim, ClaimState, DecidedClaim, Resource, decide
from konkordat.kernel.hlc import Hlc, Stamp, hlc_at
from konkordat.kernel.ids import Collection, Group, NodeName, Origin, RecordKey, Tenant, record_key
from konkordat.kernel.merge import apply, next_life
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.replica.domain import Writes
from konkordat.schedule.alternatives import Asking, free_times
from konkordat.schedule.commands import Operation, WriteCommand, WriteNotes, operation
from konkordat.schedule.domain import ScheduleDomain
from konkordat.schedule.registry import COLLECTIONS
from konkordat.schedule.rulebook import Rulebook
from konkordat.schedule.slots import plan_from

TENANT = Tenant("acme")
LWW = Policies()
NOW_MS = 1_811_764_800_000  # 2027-05-31T12:00Z


def uid(name: str) -> str:
    """A UUIDv7 for a name."""
    digits = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
    return f"01970000-{digits[:4]}-7{digits[4:7]}-8{digits[7:10]}-{digits[10:22]}"


class World:
    """One node's records; fulfils the View."""

    def __init__(self, node: str = "zurich") -> None:
        self.now_ms = NOW_MS
        self.roster = 1
        self.members: frozenset[NodeName] = frozenset()
        self.domain = ScheduleDomain()
        self.records: dict[RecordKey, Record] = {}
        self.log: list[tuple[Change, Stamp]] = []
        self.origin = Origin(f"{node}.1")
        self._clock = 0

    # View ------------------------------------------------------------------------------------

    def record(self, key: RecordKey) -> Record | None:
        return self.records.get(key)

    def granted(self, resource: Resource, start_ms: int, until_ms: int) -> Sequence[Claim]:
        held = [d.claim for d in self.decisions(resource) if d.state is ClaimState.CONFIRMED]
        return [c for c in held if c.start_ms < until_ms and start_ms < c.until_ms]

    def taken(self, resource: Resource, start_ms: int, until_ms: int) -> int:
        return sum(claim.quantity for claim in self.granted(resource, start_ms, until_ms))

    def held(self, owners: Iterable[RecordKey]) -> Sequence[Claim]:
        made = [c for key in owners if (r := self.record(key)) for c in self.domain.claims(r)]
        resources = dict.fromkeys(claim.resource for claim in made if claim.quantity)
        granted = {c.id: c for r in resources for c in self.granted(r, -(1 << 60), 1 << 60)}
        return [granted[claim.id] for claim in made if claim.id in granted]

    def living(self, tenant: Tenant, collection: Collection, parent: str) -> int:
        of = [
            r
            for r in self.records.values()
            if (r.key.tenant, r.key.collection) == (tenant, collection)
        ]
        return sum(r.alive and self.domain.parent(r) == parent for r in of)

    def decisions(self, resource: Resource) -> list[DecidedClaim]:
        claims = [c for r in self.records.values() for c in self.domain.claims(r)]
        owner = self.domain.capacity_owner(resource)
        capacity = self.domain.capacity(self.records.get(owner) if owner else None)
        return list(decide((c for c in claims if c.resource == resource), capacity).values())

    # Writing ---------------------------------------------------------------------------------

    def decide(
        self, *ops: Operation, reason: str = "", tenant: Tenant = TENANT
    ) -> Writes | Refusal:
        return self.domain.decide(WriteCommand(tenant, ops, reason), self)

    def carry_out(self, *ops: Operation, reason: str = "", tenant: Tenant = TENANT) -> WriteNotes:
        decision = self.decide(*ops, reason=reason, tenant=tenant)
        assert isinstance(decision, Writes), decision
        self._clock += 1
        stamp = Stamp(Hlc(hlc_at(NOW_MS) + self._clock), self.origin)
        for write in decision.writes:
            life = next_life(self.records.get(write.key), write.deletes)
            self.receive(Change(write.key, life, write.fields), stamp)
        notes: WriteNotes = decision.notes
        return notes

    def receive(self, change: Change, stamp: Stamp) -> None:
        """What a peer or this node itself wrote. Nothing can be refused here."""
        self.log.append((change, stamp))
        record = apply(self.records.get(change.key), change, stamp, "", LWW)
        self.records[change.key] = record

    def refused(self, *ops: Operation, reason: str = "", tenant: Tenant = TENANT) -> Refusal:
        before = dict(self.records)
        decision = self.decide(*ops, reason=reason, tenant=tenant)
        assert isinstance(decision, Refusal), decision
        assert self.records == before
        return decision

    def free_instead(self, refusal: Refusal) -> list[dict[str, Any]]:
        """Other times for what was refused because a place is taken."""
        wished = refusal.extra["wished"]
        key = record_key(TENANT, "sessions", wished["session"])

        def values(collection: Collection, id: object) -> dict[Group, bytes] | None:
            record = self.records.get(record_key(TENANT, collection, str(id)))
            if record is None or not record.alive:
                return None
            return {group: register.value for group, register in record.fields.items()}

        def holders(resource: Resource, start_ms: int, until_ms: int) -> list[Claim]:
            held = self.granted(resource, start_ms, until_ms)
            return [claim for claim in held if claim.id.owner != key]

        book = Rulebook(TENANT, values, NOW_MS)
        (wish,) = plan_from(canonical.encode(wished["slot"])).candidates
        return free_times(Asking(book, holders, key, wished["event"]), book.buffered(wish))

    # Reading ---------------------------------------------------------------------------------

    def get(self, collection: str, name: str) -> Record:
        return self.records[record_key(TENANT, collection, uid(name))]

    def value(self, collection: str, name: str, group: str) -> Any:
        register = self.get(collection, name).fields.get(Group(group))
        return None if register is None else canonical.decode(register.value)

    def states(self, place: str = "room/hall") -> dict[str, str]:
        """Sessions on a place by title, with what became of their claims."""
        kind, _, name = place.partition("/")
        decided = self.decisions(Resource(TENANT, f"{kind}/{uid(name)}"))
        return {_title(self.records[d.claim.id.owner]): str(d.state) for d in decided}


def _title(record: Record) -> str:
    return str(canonical.decode(record.fields[Group("title.de")].value))


# Operations ---------------------------------------------------------------------------------------


def body(collection: str, /, **fields: Any) -> msgspec.Struct:
    return msgspec.convert(fields, COLLECTIONS[collection].body)


def create(collection: str, name: str, /, **fields: Any) -> Operation:
    return write("create", collection, name, **fields)


def write(op: Any, collection: str, name: str, /, **fields: Any) -> Operation:
    return operation(op, collection, uid(name), body(collection, **fields))


def patch(collection: str, name: str, /, **fields: Any) -> Operation:
    made = msgspec.convert(fields, COLLECTIONS[collection].patch)
    return operation("patch", collection, uid(name), made)


def delete(collection: str, name: str) -> Operation:
    return operation("delete", collection, uid(name))


def but(op: Operation, /, **changes: Any) -> Operation:
    """The operation with other conditions or options."""
    return msgspec.structs.replace(op, **changes)


def slot(start: str, minutes: int = 60, room: str = "hall", **more: Any) -> dict[str, Any]:
    """A slot on 1 June 2027 unless the start names another day."""
    local = start if "T" in start else f"2027-06-01T{start}"
    place = {} if "booth" in more or not room else {"room": uid(room)}
    return {
        **place,
        "local_start": local,
        "time_zone": "Europe/Zurich",
        "duration_minutes": minutes,
        **more,
    }


def talk(name: str, at: dict[str, Any] | None = None, /, **more: Any) -> Operation:
    fields: dict[str, Any] = {"event": uid("forum"), "title": {"de": name}, **more}
    if at is not None:
        fields["slot"] = at
    return create("sessions", name, **fields)


FORUM = (
    create("venues", "kkl", name={"de": "Haus"}, time_zone="Europe/Zurich"),
    create("rooms", "hall", venue=uid("kkl"), name={"de": "Saal"}, capacity=100),
    create("rooms", "attic", venue=uid("kkl"), name={"de": "Estrich"}),
    create("booths", "stand", venue=uid("kkl"), name={"de": "Stand"}),
    create("speakers", "anna", name="Anna Fischer"),
    create("speakers", "marc", name="Marc Weber"),
    create(
        "events",
        "forum",
        slug="forum-2027",
        name={"de": "Forum"},
        time_zone="Europe/Zurich",
        start_date="2027-06-01",
        end_date="2027-06-03",
        venues=[uid("kkl")],
    ),
)


def forum(world: World | None = None) -> World:
    """Three days in Zurich: one venue, two rooms, a booth, two speakers."""
    world = world or World()
    world.carry_out(*FORUM)
    return world
