"""What happens to seats, for the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, assert_never

from konkordat.kernel.ids import Origin, RecordKey
from konkordat.kernel.seat import At, Roster, SeatId
from konkordat.protocol.seats.machine import Refused
from konkordat.replica.messages import Journaled


class Opened(NamedTuple):
    """A term began, for the journal and the timeline."""

    seat: SeatId
    term: int
    holder: Origin
    at_ms: int


class Unreadable(NamedTuple):
    """A change of a seat that this release cannot read; for the journal."""

    key: RecordKey
    at: At
    why: str


class RosterConflict(NamedTuple):
    """Two nodes said different rosters under one version. Nothing is decided any more until an operator mends it."""

    version: int
    known: tuple[Origin, ...]
    told: tuple[Origin, ...]


class RosterRefused(NamedTuple):
    """A roster was proposed or said that may not follow the present one. It counts for nothing."""

    code: str  # roster_not_decided | several_members_at_once | no_majority | roster_moved_on …
    roster: Roster | None  # None: what was said is none
    by: Origin


class RosterChanged(NamedTuple):
    """Another roster was decided."""

    version: int
    members: tuple[Origin, ...]


class RosterForced(NamedTuple):
    """One survivor is the only member: what others wrote beyond these batches counts for nothing."""

    version: int
    by: Origin
    closed: Mapping[Origin, int]


Note = Opened | Unreadable | Refused | RosterConflict | RosterRefused | RosterChanged | RosterForced


def journaled(note: Note) -> Journaled:
    """The journal's line."""
    match note:
        case Opened(seat=seat, term=term, holder=holder):
            return Journaled("info", "seat_opened", {"seat": seat, "term": term, "holder": holder})
        case Unreadable(key=key, at=at, why=why):
            fields = {"key": "/".join(key), "origin": at.origin, "seq": at.seq, "why": why}
            return Journaled("warning", "seat_entry_unreadable", fields)
        case RosterConflict(version=version, known=known, told=told):
            fields = {"version": version, "known": known, "told": told}
            return Journaled("error", "roster_conflict", fields)
        case RosterRefused(code=code, roster=roster, by=by):
            said = {"version": roster.version, "members": roster.members} if roster else {}
            return Journaled("warning", "roster_refused", {"code": code, "by": by, **said})
        case RosterChanged(version=version, members=members):
            return Journaled("info", "roster_changed", {"version": version, "members": members})
        case RosterForced(version=version, by=by, closed=closed):
            fields = {"version": version, "by": by, "closed": dict(closed)}
            return Journaled("warning", "roster_forced", fields)
        case Refused(code=code, entry=entry, at=at):
            fields = {"code": code, "seat": entry.seat, "term": entry.term}
            where = {"origin": at.origin, "seq": at.seq}
            return Journaled("warning", "seat_entry_refused", {**fields, **where})
        case _:
            assert_never(note)
