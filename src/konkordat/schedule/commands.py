"""What a client asks of the schedule, and what it is told besides the records: commands, notes, ETags.

A command is made on the API's side from a validated body, so the owner of the data never parses or validates bodies;
it only looks at what depends on the present state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct

from konkordat.kernel import canonical
from konkordat.kernel.digest import FINGERPRINT_BYTES, fingerprint
from konkordat.kernel.ids import Collection, Group, RecordId, RecordKey, Tenant
from konkordat.kernel.record import Record
from konkordat.schedule.registry import COLLECTIONS, CollectionSpec, FieldKind, to_groups

OpName = Literal["create", "put", "patch", "upsert", "delete"]
OnConflict = Literal["fail", "tentative", "without_slot", "skip_occurrence"]
Effect = Literal["created", "updated", "deleted", "unchanged"]

WARNINGS_MAX: Final = 100  # in the notes of one command; nobody reads more, and `truncated` says so
NULL: Final = b"null"


def singular(collection: str) -> str:
    """What one record of a collection is called in a sentence."""
    one = collection if collection == "series" else collection.removesuffix("s")
    return one.replace("_", " ")


class Operation(Struct, frozen=True):
    """One write of one record. Make it with `operation`."""

    op: OpName
    collection: Collection
    id: RecordId
    # Group -> canonical JSON; b"null" clears. Of a whole body: everything that differs from the defaults.
    groups: Mapping[Group, bytes] = {}
    # Group -> canonical JSON object: a merge patch of a unit (slot, recording), merged with what the unit is then.
    unit_patches: Mapping[Group, bytes] = {}
    cleared_maps: tuple[str, ...] = ()  # fields of which every key is cleared ("subtitle": null)
    if_match: tuple[str, ...] = ()  # ETags as sent, or "*"; empty: no condition
    if_none_match_any: bool = False  # If-None-Match: *
    # What to do with a slot that does not fit: refuse the command; write it and wait for the place; write the rest
    # without it; of a series, leave that occurrence out.
    on_conflict: OnConflict = "fail"
    hold: str = ""  # id of a hold whose place the slot takes over


class WriteCommand(Struct, frozen=True):
    """Operations that take effect together or not at all. At most TRANSACTION_CHANGES_MAX."""

    tenant: Tenant
    operations: tuple[Operation, ...]
    # Why a rule that may be overridden is overridden; "" = it is not. Goes into the audit trail.
    override_reason: str = ""
    # The places asked for are granted all together or not at all: refuse what no seat can decide so. Without it, up to
    # BUNDLE_WISHES_MAX are, as far as they lie at one venue.
    together: bool = False


class WriteWarning(Struct, frozen=True):
    """A soft rule that what was written breaks. Nothing was refused."""

    code: str  # speaker_clash | speaker_unavailable | speaker_gap | room_too_small …
    detail: str
    operation: int  # index in the command
    pointer: str  # into the operation's body
    session: str
    others: tuple[str, ...] = ()  # the sessions it clashes with
    speaker: str | None = None


class DroppedSlot(Struct, frozen=True):
    """A session that was written without the slot it asked for."""

    operation: int
    session: str
    code: str  # slot_taken, outside_event, unknown_reference …
    detail: str
    slot: Any  # as asked for
    in_the_way: tuple[str, ...] = ()  # the sessions that are there


class SkippedOccurrence(Struct, frozen=True):
    """An occurrence of a series that was left out."""

    recurrence_id: str
    code: str
    detail: str
    in_the_way: tuple[str, ...] = ()  # ids of what is there


class ShownOccurrence(Struct, frozen=True):
    """An occurrence of a series, and its session."""

    recurrence_id: str
    session: str


class SeriesNote(Struct, frozen=True):
    """What became of a series."""

    operation: int
    occurrences: tuple[ShownOccurrence, ...]
    skipped: tuple[SkippedOccurrence, ...] = ()


class WriteNotes(Struct, frozen=True):
    """What a command's answer says besides the records. One effect for each operation, in order."""

    effects: tuple[Effect, ...] = ()
    warnings: tuple[WriteWarning, ...] = ()
    dropped_slots: tuple[DroppedSlot, ...] = ()
    truncated: bool = False  # there were more warnings
    series: tuple[SeriesNote, ...] = ()


def operation(
    op: OpName,
    collection: str,
    id: str,
    body: Struct | None = None,
    *,
    spec: CollectionSpec | None = None,
    if_match: tuple[str, ...] = (),
    if_none_match_any: bool = False,
    on_conflict: OnConflict = "fail",
) -> Operation:
    """An operation from a validated body (create, put, upsert), patch (patch) or nothing (delete).

    `spec` only for collections outside the schedule. Raises canonical.UnfitValue for a value that cannot be kept.
    """
    spec = spec or COLLECTIONS[collection]
    groups: dict[Group, bytes] = {}
    units: dict[Group, bytes] = {}
    cleared: list[str] = []
    hold = ""
    if op == "patch":
        assert body is not None
        hold = _split_patch(spec, body, groups, units, cleared)
    elif op != "delete":
        assert body is not None
        plain = to_groups(spec, body)
        hold = _take_hold(plain.get("slot"))
        groups = {Group(g): canonical.encode(value) for g, value in plain.items()}
    return Operation(
        op,
        Collection(collection),
        RecordId(id),
        groups,
        units,
        tuple(cleared),
        if_match,
        if_none_match_any,
        on_conflict,
        hold,
    )


def _take_hold(slot: Any) -> str:
    """Take the hold out of a slot: it says how to get the place, not where that is."""
    taken = slot.pop("hold", None) if isinstance(slot, dict) else None
    return taken or ""


def _split_patch(
    spec: CollectionSpec,
    patch: Struct,
    groups: dict[Group, bytes],
    units: dict[Group, bytes],
    cleared: list[str],
) -> str:
    """Sort a patch into what can be written as it is and what must be merged with the present record. Returns the hold
    that its slot takes over."""
    hold = ""
    for field in spec.fields:
        value = getattr(patch, field.name)
        if value is UNSET:
            continue
        plain = msgspec.to_builtins(value)
        if field.kind is FieldKind.MAP and plain is None:
            cleared.append(field.name)
        elif field.kind is FieldKind.MAP:
            for key, text in plain.items():
                groups[Group(f"{field.name}.{key}")] = canonical.encode(text)
        elif field.kind is FieldKind.UNIT and plain is not None:
            hold = _take_hold(plain) if field.name == "slot" else hold
            units[Group(field.name)] = canonical.encode(plain)
        else:
            groups[Group(field.name)] = canonical.encode(plain)
    return hold


def key_of(command: WriteCommand, operation: Operation) -> RecordKey:
    """The record that an operation writes."""
    return RecordKey(command.tenant, operation.collection, operation.id)


def etag(record: Record) -> str:
    """The strong entity tag of a record, quoted: the same at every node that has the same state of it."""
    return f'"{fingerprint(record):0{2 * FINGERPRINT_BYTES}x}"'


def matches(record: Record | None, if_match: tuple[str, ...]) -> bool:
    """RFC 9110 §13.1.1: strong comparison, and "*" for whatever exists. No condition always holds."""
    if not if_match:
        return True
    if record is None or not record.alive:
        return False
    return "*" in if_match or etag(record) in if_match
