"""What happens to seats, for the journal."""

from __future__ import annotations

from typing import NamedTuple, assert_never

from konkordat.kernel.ids import Origin, RecordKey
from konkordat.kernel.seat import At, SeatId
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


Note = Opened | Unreadable | Refused | RosterConflict


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
        case Refused(code=code, entry=entry, at=at):
            fields = {"code": code, "seat": entry.seat, "term": entry.term}
            where = {"origin": at.origin, "seq": at.seq}
            return Journaled("warning", "seat_entry_refused", {**fields, **where})
        case _:
            assert_never(note)
