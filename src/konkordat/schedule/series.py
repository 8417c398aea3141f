"""Series: one record that says what repeats, and a session for each occurrence, written in one transaction. Pure.

The id of an occurrence's session follows from the series and its wall time, so all nodes make the same, and an
exception that is taken back makes the session that was there. Each is a session like any other: it can be moved,
renamed and cancelled by itself. What changes for all of them is changed by deleting the series and making another.

    series   event, slot (of the first), rule, exdates, session (what all have in common)
    session  series, recurrence_id, and a slot of its own
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from konkordat.kernel import canonical
from konkordat.kernel.ids import Collection, Group, RecordId, RecordKey, record_key, uuid7
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.replica.domain import View
from konkordat.schedule import rules
from konkordat.schedule.claims import SESSIONS
from konkordat.schedule.commands import (
    Operation,
    SeriesNote,
    ShownOccurrence,
    SkippedOccurrence,
    WriteCommand,
)
from konkordat.schedule.drafts import Draft
from konkordat.schedule.keys import collections_of
from konkordat.schedule.recurrence import expand
from konkordat.schedule.registry import FieldKind
from konkordat.schedule.rules import located
from konkordat.schedule.slots import SLOT
from konkordat.schedule.times import BadLocalTime, local_text, parse_local, zone

SERIES: Final = Collection("series")
RULE: Final = Group("rule")
EXDATES: Final = Group("exdates")
TEMPLATE: Final = Group("session")
RECURRENCE_ID: Final = Group("recurrence_id")
SERIES_OF: Final = Group("series")  # of a session: the id of its series


class Occurrence(NamedTuple):
    """One time of a series."""

    recurrence_id: str  # its wall time by the rule, wherever the session is by now
    session: str  # id


def occurrences_of(id_: str, values: rules.Values) -> tuple[Occurrence, ...] | Refusal:
    """The occurrences that a series says it has."""
    slot = rules.read(values, SLOT)
    found = zone(str(slot.get("time_zone"))) if isinstance(slot, dict) else None
    first = parse_local(str(slot.get("local_start"))) if isinstance(slot, dict) else None
    if not isinstance(found, ZoneInfo) or first is None or isinstance(first, BadLocalTime):
        return Refusal("bad_recurrence", "The series has no slot to begin with.", "/slot")
    exdates = rules.read(values, EXDATES)
    times = expand(
        str(rules.read(values, RULE)), first, found, exdates if isinstance(exdates, list) else []
    )
    if not isinstance(times, tuple):
        return Refusal(times.code, f"{times}.", times.pointer)
    return tuple([Occurrence(time, session_id(id_, time)) for time in times])


def sessions_of(record: Record) -> list[RecordKey]:
    """The keys of a series' sessions, in order of their times by the rule, whether they are there or not."""
    found = occurrences_of(record.key.id, rules.values_of(record))
    # A merge may leave a rule that makes no sense; the sessions are still there, by their event.
    named = () if isinstance(found, Refusal) else found
    return [record_key(record.key.tenant, SESSIONS, one.session) for one in named]


def session_id(series: str, recurrence_id: str) -> str:
    """The id of an occurrence's session. It has the series' time, so that they lie together in every index."""
    digest = hashlib.blake2b(
        f"{series}\0{recurrence_id}".encode(), digest_size=10, person=b"konkordat.series"
    ).digest()
    return uuid7(int(series[:8] + series[9:13], 16), digest)


