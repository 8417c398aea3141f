"""Changes since a token, read from the log: what to tell somebody who has seen a frontier and wants the present.

The log is kept by origin, the answer is by record: every record that was touched since is told once, as it is now. A
token moves on by whole batches, so a page holds whole batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from konkordat.api.decided import Deciding
from konkordat.api.notes import Note, note_of
from konkordat.api.views import CLAIMANTS, FORMS
from konkordat.kernel.change import Batch
from konkordat.kernel.claim import Claim, ClaimId, DecidedClaim
from konkordat.kernel.frontier import missing
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.kernel.merge import lift
from konkordat.kernel.record import Record
from konkordat.schedule.claims import (
    MAX_CONCURRENT,
    QUANTITY,
    REGISTRATIONS,
    ROOMS,
    SEATS,
    SEATS_GROUPS,
    SEATS_TIME,
    SESSION,
    SESSIONS,
    STATE,
    WAITLIST,
    claims_of,
    owned_resource,
    value_of,
)
from konkordat.schedule.slots import SLOT
from konkordat.store.port import Reader, Span
from konkordat.wire.batches import open_body

ROWS_PER_READ: Final = 64  # batches read at once; each holds up to 1 000 changes
BYTES_PER_READ: Final = 512 << 10
RIPPLE_ROUNDS_MAX: Final = (
    16  # chains of displaced claims longer than this need more than one room and day
)
RIPPLE_CLAIMS_MAX: Final = 5_000  # as many bookings of one place as a page may look at
OLD_PLACES_MAX: Final = 8  # earlier slots of one session looked at
SLICE_RECORDS: Final = (
    64  # in memory at once; an ordinary one takes 4 KiB, the largest 1 MiB and more
)
CLAIMING: Final = frozenset({SLOT, SESSION})  # groups that make a claim
PLACE_GROUPS: Final = frozenset({SLOT, STATE})
ALWAYS: Final = (-(1 << 62), 1 << 62)


class Touched(msgspec.Struct):
    """What happened to one record in a stretch of the log."""

    groups: set[str]
    stamps: set[Stamp]

    def is_birth(self, record: Record) -> bool:
        """True if the record was not known before."""
        return record.life == 1 and record.born in self.stamps


class Page(msgspec.Struct, frozen=True):
    """What was touched in a stretch of the log, and the frontier at its end."""

    touched: dict[RecordKey, Touched]
    seen: dict[Origin, int]
    has_more: bool


def changes_since(
    reader: Reader,
    tenant: str,
    since: Mapping[Origin, int],
    upto: Mapping[Origin, int],
    limit: int,
) -> Page:
    """Which of a tenant's records were touched between two frontiers: about `limit`, of at least one batch."""
    touched: dict[RecordKey, Touched] = {}
    deciding = Deciding(reader)
    seen = dict(since)
    for origin, (after, last) in missing(since, upto).items():
        at = after
        while at < last and len(touched) < limit:
            at = _read(reader, tenant, origin, at, last, limit, touched, deciding)
            seen[origin] = at
    has_more = bool(missing(seen, upto))
    return Page(touched, seen, has_more)


def _read(
    reader: Reader,
    tenant: str,
    origin: Origin,
    after: int,
    last: int,
    limit: int,
    touched: dict[RecordKey, Touched],
    deciding: Deciding,
) -> int:
    """Book some batches of an origin; returns the sequence number up to which."""
    rows = reader.batches(origin, after, min(ROWS_PER_READ, last - after), BYTES_PER_READ)
    assert rows, "the frontier names batches that the log has"
    for row in rows:
        after = row.seq
        for transaction in open_body(row.body).batch.transactions:
            for change in transaction.changes:
                if change.key.tenant == tenant and change.key.collection in FORMS:
                    known = touched.setdefault(change.key, Touched(set(), set()))
                    known.groups.update(change.fields)
                    known.stamps.add(Stamp(transaction.hlc, origin))
                for key in deciding.owners(change, transaction.hlc, origin):
                    if key.tenant == tenant and key.collection in CLAIMANTS:
                        known = touched.setdefault(key, Touched(set(), set()))
                        known.groups.add(QUANTITY if key.collection == REGISTRATIONS else SLOT)
        if len(touched) >= limit:
            break
    return after


def notes_of(reader: Reader, touched: Mapping[RecordKey, Touched]) -> Iterator[Note]:
    """Notes of the touched records, and of sessions whose place was decided otherwise because of them.

    Read and made in slices, so that a page of large records is never in memory as a whole.
    """
    told: set[RecordKey] = set(touched)
    keys = list(touched)
    for start in range(0, len(keys), SLICE_RECORDS):
        slice_ = keys[start : start + SLICE_RECORDS]
        records = reader.load(slice_)
        rippled = _rippled(reader, records, touched) | _moved_up(reader, records, touched)
        rippled -= told
        told |= rippled
        yield from _notes(reader, records, touched)
        if rippled:
            yield from _notes(reader, reader.load(rippled), touched)


