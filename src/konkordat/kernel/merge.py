"""Merging: `apply` takes one change in, `join` takes a whole record in. Both are the same join, in two shapes."""

from __future__ import annotations

from konkordat.kernel.change import Change
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Collection, Group
from konkordat.kernel.policy import Policies, Register
from konkordat.kernel.record import Record


def lift(change: Change, stamp: Stamp, actor: str = "") -> Record:
    """The record that consists of this one change."""
    fields = {g: Register(stamp, v) for g, v in change.fields.items()} if change.life % 2 else {}
    return Record(change.key, change.life, fields, stamp, stamp, actor)


def apply(
    record: Record | None, change: Change, stamp: Stamp, actor: str, policies: Policies
) -> Record:
    """The record after one more change. Equal to `join(record, lift(change))`, without building what loses."""
    if record is None or change.life > record.life:
        return lift(change, stamp, actor)
    if change.life < record.life:
        return record
    fields = record.fields
    if change.fields and change.life % 2:
        fields = _with_changes(record, change, stamp, policies)
    touched, by = max((record.touched, record.actor), (stamp, actor))
    return Record(record.key, record.life, fields, min(record.born, stamp), touched, by)


def _with_changes(
    record: Record, change: Change, stamp: Stamp, policies: Policies
) -> dict[Group, Register]:
    fields = dict(record.fields)
    collection = record.key.collection
    for group, value in change.fields.items():
        theirs = Register(stamp, value)
        ours = fields.get(group)
        fields[group] = (
            theirs if ours is None else _joined(collection, group, ours, theirs, policies)
        )
    return fields


def _joined(
    collection: Collection, group: Group, ours: Register, theirs: Register, policies: Policies
) -> Register:
    if policies.only_lww and ours.stamp != theirs.stamp:
        return ours if ours.stamp > theirs.stamp else theirs
    return policies.of(collection, group).join(ours, theirs)


def join(ours: Record, theirs: Record, policies: Policies) -> Record:
    """The least record that holds all of both. Commutative, associative, idempotent."""
    assert ours.key == theirs.key
    if ours.life != theirs.life:
        return ours if ours.life > theirs.life else theirs
    fields = dict(ours.fields)
    for group, register in theirs.fields.items():
        mine = fields.get(group)
        fields[group] = (
            register
            if mine is None
            else _joined(ours.key.collection, group, mine, register, policies)
        )
    touched, actor = max((ours.touched, ours.actor), (theirs.touched, theirs.actor))
    return Record(ours.key, ours.life, fields, min(ours.born, theirs.born), touched, actor)


def next_life(record: Record | None, deletes: bool) -> int:
    """The life a new local write carries: the present one, or the next where the write creates, revives or deletes.

    Deleting what is unknown here ends its first life: whoever has that life unseen by us loses it too.
    """
    return later_life(record.life if record else 0, deletes)


def later_life(life: int, deletes: bool) -> int:
    """The same for a life that is known by its number; 0 for a record that is unknown."""
    if deletes:
        return life + 1 if life % 2 else max(life, 2)
    return life if life % 2 else life + 1