class Expansion:
    """The series of one command, made into sessions."""

    def __init__(self, command: WriteCommand, view: View, drafts: dict[RecordKey, Draft]) -> None:
        self._command = command
        self._view = view
        self._drafts = drafts
        self.made: dict[RecordKey, tuple[Occurrence, ...]] = {}  # by series

    def settle(self) -> Refusal | None:
        """Add what the command's series mean to its drafts."""
        for draft in [d for d in self._drafts.values() if d.key.collection == SERIES]:
            refusal = self._settle(draft)
            if refusal is not None:
                return located(refusal, draft.operation)
        return None

    def _settle(self, draft: Draft) -> Refusal | None:
        before = self._before(draft)
        if not draft.alive:
            return self._remove(draft, before)
        after = occurrences_of(draft.key.id, draft.values)
        if isinstance(after, Refusal):
            return after
        if not after:
            return Refusal("bad_recurrence", "Every occurrence is excepted.", "/exdates")
        self.made[draft.key] = after
        refusal = self._remove(draft, [one for one in before if one not in after])
        for occurrence in after:
            if refusal is None and occurrence not in before:
                refusal = self._make(draft, occurrence)
            elif draft.says_again(SLOT):
                # Those that were displaced are asked for again, wherever each is by now.
                self._session(draft, occurrence).named.add(SLOT)
        return refusal

    def _before(self, draft: Draft) -> tuple[Occurrence, ...]:
        if draft.base is None or not draft.base.alive:
            return ()
        values = rules.values_of(draft.base)
        found = occurrences_of(draft.key.id, values)
        return () if isinstance(found, Refusal) else found

    def _remove(self, draft: Draft, gone: Any) -> Refusal | None:
        for occurrence in gone:
            session = self._session(draft, occurrence)
            if session.was_alive and not session.deletes:
                refusal = self._take(session, draft, Operation("delete", SESSIONS, _id(occurrence)))
                if refusal is not None:
                    return refusal
        return None

    def _make(self, draft: Draft, occurrence: Occurrence) -> Refusal | None:
        session = self._session(draft, occurrence)
        session.occurrence = occurrence.recurrence_id
        if draft.hold and occurrence.recurrence_id == rules.read(draft.values, SLOT)["local_start"]:
            session.hold = draft.hold
        groups = dict(_groups(draft, occurrence))
        return self._take(session, draft, Operation("create", SESSIONS, _id(occurrence), groups))

    def _session(self, draft: Draft, occurrence: Occurrence) -> Draft:
        key = RecordKey(draft.key.tenant, SESSIONS, _id(occurrence))
        session = self._drafts.get(key)
        if session is None:
            spec = collections_of(draft.key.tenant)[SESSIONS]
            session = self._drafts[key] = Draft(key, spec, self._view.record(key))
        return session

    def _take(self, session: Draft, series: Draft, op: Operation) -> Refusal | None:
        effect = session.take(op, series.operation)
        return effect if isinstance(effect, Refusal) else None

    def notes(self) -> tuple[SeriesNote, ...]:
        """What became of the series: their occurrences, and those that were left out."""
        skipped: dict[str, Refusal] = {
            draft.key.id: draft.skipped for draft in self._drafts.values() if draft.skipped
        }
        return tuple(
            [
                SeriesNote(
                    self._drafts[key].operation,
                    tuple(
                        [ShownOccurrence(*one) for one in occurrences if one.session not in skipped]
                    ),
                    tuple(
                        [
                            _skipped(one, skipped[one.session])
                            for one in occurrences
                            if one.session in skipped
                        ]
                    ),
                )
                for key, occurrences in self.made.items()
            ]
        )

    def except_skipped(self) -> None:
        """Except the occurrences that were left out from their series, so that it says what it has."""
        left_out = {draft.key.id for draft in self._drafts.values() if draft.skipped is not None}
        for key, occurrences in self.made.items():
            missing = [one.recurrence_id for one in occurrences if one.session in left_out]
            if missing:
                series = self._drafts[key]
                exdates = rules.read(series.values, EXDATES) or []
                series.set(EXDATES, canonical.encode(sorted([*exdates, *missing])))


def _skipped(occurrence: Occurrence, why: Refusal) -> SkippedOccurrence:
    others = tuple([claim.id.owner.id for claim in why.conflicts])
    return SkippedOccurrence(occurrence.recurrence_id, why.code, why.detail, others)


def _groups(draft: Draft, occurrence: Occurrence) -> Iterator[tuple[Group, bytes]]:
    """The groups of an occurrence's session: what all have in common, and its own slot."""
    spec = collections_of(draft.key.tenant)[SESSIONS]
    maps = {field.name for field in spec.fields if field.kind is FieldKind.MAP}
    common = rules.read(draft.values, TEMPLATE) or {}
    for name, value in common.items():
        if name in maps:
            for key, text in value.items():
                yield Group(f"{name}.{key}"), canonical.encode(text)
        else:
            yield Group(name), canonical.encode(value)
    slot = rules.read(draft.values, SLOT)
    yield SLOT, canonical.encode(_moved(slot, occurrence.recurrence_id))
    yield Group("event"), draft.value(Group("event"))
    yield SERIES_OF, canonical.encode(draft.key.id)
    yield RECURRENCE_ID, canonical.encode(occurrence.recurrence_id)


def _moved(slot: Mapping[str, Any], start: str) -> dict[str, Any]:
    """The slot of an occurrence; its alternatives move by as many days."""
    first, now = parse_local(str(slot["local_start"])), parse_local(start)
    assert not isinstance(first, BadLocalTime)
    assert not isinstance(now, BadLocalTime)
    days = now.date() - first.date()
    moved = {**slot, "local_start": start}
    others = slot.get("alternatives")
    if others:
        moved["alternatives"] = [_shifted(other, days) for other in others]
    return moved


def _shifted(other: Mapping[str, Any], by: timedelta) -> dict[str, Any]:
    local = parse_local(str(other["local_start"])) if "local_start" in other else None
    if local is None or isinstance(local, BadLocalTime):
        return dict(other)
    return {**other, "local_start": local_text(local + by)}


def _id(occurrence: Occurrence) -> RecordId:
    return RecordId(occurrence.session)
