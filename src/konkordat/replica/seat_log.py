"""How what is said about seats stands in the log: entries and rosters as changes of the system's own records.

    _system/seats/<seat>      entries    a JSON array of entries, as this transaction says them; the log keeps all
    _system/rosters/<version> members    a JSON array of origins

So entries are durable, replicated, relayed, kept and audited like any change. Their meaning comes from the log in which
they stand, never from the merged record, which only shows what was said last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from konkordat.kernel.change import Change
from konkordat.kernel.ids import (
    ORIGIN_PATTERN,
    Collection,
    Group,
    Origin,
    RecordId,
    RecordKey,
    Tenant,
)
from konkordat.kernel.seat import (
    MEMBERS_MAX,
    At,
    Entry,
    Roster,
    SeatId,
    UnreadableEntry,
    decode,
    encode,
)
from konkordat.store.port import PAGE_ROWS_MAX, HistoryRow, Reader
from konkordat.wire.batches import open_body

SYSTEM: Final = Tenant("_system")
SEATS: Final = Collection("seats")
ROSTERS: Final = Collection("rosters")
ENTRIES: Final = Group("entries")
MEMBERS: Final = Group("members")
ENTRIES_MAX: Final = (
    64  # in one change, so that no value becomes large; the rest follows in another transaction
)
FIRST_LIFE: Final = 1  # these records are never deleted by us


class Said(NamedTuple):
    """An entry and where it stands."""

    entry: Entry
    at: At
    hlc: int


def seat_key(seat: SeatId) -> RecordKey:
    """The record of a seat."""
    return RecordKey(SYSTEM, SEATS, RecordId(seat))


def entry_changes(entries: Iterable[Entry]) -> Iterator[tuple[Change, ...]]:
    """Transactions that say the entries, in their order."""
    by_seat: dict[SeatId, list[Entry]] = {}
    for entry in entries:
        by_seat.setdefault(entry.seat, []).append(entry)
    while by_seat:
        portions = {seat: waiting[:ENTRIES_MAX] for seat, waiting in by_seat.items()}
        yield tuple([_change(seat, portion) for seat, portion in portions.items()])
        rest = {seat: waiting[ENTRIES_MAX:] for seat, waiting in by_seat.items()}
        by_seat = {seat: waiting for seat, waiting in rest.items() if waiting}


def _change(seat: SeatId, entries: list[Entry]) -> Change:
    value = b"[" + b",".join(map(encode, entries)) + b"]"
    return Change(seat_key(seat), FIRST_LIFE, {ENTRIES: value})


def is_entries(change: Change) -> bool:
    """True for a change that says something of a seat."""
    return change.key.tenant == SYSTEM and change.key.collection == SEATS


def entries_in(change: Change) -> list[Entry]:
    """What a change says of its seat. Raises UnreadableEntry: then nothing of it counts."""
    try:
        raw = msgspec.json.decode(change.fields.get(ENTRIES, b"[]"), type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEntry(str(error)) from error
    entries = [decode(bytes(each)) for each in raw]
    if any(seat_key(entry.seat) != change.key for entry in entries):
        raise UnreadableEntry("an entry stands in another seat's record")
    return entries


def is_roster(key: RecordKey) -> bool:
    """True for the record of a roster."""
    return key.tenant == SYSTEM and key.collection == ROSTERS


def roster_change(roster: Roster) -> Change:
    """The change that says a roster."""
    key = RecordKey(SYSTEM, ROSTERS, RecordId(str(roster.version)))
    return Change(key, FIRST_LIFE, {MEMBERS: msgspec.json.encode(roster.members)})


def roster_in(id: str, fields: Mapping[Group, bytes]) -> Roster | None:
    """The roster that a change or record says; None for what is none."""
    if not id.isdecimal() or len(id) > 15 or MEMBERS not in fields:
        return None
    try:
        members = msgspec.json.decode(fields[MEMBERS], type=tuple[str, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    sound = 0 < len(members) <= MEMBERS_MAX and tuple(sorted(set(members))) == members
    if not sound or not all(ORIGIN_PATTERN.fullmatch(member) for member in members):
        return None
    return Roster(int(id), tuple([Origin(member) for member in members]))


# Reading it all back at a start --------------------------------------------------------------------


def said_before(store: Reader) -> list[Said]:
    """Every readable entry in the log, each origin's in its order."""
    places = {
        (row.origin, row.seq) for record in _system(store, SEATS) for row in _history(store, record)
    }
    return [said for origin, seq in sorted(places) for said in _in_batch(store, origin, seq)]


def rosters_before(store: Reader) -> list[Roster]:
    """The rosters that are known, oldest first."""
    found = []
    for key in _system(store, ROSTERS):
        (record,) = store.load([key]).values()
        roster = roster_in(key.id, {group: r.value for group, r in record.fields.items()})
        if roster is not None:
            found.append(roster)
    return sorted(found, key=lambda roster: roster.version)


def _system(store: Reader, collection: Collection) -> Iterator[RecordKey]:
    after = RecordId("")
    while page := store.scan(SYSTEM, collection, after, PAGE_ROWS_MAX, include_deleted=True):
        yield from [record.key for record in page]
        after = page[-1].key.id


def _history(store: Reader, key: RecordKey) -> Iterator[HistoryRow]:
    before = None
    while page := store.history(key, PAGE_ROWS_MAX, before):
        yield from page
        before = (page[-1].hlc, page[-1].origin)


def _in_batch(store: Reader, origin: Origin, seq: int) -> Iterator[Said]:
    (row,) = store.batches(origin, seq - 1, 1)
    for transaction in open_body(row.body).batch.transactions:
        for change in transaction.changes:
            if is_entries(change):
                try:
                    found = entries_in(change)
                except UnreadableEntry:
                    continue  # told when it came
                yield from [Said(entry, At(origin, seq), transaction.hlc) for entry in found]