def _notes(
    reader: Reader, records: Mapping[RecordKey, Record], touched: Mapping[RecordKey, Touched]
) -> Iterator[Note]:
    claims = reader.claims_of([key for key in records if key.collection in CLAIMANTS])
    for key, record in records.items():
        known = touched.get(key, _RIPPLED)
        note = note_of(record, known.groups, known.is_birth(record), claims.get(key, ()))
        if note is not None:
            yield note


_RIPPLED: Final = Touched({SLOT}, set())


# Ripples ------------------------------------------------------------------------------------------


def _rippled(
    reader: Reader, records: Mapping[RecordKey, Record], touched: Mapping[RecordKey, Touched]
) -> set[RecordKey]:
    """Sessions whose claims hang together, through overlaps, with those that came, moved or went.

    Where no seat decides, decisions are in nobody's log; whoever might have been decided otherwise is told again.
    Telling too many does no harm.
    """
    spans = {_span(claim) for claim in _claims_touched(reader, records, touched)}
    spans |= {
        Span(resource, *ALWAYS)
        for key in records
        if key.collection == ROOMS and MAX_CONCURRENT in touched[key].groups
        if (resource := owned_resource(key)) is not None
    }
    found: dict[ClaimId, Claim] = {}
    asked: set[Span] = set()
    for _ in range(RIPPLE_ROUNDS_MAX):
        if not spans or len(found) > RIPPLE_CLAIMS_MAX:
            break
        asked |= spans
        fresh = [d.claim for d in reader.claims_on(list(spans)) if d.claim.id not in found]
        found |= {claim.id: claim for claim in fresh}
        spans = {_span(claim) for claim in fresh} - asked
    return {id.owner for id in found}


def _claims_touched(
    reader: Reader, records: Mapping[RecordKey, Record], touched: Mapping[RecordKey, Touched]
) -> Iterator[Claim]:
    """The places that changed sessions have and had."""
    opened: dict[tuple[Origin, int], Batch] = {}
    for key, record in records.items():
        known = touched[key]
        if key.collection != SESSIONS or (known.groups.isdisjoint(PLACE_GROUPS) and record.alive):
            continue
        yield from (claim for claim in claims_of(record) if claim.quantity)
        if not known.is_birth(record):
            yield from _old_places(reader, record, opened)


def _moved_up(
    reader: Reader, records: Mapping[RecordKey, Record], touched: Mapping[RecordKey, Touched]
) -> set[RecordKey]:
    """Registrations that wait, or did, for seats of sessions where some came free or became more."""
    resources = {
        resource: None
        for key in records
        if key.collection == SESSIONS and SEATS in touched[key].groups
        if (resource := owned_resource(key)) is not None
    }
    opened: dict[tuple[Origin, int], Batch] = {}
    for key, record in records.items():
        known = touched[key]
        # A new one gives nothing back, and one that is only checked in neither.
        if key.collection != REGISTRATIONS or known.is_birth(record):
            continue
        if not known.groups.isdisjoint(SEATS_GROUPS) or not record.alive:
            past = _old_places(reader, record, opened)
            resources |= {claim.resource: None for claim in past}
    decided = reader.claims_on([Span(resource, *SEATS_TIME) for resource in resources])
    owners = [d.claim.id.owner for d in decided[:RIPPLE_CLAIMS_MAX]]
    return {k for k, record in reader.load(owners).items() if value_of(record, WAITLIST) is True}


def _old_places(
    reader: Reader, record: Record, opened: dict[tuple[Origin, int], Batch]
) -> Iterator[Claim]:
    """The places that a session had before, or seats a registration, as far as its recent history tells."""
    for row in reader.history(record.key, OLD_PLACES_MAX):
        batch = opened.get((row.origin, row.seq))
        if batch is None:
            (logged,) = reader.batches(row.origin, row.seq - 1, 1)
            batch = opened[row.origin, row.seq] = open_body(logged.body).batch
        for transaction in batch.transactions:
            for change in transaction.changes:
                if change.key == record.key and not CLAIMING.isdisjoint(change.fields):
                    past = lift(change, Stamp(transaction.hlc, row.origin))
                    yield from (claim for claim in claims_of(past) if claim.quantity)


def _span(claim: Claim) -> Span:
    return Span(claim.resource, claim.start_ms, claim.until_ms)


def decided_owners(claims: Iterable[DecidedClaim]) -> dict[RecordKey, None]:
    """The records of which a commit decided a claim."""
    return dict.fromkeys([d.claim.id.owner for d in claims if d.claim.quantity])
