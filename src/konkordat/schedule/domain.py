"""The event domain as a replica sees it: commands are decided here, before they are written.

A command is decided as a whole, on the state that it would leave: its operations may refer to each other in any order,
and two sessions may swap their rooms.

    operations → drafts          presence, conditions, bodies                    `Draft`
    drafts → foundations         what seats rest on stays
    drafts → series              a session for each occurrence                   `Expansion`
    drafts → expiries            when holds end
    drafts → zones               every time zone is known
    drafts → references          what is referred to is there
    drafts → places              day, hours, room; what does not fit             `Places`
    drafts → registrations       seats that are left                             `Registrations`
    drafts → names               releases of other names
    drafts → deletions           nothing that others still need                  `Needs`
    drafts → writes and notes    soft clashes, effects
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from konkordat.kernel import canonical
from konkordat.kernel.claim import Claim, Resource
from konkordat.kernel.ids import Collection, Group, RecordId, RecordKey
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import SeatId, SeatSpec
from konkordat.replica.domain import Records, View, Wanted, Writes
from konkordat.schedule import claims, rules, seats, wishes
from konkordat.schedule.afterwards import Afterwards
from konkordat.schedule.commands import (
    NULL,
    WARNINGS_MAX,
    Effect,
    WriteCommand,
    WriteNotes,
    WriteWarning,
    key_of,
    singular,
)
from konkordat.schedule.drafts import Draft
from konkordat.schedule.expiry import settle_expiry
from konkordat.schedule.foundations import check_foundations, note_roster, unknown_region
from konkordat.schedule.keys import collections_of
from konkordat.schedule.needed import Needs
from konkordat.schedule.people import People
from konkordat.schedule.places import Places
from konkordat.schedule.registrations import Registrations
from konkordat.schedule.releases import RESERVED_NAME
from konkordat.schedule.rules import Found, located, references
from konkordat.schedule.series import SERIES, Expansion
from konkordat.schedule.times import UnknownTimeZone, zone

TIME_ZONE: Final = Group("time_zone")


class ScheduleDomain:
    """Fulfils `replica.domain.Domain`. Stateless."""

    def reads(self, command: WriteCommand) -> Iterable[RecordKey]:
        """The records an answer depends on, as far as the command itself tells."""
        collections = collections_of(command.tenant)
        for op in command.operations:
            yield key_of(command, op)
            if op.hold:
                yield RecordKey(command.tenant, claims.HOLDS, RecordId(op.hold))
            spec = collections[op.collection]
            for values in (op.groups, op.unit_patches):
                for found in references(spec, values, values):
                    yield _referred(command, found)

    def decide(self, command: WriteCommand, view: View) -> Writes | Refusal:
        return _Decision(command, view).decide()

    def claim_groups(self, collection: Collection) -> frozenset[Group]:
        return claims.CLAIM_GROUPS.get(collection, claims.NO_GROUPS)

    def claims(self, record: Record) -> Sequence[Claim]:
        return claims.claims_of(record)

    def capacity_owner(self, resource: Resource) -> RecordKey | None:
        return claims.capacity_owner(resource)

    def owned_resource(self, key: RecordKey) -> Resource | None:
        return claims.owned_resource(key)

    def capacity(self, owner: Record | None) -> int:
        return claims.capacity_of(owner)

    def seat(self, resource: Resource, records: Records) -> SeatSpec | None:
        return seats.seat_for(resource, records)

    def seat_of(self, record: Record) -> SeatSpec | None:
        return seats.seat_of(record)

    def seat_named(self, id: SeatId, records: Records) -> SeatSpec | None:
        return seats.seat_named(id, records)

    def wanted(self, record: Record, claim: Claim) -> Wanted:
        return wishes.wanted(record, claim)

    def parent(self, record: Record) -> str:
        """A session belongs to its event, a registration to its session, a room or booth to its venue."""
        field = _PARENTS.get(record.key.collection)
        value = claims.value_of(record, field) if field else None
        return value if isinstance(value, str) else ""


_PARENTS = {
    claims.SESSIONS: Group("event"),
    claims.ROOMS: Group("venue"),
    claims.BOOTHS: Group("venue"),
    claims.REGISTRATIONS: claims.SESSION,
    claims.HOLDS: Group("event"),
    SERIES: Group("event"),
    claims.RELEASES: claims.EVENT,
    claims.RELEASE_PARTS: claims.EVENT,
}


class _Decision:
    """One command on its way to writes. Used once."""

    def __init__(self, command: WriteCommand, view: View) -> None:
        self.command = command
        self.view = view
        self.drafts: dict[RecordKey, Draft] = {}
        self.effects: list[Effect] = []
        self.after = Afterwards(command.tenant, view, self.drafts)
        self.series = Expansion(command, view, self.drafts)
        self.places = Places(command, view, self.drafts, self.after)
        self.registrations = Registrations(view, self.drafts, self.after)
        self.people = People(self.drafts, self.after, self.places)
        self.needs = Needs(view, self.drafts, self.places)

    def decide(self) -> Writes | Refusal:
        refusal = (
            self._take_operations()
            or self._check_foundations()
            or self.series.settle()
            or self._settle_expiries()
            or self._check_zones()
            or self._check_references()
            or self.places.settle()
            or self.registrations.settle()
            or self._check_names()
            or self.needs.check_deletions()
        )
        if refusal is not None:
            return self._located(refusal)
        self.series.except_skipped()
        written = (draft.write() for draft in self.drafts.values())
        writes = tuple([write for write in written if write is not None])
        return Writes(writes, self._notes(), self.command.override_reason)

    def _take_operations(self) -> Refusal | None:
        collections = collections_of(self.command.tenant)
        for number, op in enumerate(self.command.operations):
            key = key_of(self.command, op)
            draft = self.drafts.get(key)
            if draft is None:
                draft = Draft(key, collections[op.collection], self.view.record(key))
                self.drafts[key] = draft
            effect = draft.take(op, number)
            if isinstance(effect, Refusal):
                return located(effect, number)
            self.effects.append(effect)
        return None

    def _check_foundations(self) -> Refusal | None:
        for draft in self.drafts.values():
            refusal = check_foundations(draft)
            if refusal is not None:
                return located(refusal, draft.operation)
            note_roster(draft, self.view.roster)
        return None

    def _settle_expiries(self) -> Refusal | None:
        for draft in self.drafts.values():
            refusal = settle_expiry(draft, self.view.now_ms)
            if refusal is not None:
                return located(refusal, draft.operation)
        return None

    def _check_zones(self) -> Refusal | None:
        """An event or venue in a zone that nobody knows could never be told when anything there begins."""
        for draft in self.drafts.values():
            name = draft.writes.get(TIME_ZONE, NULL)
            if name == NULL or draft.deletes:
                continue
            found = zone(str(canonical.decode(name)))
            if isinstance(found, UnknownTimeZone):
                refusal = Refusal(found.code, f"{found}.", f"/{TIME_ZONE}")
                return located(refusal, draft.operation)
        return None

    # References ----------------------------------------------------------------------------------

    def _check_references(self) -> Refusal | None:
        for draft in self.drafts.values():
            if not draft.writes or draft.deletes:
                continue
            for found in references(draft.spec, draft.values, draft.writes):
                if self.after.of(_referred(self.command, found)) is not None:
                    continue
                refusal = Refusal(
                    "unknown_reference",
                    f"There is no {singular(found.collection)} {found.id} here.",
                    found.pointer,
                )
                if not self._drops(draft, found, refusal):
                    return located(refusal, draft.operation)
        return None

    def _drops(self, draft: Draft, found: Found, refusal: Refusal) -> bool:
        """A slot in an unknown room is dropped where the command asked for that."""
        if not found.pointer.startswith("/slot/"):
            return False
        return self.places.drop(draft, refusal)

    def _check_names(self) -> Refusal | None:
        """Whether a release has the name of another one of the event."""
        for draft in self.drafts.values():
            if draft.key.collection != claims.RELEASES or draft.was_alive or not draft.alive:
                continue
            event, name = (str(rules.read(draft.values, group)) for group in ("event", "name"))
            resource = Resource(draft.key.tenant, claims.release_name(event, name))
            held = self.view.granted(resource, *claims.SEATS_TIME)
            if name == RESERVED_NAME or any(claim.id.owner != draft.key for claim in held):
                what = (
                    f"{name!r} means the present"
                    if name == RESERVED_NAME
                    else f"The event has a release {name!r}"
                )
                detail = f"{what}. A release never changes; take another name."
                return located(Refusal("release_exists", detail, "/name"), draft.operation)
        return None

    # The answer ----------------------------------------------------------------------------------

    def _notes(self) -> WriteNotes:
        warnings = [
            *self.places.warnings(),
            *self.people.warnings(),
            *self.registrations.warnings(),
            *self.needs.warnings(),
            *self._unknown_regions(),
        ]
        keys = [key_of(self.command, op) for op in self.command.operations]
        effects: list[Effect] = [
            _effect(self.drafts[key], effect)
            for key, effect in zip(keys, self.effects, strict=True)
        ]
        return WriteNotes(
            tuple(effects),
            tuple(warnings[:WARNINGS_MAX]),
            tuple(self.places.dropped),
            len(warnings) > WARNINGS_MAX,
            self.series.notes(),
        )

    def _unknown_regions(self) -> list[WriteWarning]:
        members = self.view.members
        found = (
            (unknown_region(draft, members) for draft in self.drafts.values()) if members else ()
        )
        return [warning for warning in found if warning is not None]

    def _located(self, refusal: Refusal) -> Refusal:
        """Of a command with one operation, the request itself is the place."""
        if len(self.command.operations) > 1:
            return refusal
        extra = {name: value for name, value in refusal.extra.items() if name != "operation"}
        return msgspec.structs.replace(refusal, extra=extra)


def _effect(draft: Draft, effect: Effect) -> Effect:
    """What an operation came to in the end: what a command says again may be claimed anew."""
    if draft.is_as_it_was:
        return "unchanged"
    return "updated" if effect == "unchanged" else effect


def _referred(command: WriteCommand, found: Found) -> RecordKey:
    return RecordKey(command.tenant, Collection(found.collection), RecordId(found.id))
