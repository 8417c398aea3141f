"""How what is said about seats stands in the log: entries and rosters as changes of the system's own records.

    _system/seats/<seat>      entries    a JSON array of entries about who holds the seat, as this transaction says them
    _system/decisions/<seat>  entries    the same of what was decided, and what of it is final
    _system/rosters/<version> members    a JSON array of origins

So entries are durable, replicated, relayed, kept and audited like any change. Their meaning comes from the log in which
they stand, never from the merged record, which only shows what was said last.
"""

from __future__ import annotations

from collections.abc import Collection as Container
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from konkordat.kernel.change import Change
from konkordat.kernel.claim import Resource
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
    Decision,
    Entry,
    Finality,
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
DECISIONS: Final = Collection(
    "decisions"
)  # apart, as they are many and only the latest are read again
ROSTERS: Final = Collection("rosters")
ENTRIES: Final = Group("entries")
MEMBERS: Final = Group("members")
ENTRIES_MAX: Final = (
    64  # in one change, so that no value becomes large; the rest follows in another transaction
)
HISTORY_ROWS: Final = 256  # read at once; mostly the first are enough
FIRST_LIFE: Final = 1  # these records are never deleted by us


_listed: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Said(NamedTuple):
    """An entry and where it stands."""

    entry: Entry
    at: At
    hlc: int


def seat_key(seat: SeatId) -> RecordKey:
    """The record of a seat."""
    return RecordKey(SYSTEM, SEATS, RecordId(seat))


def decisions_key(seat: SeatId) -> RecordKey:
    """The record of what was decided there."""
    return RecordKey(SYSTEM, DECISIONS, RecordId(seat))


def _key_of(entry: Entry) -> RecordKey:
    decides = isinstance(entry, Decision | Finality)
    return decisions_key(entry.seat) if decides else seat_key(entry.seat)


def entry_changes(entries: Iterable[Entry]) -> Iterator[tuple[Change, ...]]:
    """Transactions that say the entries, in their order."""
    by_key: dict[RecordKey, list[Entry]] = {}
    for entry in entries:
        by_key.setdefault(_key_of(entry), []).append(entry)
    # Who holds a seat comes before what was decided there.
    waiting = dict(sorted(by_key.items(), key=lambda item: item[0].collection != SEATS))
    while waiting:
        yield tuple([_change(key, left[:ENTRIES_MAX]) for key, left in waiting.items()])
        waiting = {key: rest for key, left in waiting.items() if (rest := left[ENTRIES_MAX:])}


def _change(key: RecordKey, entries: list[Entry]) -> Change:
    value = b"[" + b",".join(map(encode, entries)) + b"]"
    return Change(key, FIRST_LIFE, {ENTRIES: value})


def is_entries(change: Change) -> bool:
    """True for a change that says something of a seat."""
    return change.key.tenant == SYSTEM and change.key.collection in (SEATS, DECISIONS)


