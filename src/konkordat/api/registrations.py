"""`/v2/sessions/{id}/registrations`: who comes to a session, and how many seats that leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, structs

from konkordat.api import schemas
from konkordat.api.answers import Answer, answer
from konkordat.api.call import Call
from konkordat.api.consistency import is_really_missing
from konkordat.api.docs import CONSISTENCY, CURSOR, LIMIT, Doc, Reply
from konkordat.api.front import Route
from konkordat.api.problems import Problem
from konkordat.api.resources import Resource
from konkordat.kernel.claim import Claim, ClaimState
from konkordat.kernel.claim import Resource as Scarce
from konkordat.kernel.ids import RecordKey, record_key
from konkordat.kernel.record import Record
from konkordat.schedule.claims import (
    REGISTRATIONS,
    SEATS,
    SEATS_TIME,
    SESSIONS,
    WAITLIST,
    capacity_of,
    seats_in,
    seats_name,
    value_of,
)
from konkordat.schedule.registry import COLLECTIONS
from konkordat.store.port import Reader, Span

LINE_SHOWN_MAX: Final = 1_000  # nobody far behind counts on a seat
_LIST: Final = Resource(COLLECTIONS[REGISTRATIONS])
_encode: Final = msgspec.json.Encoder().encode


class SeatsWarning(Struct, frozen=True, forbid_unknown_fields=True):
    """Something about the seats that is not as it should be."""

    code: Annotated[str, Meta(examples=["overbooked"])]
    detail: str


class Seats(Struct, frozen=True):
    """A session's seats. What is taken, pending and waiting is counted in seats, not in registrations."""

    seats: Annotated[int | None, Meta(description="null: nobody can register.")]
    seats_taken: Annotated[int, Meta(description="Confirmed.")]
    seats_pending: Annotated[int, Meta(description="Asked for, not decided yet.")]
    seats_left: Annotated[int, Meta(description="Neither confirmed nor pending.")]
    waitlisted: Annotated[int, Meta(description="Asked for by registrations that wait.")]
    line: Annotated[
        tuple[str, ...],
        Meta(
            description="Ids of the registrations that wait, in the order in which they are asked again; at most"
            f" {LINE_SHOWN_MAX:,} of them."
        ),
    ]
    warnings: tuple[SeatsWarning, ...] = ()


_Page: Final = schemas.page_of(COLLECTIONS[REGISTRATIONS])
# The session's seats, with a page of its registrations in the same object.
SeatsPage: Final = msgspec.defstruct(
    "SessionRegistrations",
    [(f.name, f.type) for f in (*structs.fields(Seats), *structs.fields(_Page))],
    frozen=True,
    kw_only=True,
    namespace={"__doc__": "A session's seats, and a page of its registrations."},
)


async def registrations(call: Call) -> Answer:
    """The handler: the session's seats, and a page of its registrations."""
    call.take_only("limit", "cursor")
    session = await _session(call, record_key(call.tenant, SESSIONS, call.params["id"]))
    with call.moment() as reader:
        session = reader.load([session.key]).get(session.key, session)
        shown = _encode(seats_of(reader, session))
        page = _LIST.page(call, session.key.id)
    return answer(call, 200, shown[:-1] + b"," + page[1:])


async def _session(call: Call, key: RecordKey) -> Record:
    for asked_again in (False, True):
        found = call.front.gate.reader().load([key]).get(key)
        if found is not None and found.alive:
            return found
        if asked_again or await is_really_missing(call):
            break
    raise Problem("not_found", f"There is no session {key.id!r}.")


def seats_of(reader: Reader, session: Record) -> Seats:
    """What is left of a session's seats."""
    said = value_of(session, SEATS)
    name = Scarce(session.key.tenant, seats_name(session.key.id))
    span = Span(name, *SEATS_TIME)
    pending = reader.taken(span, [ClaimState.TENTATIVE])
    taken = reader.taken(span, [ClaimState.CONFIRMED])
    # Mostly nobody waits, and then no claim is read.
    line = _line(reader, span) if reader.taken(span, [ClaimState.DISPLACED]) else []
    waiting = sum(claim.quantity for claim in line)
    # Who asks for more than there is waits for that to change, and is in nobody's way.
    asked = [claim.id.owner.id for claim in line if claim.quantity <= capacity_of(session)]
    shown = tuple(asked[:LINE_SHOWN_MAX])
    seats = seats_in(said)
    warnings: tuple[SeatsWarning, ...] = ()
    if taken > seats:
        detail = f"{taken} seats are confirmed, and the session has {seats}. Nobody loses a seat."
        warnings = (SeatsWarning("overbooked", detail),)
    left = max(seats - taken - pending, 0)
    seats_said = said if isinstance(said, int) else None
    return Seats(seats_said, taken, pending, left, waiting, shown, warnings)


def _line(reader: Reader, span: Span) -> list[Claim]:
    """The claims that wait for seats, in the order in which whoever decides asks them again."""
    denied = [d.claim for d in reader.claims_on([span]) if d.state is ClaimState.DISPLACED]
    records = reader.load([claim.id.owner for claim in denied])
    waits = {key for key, record in records.items() if value_of(record, WAITLIST) is True}
    return sorted((c for c in denied if c.id.owner in waits), key=lambda claim: claim.order)


def registration_routes() -> Iterator[Route]:
    """All routes of this module."""
    yield Route(
        method="GET", path="/v2/sessions/{id:str}/registrations", run=registrations, needs="read",
        doc=Doc(
            tag="registrations", summary="A session's seats and registrations",
            detail="Counts over all, and a page of the registrations in `data`. Those that wait are asked again,"
            " earliest first, when seats come free.",
            fields=(LIMIT, CURSOR, *CONSISTENCY),
            replies=(Reply(200, "Seats, and a page.", SeatsPage),),
            problems=("not_found", "bad_token"),
        ),
    )  # fmt: skip
