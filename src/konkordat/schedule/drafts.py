"""The records of a command while it is decided: what they were, and what its operations make of them.

Several operations may write one record; they become one write. Nothing here looks at other records.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from konkordat.kernel import canonical
from konkordat.kernel.ids import Group, RecordKey
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.replica.domain import Write
from konkordat.schedule.claims import CANCELLED, REGISTRATIONS, decoded
from konkordat.schedule.commands import NULL, Effect, Operation, matches, singular
from konkordat.schedule.keys import API_KEYS, REVOKED
from konkordat.schedule.registry import CollectionSpec, checked

_WHERE: Final = re.compile(r" - at `\$([^`]*)`$")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
# A session's fields stand alone, but for these; in every other collection patches are rare and always checked whole.
_CHECKED_IN_SESSIONS: Final = frozenset({Group("speakers"), Group("event")})


class Draft:
    """One record in the making."""

    __slots__ = (
        "_again",
        "_dirty",
        "alive",
        "base",
        "deletes",
        "hold",
        "key",
        "named",
        "occurrence",
        "operation",
        "skipped",
        "spec",
        "values",
        "writes",
    )

    def __init__(self, key: RecordKey, spec: CollectionSpec, base: Record | None) -> None:
        self.key = key
        self.spec = spec
        self.base = base  # as the store has it
        self.alive = base is not None and base.alive  # after the operations so far
        # Group -> value now. Cleared groups hold null, groups of newer releases are kept.
        self.values: dict[Group, bytes] = (
            {group: register.value for group, register in base.fields.items()}
            if base is not None
            else {}
        )
        self.writes: dict[Group, bytes] = {}
        self.named: set[Group] = set()  # groups that an operation says, also as they are
        self.deletes = False
        self.hold = ""  # id of the hold whose place its slot takes over
        self.occurrence = ""  # of a series that makes it: its wall time by the rule
        self.skipped: Refusal | None = None  # why it is not written after all
        self.operation = 0  # index of the last operation on it, for pointing at
        self._dirty = False  # an operation has already changed it
        self._again: set[Group] = set()  # written as they are, see `claim_again`

    @property
    def was_alive(self) -> bool:
        return self.base is not None and self.base.alive

    def value(self, group: Group) -> bytes:
        """The group's value now; null where it is missing."""
        return self.values.get(group, NULL)

    def set(self, group: Group, value: bytes) -> bool:
        """Write a group. A value that is there already is not written again: it would only take a place in the queue
        for a room away from a session that has one."""
        if self.value(group) == value:
            return False
        self.values[group] = self.writes[group] = value
        return True

    def claim_again(self, group: Group) -> None:
        """Write a group as it is, so that what it claims is claimed from now on."""
        self.writes[group] = self.values[group]
        self._again.add(group)

    def put(self, group: Group, value: bytes) -> None:
        """Write a group, also if it is that already: what it says counts with the stamp of another group."""
        if value == NULL and group not in self.values:
            return
        self.values[group] = value
        self.claim_again(group)

    def skip(self, why: Refusal) -> None:
        """Leave the record as it was."""
        self.skipped = why
        self.alive = self.was_alive
        self.writes.clear()

    def forget(self, group: Group) -> None:
        """Leave a group out: it said how to write the record, and is no part of it."""
        self.values.pop(group, None)
        self.writes.pop(group, None)

    def clear(self, group: Group) -> None:
        """Take a group off the record."""
        self.values[group] = self.writes[group] = NULL
        self._again.discard(group)

    def take(self, op: Operation, number: int) -> Effect | Refusal:
        """Carry out one operation; says what became of the record, or why not."""
        self.operation = number
        self.hold = op.hold or self.hold
        self.named.update(op.groups, op.unit_patches)
        if self.deletes or (self._dirty and op.op == "delete"):
            return Refusal(
                "conflicting_operations",
                f"{op.id} is deleted and written in one transaction; that has no order. Send two.",
            )
        refusal = self._presence(op) or self._conditions(op)
        if refusal is not None:
            return refusal
        effect = self._carry_out(op)
        if not isinstance(effect, Refusal) and effect != "unchanged":
            self._dirty = True
        return effect

    def says_again(self, group: Group) -> bool:
        """True if the command names what the record had in this group anyway."""
        stays = self.was_alive and self.alive and group not in self.writes
        return stays and group in self.named

    @property
    def is_as_it_was(self) -> bool:
        """True if nothing is to be written."""
        return self.was_alive and not self.deletes and not self._changes()

    def write(self) -> Write | None:
        """What the command writes of this record; None if nothing."""
        if self.skipped is not None:
            return None
        if self.deletes:
            return Write(self.key, {}, True)
        return None if self.is_as_it_was else Write(self.key, self._changes())

    def _changes(self) -> dict[Group, bytes]:
        """The writes that differ from what was there before the command."""
        base = self.base
        before = base.fields if base is not None and base.alive else {}
        return {
            group: value
            for group, value in self.writes.items()
            if group in self._again or value != (before[group].value if group in before else NULL)
        }

    # Before the write ----------------------------------------------------------------------------

    def _presence(self, op: Operation) -> Refusal | None:
        if op.op in {"create", "upsert"} or self.alive:
            return None
        deleted = self.base is not None
        why = "was deleted" if deleted else "does not exist"
        return Refusal("not_found", f"{_one(op)} {op.id} {why}.")

    def _conditions(self, op: Operation) -> Refusal | None:
        """If-Match and If-None-Match look at the record as it was before the command."""
        if op.if_none_match_any and self.alive:
            detail = f"{_one(op)} {op.id} exists, and the request asked that it does not."
        elif not matches(self.base, op.if_match):
            detail = f"{_one(op)} {op.id} has changed since the version that the request names."
        else:
            return None
        current = self.base if self.was_alive else None
        return Refusal("precondition_failed", detail, current=current)

    # The write -----------------------------------------------------------------------------------

    def _carry_out(self, op: Operation) -> Effect | Refusal:
        if op.op == "delete":
            self.alive, self.deletes = False, True
            return "deleted"
        if op.op == "patch":
            return self._patch(op)
        if not self.alive:
            return self._create(op)
        if op.op == "create" and not self._holds(op.groups) and not self._is_given_up():
            return self._exists_already(op)
        return self._replace(op)

    def _is_given_up(self) -> bool:
        """True for a cancelled registration: who cancelled may register again."""
        return self.key.collection == REGISTRATIONS and decoded(self.value(CANCELLED)) is True

    def _exists_already(self, op: Operation) -> Refusal:
        current = self.base if self.was_alive else None
        if self.key.collection == REGISTRATIONS:
            detail = "The attendee is registered for this session. Change that registration."
            return Refusal("already_registered", detail, current=current)
        detail = f"{_one(op)} {op.id} exists with other content."
        return Refusal("already_exists", detail, current=current)

    def _create(self, op: Operation) -> Effect:
        self.alive = True
        self.values, self.writes = dict(op.groups), dict(op.groups)
        return "created"

    def _replace(self, op: Operation) -> Effect | Refusal:
        changed = [self.set(g, NULL) for g in list(self.values) if self._drops(g, op.groups)]
        changed += [self.set(group, value) for group, value in op.groups.items()]
        return self._unrevocable() or ("updated" if any(changed) else "unchanged")

    def _patch(self, op: Operation) -> Effect | Refusal:
        changed = [self.set(group, value) for group, value in op.groups.items()]
        for field in op.cleared_maps:
            inside = [g for g in self.values if g.startswith(f"{field}.")]
            changed += [self.set(group, NULL) for group in inside]
        for group, patch in op.unit_patches.items():
            changed.append(self.set(group, merged(self.value(group), patch)))
        if not any(changed):
            return "unchanged"
        return self._misfit(op) or self._unrevocable() or "updated"

    def _drops(self, group: Group, wanted: Mapping[Group, bytes]) -> bool:
        """True for a group that a replacement clears: one of a field known here that it does not name."""
        name = group.partition(".")[0]
        return group not in wanted and any(field.name == name for field in self.spec.fields)

    def _holds(self, groups: Mapping[Group, bytes]) -> bool:
        """True if the record is already what a body with these groups would make it."""
        same = all(self.value(group) == value for group, value in groups.items())
        return same and all(self.value(g) == NULL for g in self.values if self._drops(g, groups))

    def _misfit(self, op: Operation) -> Refusal | None:
        """Whether the patched record breaks a rule of the whole body."""
        written = set(op.groups)
        whole = (
            op.unit_patches
            or op.cleared_maps
            or op.collection != "sessions"
            or not written.isdisjoint(_CHECKED_IN_SESSIONS)
            or NULL in op.groups.values()
        )
        if not whole:
            return None
        try:
            checked(self.spec, {group: decoded(value) for group, value in self.values.items()})
        except msgspec.ValidationError as error:
            return _invalid(str(error))
        return None

    def _unrevocable(self) -> Refusal | None:
        """A revoked key stays revoked: nothing ever writes the opposite, so no merge can bring it back."""
        if self.key.collection != API_KEYS or REVOKED not in self.writes:
            return None
        was = self.base.fields.get(REVOKED) if self.base is not None else None
        if was is None or decoded(was.value) is not True or decoded(self.writes[REVOKED]) is True:
            return None
        return Refusal("refused", "A revoked key stays revoked. Make a new one.", "/revoked")


def merged(present: bytes, patch: bytes) -> bytes:
    """A unit after a merge patch (RFC 7396) of its members, one level deep as units are."""
    before, changes = decoded(present), decoded(patch)
    assert isinstance(changes, dict)
    after = {**(before if isinstance(before, dict) else {}), **changes}
    kept = {name: value for name, value in after.items() if value is not None}
    try:
        return canonical.encode(kept)
    except (
        canonical.UnfitValue
    ):  # what was there came from a peer and is nothing that we would have taken
        return canonical.encode({n: v for n, v in changes.items() if v is not None})


def _invalid(message: str) -> Refusal:
    found = _WHERE.search(message)
    detail = message[: found.start()] if found else message
    steps = _STEP.findall(found[1]) if found else []
    pointer = "".join(f"/{name or index}" for name, index in steps)
    return Refusal("invalid", f"{detail.replace('`', chr(39))}.", pointer)


def _one(op: Operation) -> str:
    """What a record of the collection is called at the beginning of a sentence."""
    return f"The {singular(op.collection)}"