def entries_in(change: Change) -> list[Entry]:
    """What a change says of its seat. Raises UnreadableEntry: then nothing of it counts."""
    try:
        raw = _listed(change.fields.get(ENTRIES, b"[]"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEntry(str(error)) from error
    entries = [decode(bytes(each)) for each in raw]
    if any(_key_of(entry) != change.key for entry in entries):
        raise UnreadableEntry("an entry stands in a record where it does not belong")
    return entries


def is_roster(key: RecordKey) -> bool:
    """True for the record of a roster."""
    return key.tenant == SYSTEM and key.collection == ROSTERS


def roster_key(version: int) -> RecordKey:
    """The record of a roster that is said, not proposed."""
    return RecordKey(SYSTEM, ROSTERS, RecordId(str(version)))


def roster_change(roster: Roster) -> Change:
    """The change that says a roster."""
    key = roster_key(roster.version)
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


def elections_before(store: Reader) -> list[Said]:
    """Every readable entry about who holds a seat, each origin's in its order."""
    places = {
        (row.origin, row.seq) for record in _system(store, SEATS) for row in _history(store, record)
    }
    return [
        said
        for origin, seq in sorted(places)
        for said in _in_batch(store, origin, seq)
        if not isinstance(said.entry, Decision | Finality)
    ]


def decisions_since(
    store: Reader, seat: SeatId, counting: Container[tuple[int, Origin]]
) -> list[Said]:
    """The decisions of a seat that are not settled, and what is said of their being final, each origin's in its order.
    What is settled the index of claims has.

    `counting` are the terms that count, with their holders. Rows are read from the newest on, down to the batch that
    the latest finality of such a term names: whatever is not settled was written by somebody who had that batch.
    """
    found: list[Said] = []
    settled: tuple[int, int, Origin] | None = None  # term, up to which batch, of whose log
    floor = 0
    seen: set[tuple[Origin, int]] = set()
    for row in _history(store, decisions_key(seat)):
        if settled is not None and row.hlc < floor:
            break
        if (row.origin, row.seq) in seen:
            continue
        seen.add((row.origin, row.seq))
        said = [each for each in _in_batch(store, row.origin, row.seq) if each.entry.seat == seat]
        found += [each for each in said if isinstance(each.entry, Decision | Finality)]
        for entry in (each.entry for each in said):
            if isinstance(entry, Finality) and (entry.term, row.origin) in counting:
                known = (entry.term, entry.upto, row.origin)
                if settled is None or known > settled:
                    settled = known
                    floor = store.batches(row.origin, entry.upto - 1, 1)[0].first_hlc
    found = [each for each in found if not _is_settled(each, settled)]
    return sorted(found, key=lambda each: each.at)


def _is_settled(said: Said, settled: tuple[int, int, Origin] | None) -> bool:
    if settled is None or isinstance(said.entry, Finality):
        return False
    term, upto, holder = settled
    if said.entry.term == term and said.at.origin == holder:
        return said.at.seq <= upto
    return said.entry.term < term


def seats_that_decided(store: Reader) -> list[SeatId]:
    """Every seat of which a decision stands in a log."""
    return [SeatId(key.id) for key in _system(store, DECISIONS)]


def deciders_of(store: Reader, resources: Container[Resource]) -> dict[Resource, SeatId]:
    """The seats that decided about some resources, as the decisions tell, however long ago they were made: for
    resources whose records do not tell it any more. Of several the first by name. Reads every decision there is."""
    found: dict[Resource, SeatId] = {}
    for key in _system(store, DECISIONS):
        own: dict[Resource, SeatId] = {}
        for origin, seq in {(row.origin, row.seq) for row in _history(store, key)}:
            for entry in (said.entry for said in _in_batch(store, origin, seq)):
                if isinstance(entry, Decision) and decisions_key(entry.seat) == key:
                    ruled = [r.claim.resource for r in entry.rulings]
                    own |= {resource: entry.seat for resource in ruled if resource in resources}
        found = own | found
    return found


def rosters_before(store: Reader) -> list[Roster]:
    """The rosters that are known, oldest first."""
    found = []
    for key in _system(store, ROSTERS):
        (record,) = store.load([key]).values()
        roster = roster_in(key.id, {group: r.value for group, r in record.fields.items()})
        if roster is not None:
            found.append(roster)
    return sorted(found, key=lambda roster: roster.version)


def roster_changes_before(store: Reader) -> Iterator[tuple[Change, At]]:
    """All that was ever said of rosters, with where it stands; in no order."""
    for key in _system(store, ROSTERS):
        for origin, seq in {(row.origin, row.seq) for row in _history(store, key)}:
            (row,) = store.batches(origin, seq - 1, 1)
            for transaction in open_body(row.body).batch.transactions:
                for change in transaction.changes:
                    if change.key == key:
                        yield change, At(origin, seq)


def _system(store: Reader, collection: Collection) -> Iterator[RecordKey]:
    after = RecordId("")
    while page := store.scan(SYSTEM, collection, after, PAGE_ROWS_MAX, include_deleted=True):
        yield from [record.key for record in page]
        after = page[-1].key.id


def _history(store: Reader, key: RecordKey) -> Iterator[HistoryRow]:
    before = None
    while page := store.history(key, HISTORY_ROWS, before):
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
