"""An event as a whole: its programme in the formats of other tools, and its clashes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct

from konkordat.api.answers import REVALIDATE, Answer, Header, answer
from konkordat.api.bodies import etags
from konkordat.api.call import Call
from konkordat.api.consistency import is_really_missing
from konkordat.api.docs import CONSISTENCY, IF_NONE_MATCH, Doc, Field, Reply
from konkordat.api.front import Route
from konkordat.api.frozen import RELEASE, frozen_records
from konkordat.api.gate import Gate
from konkordat.api.overbooked import Overbooked, overbooked_among
from konkordat.api.placed import reason, where
from konkordat.api.problems import Problem, invalid
from konkordat.api.views import FORMS, version
from konkordat.kernel.claim import ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import ms_of
from konkordat.kernel.ids import Collection, RecordId, RecordKey, Tenant, record_key
from konkordat.kernel.record import Record
from konkordat.schedule.claims import (
    EVENTS,
    SESSIONS,
    SPEAKER_LIST,
    speaker_name,
    speakers_in,
)
from konkordat.schedule.clashes import Booking, SpeakerClash, speaker_clashes
from konkordat.schedule.interchange.collect import Records, collect_programme
from konkordat.schedule.interchange.frab_json import write_frab_json
from konkordat.schedule.interchange.frab_xml_writer import write_frab_xml
from konkordat.schedule.interchange.icalendar_writer import write_icalendar
from konkordat.schedule.interchange.programme import Programme
from konkordat.schedule.rules import frame_of, within_event
from konkordat.store.port import Reader, Span

BYTES_MAX: Final = 64 << 20  # of one programme's sessions; ordinary ones take a few MiB
SESSIONS_MAX: Final = 20_000  # of one programme; the largest known conference has under 2 000
PAGE_ROWS: Final = 500  # read at once, so that others have their turn in between
SPANS_PER_READ: Final = 200
ALWAYS: Final = (-(1 << 62), 1 << 62)
# SEQUENCE of a calendar entry: seconds from here to the last change. It grows, alike on every node, and needs no count.
SEQUENCE_FROM_MS: Final = 1_577_836_800_000

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode

WRITERS: Final[Mapping[str, tuple[bytes, Callable[[Programme], bytes]]]] = {
    "xml": (b"application/xml", write_frab_xml),
    "json": (b"application/json", write_frab_json),
    "ics": (b"text/calendar; charset=utf-8", write_icalendar),
}


class Displaced(Struct, frozen=True):
    """A session that lost its place."""

    session: str
    reason: Any


class Clashes(Struct, frozen=True):
    """What does not fit in a programme. Nothing is repaired silently."""

    speakers: tuple[SpeakerClash, ...]  # at least one session of each pair is of this event
    displaced: tuple[Displaced, ...]
    # Sessions on no day of the event: it was moved after they were booked, here or at another node.
    outside: tuple[str, ...]
    # Sessions to come that hold more than there is: a room takes fewer at a time now, or was deleted elsewhere.
    overbooked: tuple[Overbooked, ...]
    truncated: bool  # there are more pairs


class Snapshot(Struct, frozen=True):
    """All records of one event, with the claims of its sessions."""

    event: Record
    sessions: list[Record]
    claims: Mapping[RecordKey, list[DecidedClaim]]
    others: list[Record]  # venues, rooms, booths, speakers

    def etag(self, *parts: str) -> str:
        """Changes when anything shown does."""
        state = hashlib.blake2b("\0".join(parts).encode(), digest_size=16)
        for record in (self.event, *self.sessions, *self.others):
            state.update(version(record, self.claims.get(record.key, ())).encode())
        return f'"{state.hexdigest()}"'


async def snapshot(call: Call) -> Snapshot:
    """Read an event. Raises Problem not_found, too_large."""
    reader, tenant = call.front.gate.reader(), Tenant(call.tenant)
    event = await event_of(call)
    sessions = [record async for record in _all(reader, tenant, SESSIONS, event.key.id)]
    claims = reader.claims_of([session.key for session in sessions])
    keys = _referred(tenant, event, sessions, claims)
    others = reader.load(keys)
    venues = [
        record_key(tenant, "venues", view["venue"])
        for view in map(plain, others.values())
        if view.get("venue")
    ]
    others |= reader.load(set(venues) - others.keys())
    alive = [others[key] for key in sorted(others) if others[key].alive]
    return Snapshot(event, sessions, claims, alive)


async def event_of(call: Call) -> Record:
    """The event that the address names. Raises Problem not_found."""
    key = record_key(call.tenant, EVENTS, call.params["id"])
    reader = call.front.gate.reader()
    found = reader.load([key]).get(key)
    if (found is None or not found.alive) and not await is_really_missing(call):
        found = reader.load([key]).get(key)
    if found is None or not found.alive:
        raise Problem("not_found", f"There is no event {key.id!r}.")
    return found


async def _all(reader: Reader, tenant: Tenant, collection: Collection, parent: str) -> Any:
    """All living records of a parent, in pages."""
    after, count, size = RecordId(""), 0, 0
    while True:
        page = reader.scan(tenant, collection, after, PAGE_ROWS, parent)
        for record in page:
            yield record
        count += len(page)
        size += sum(len(r.value) for record in page for r in record.fields.values())
        if count > SESSIONS_MAX or size > BYTES_MAX:
            detail = f"The programme has more than {SESSIONS_MAX} sessions or {BYTES_MAX} bytes."
            raise Problem("too_large", detail)
        if len(page) < PAGE_ROWS:
            return
        after = page[-1].key.id
        await asyncio.sleep(0)


def _referred(
    tenant: Tenant,
    event: Record,
    sessions: Iterable[Record],
    claims: Mapping[RecordKey, list[DecidedClaim]],
) -> set[RecordKey]:
    """The rooms, booths, speakers and venues that a programme names, and the places that sessions were given."""
    keys = {record_key(tenant, "venues", id) for id in plain(event).get("venues") or ()}
    for session in sessions:
        view = plain(session)
        keys |= {record_key(tenant, "speakers", id) for id in view.get("speakers") or ()}
        slot = view.get("slot") or {}
        kinds = [(kind, slot[kind]) for kind in ("room", "booth") if slot.get(kind)]
        place = where(session, claims.get(session.key, ()))
        if place is not None:
            kind, _, id_ = place.name.partition("/")
            kinds.append((kind, id_))
        keys |= {record_key(tenant, f"{kind}s", id) for kind, id in kinds}
    return keys


def plain(record: Record, claims: Iterable[DecidedClaim] = ()) -> dict[str, Any]:
    """A record as an object, as answers show it."""
    return _decode(FORMS[record.key.collection].json(record, tuple(claims)))


# Formats ------------------------------------------------------------------------------------------


class Export:
    """`/v2/events/{id}/schedule.xml` and its like."""

    def __init__(self, format_: str) -> None:
        self._format = format_
        self._media_type, self._write = WRITERS[format_]

    async def __call__(self, call: Call) -> Answer:
        query = call.take_only("language", "release")
        language = query.get("language")
        if language is not None and not 2 <= len(language) <= 35:
            raise invalid("?language", "language is a BCP 47 tag, such as de or fr-CH.")
        if "release" in query:
            event = await event_of(call)
            records, digest = frozen_records(call.front.gate.reader(), event.key, query["release"])
            tag = f'"{digest}.{self._format}.{language or ""}"'
            return await self._answer(call, tag, partial(self._write_records, records, language))
        found = await snapshot(call)
        tag = found.etag(self._format, language or "")
        return await self._answer(call, tag, partial(self._written, found, language))

    async def _answer(self, call: Call, tag: str, write: Callable[[], bytes]) -> Answer:
        headers: list[Header] = [(b"etag", tag.encode())]
        if tag in etags(call.header(b"if-none-match")):
            return answer(call, 304, headers=headers, cache=REVALIDATE)
        # A large programme takes a while to write; requests go on meanwhile.
        body = await asyncio.to_thread(write)
        return answer(
            call, 200, body, media_type=self._media_type, headers=headers, cache=REVALIDATE
        )

    def _written(self, found: Snapshot, language: str | None) -> bytes:
        by_type: dict[str, list[dict[str, Any]]] = {}
        for record in found.others:
            by_type.setdefault(record.key.collection, []).append(plain(record))
        sessions = [plain(s, found.claims.get(s.key, ())) for s in found.sessions]
        records = Records(
            event=plain(found.event),
            venues=by_type.get("venues", []),
            rooms=by_type.get("rooms", []) + by_type.get("booths", []),
            speakers=by_type.get("speakers", []),
            sessions=sessions,
            revisions={session.key.id: revision(session) for session in found.sessions},
        )
        return self._write_records(records, language)

    def _write_records(self, records: Records, language: str | None) -> bytes:
        return self._write(collect_programme(records, language))


def revision(record: Record) -> int:
    """0 for what was never changed; then it grows with every change."""
    if record.life == 1 and record.touched == record.born:
        return 0
    return max(1, (ms_of(record.touched.hlc) - SEQUENCE_FROM_MS) // 1_000)


# Clashes ------------------------------------------------------------------------------------------


async def clashes(call: Call) -> Answer:
    """The handler."""
    call.take_only()
    found = await snapshot(call)
    return answer(call, 200, _encode(clashes_of(call.front.gate, found)))


def clashes_of(gate: Gate, found: Snapshot) -> Clashes:
    """Speakers in two places at once, also in another event; sessions without the place they asked for, outside, or in
    a place that there is not."""
    reader = gate.reader()
    own = {session.key.id for session in found.sessions}
    pairs = speaker_clashes(_bookings(reader, found))
    displaced = [
        Displaced(key.id, msgspec.Raw(reason(decided)))
        for key, claims in found.claims.items()
        for decided in claims
        if decided.state is ClaimState.DISPLACED
    ]
    return Clashes(
        tuple([pair for pair in pairs.pairs if pair.first in own or pair.second in own]),
        tuple(displaced),
        tuple(_outside(found)),
        tuple(overbooked_among(reader, found.claims, gate.now_ms())),
        pairs.truncated,
    )


def _outside(found: Snapshot) -> Iterator[str]:
    frame = frame_of({group: register.value for group, register in found.event.fields.items()})
    for session in found.sessions:
        place = where(session, found.claims.get(session.key, ()))
        if place and frame and not within_event(place.place.interval, frame):
            yield session.key.id


def _bookings(reader: Reader, found: Snapshot) -> Iterator[Booking]:
    """The sessions of this event's speakers, wherever they are; displaced ones are nowhere."""
    tenant = found.event.key.tenant
    speakers: set[str] = set()
    for session in found.sessions:
        register = session.fields.get(SPEAKER_LIST)
        speakers.update(speakers_in(register.value) if register else ())
    spans = [Span(Resource(tenant, speaker_name(s)), *ALWAYS) for s in sorted(speakers)]
    by_owner: dict[RecordKey, list[DecidedClaim]] = {}
    for start in range(0, len(spans), SPANS_PER_READ):
        for decided in reader.claims_on(spans[start : start + SPANS_PER_READ]):
            by_owner.setdefault(decided.claim.id.owner, []).append(decided)
    claims, records = reader.claims_of(by_owner), reader.load(by_owner)
    for owner, held in by_owner.items():
        record = records.get(owner)
        place = where(record, claims.get(owner, ())) if record is not None else None
        if place is not None:
            names = tuple(dict.fromkeys(d.claim.resource.name.partition("/")[2] for d in held))
            yield Booking(owner.id, place.name, names, place.place.interval)


# Routes -------------------------------------------------------------------------------------------


def programme_routes() -> Iterator[Route]:
    """All routes of this module."""
    names = {"xml": "frab XML", "json": "frab JSON", "ics": "iCalendar"}
    for format_, (media_type, _) in WRITERS.items():
        yield Route(
            method="GET", path=f"/v2/events/{{id:str}}/schedule.{format_}", run=Export(format_),
            needs="read",
            doc=Doc(
                tag="events", summary=f"The programme as {names[format_]}",
                fields=(
                    Field("language", "Which translation to prefer."), RELEASE, IF_NONE_MATCH,
                    *CONSISTENCY,
                ),
                replies=(
                    Reply(200, "The programme.", None, media_type.decode(), ("ETag",)),
                    Reply(304, "Unchanged."),
                ),
                problems=("not_found", "too_large", "not_yet_consistent"),
            ),
        )  # fmt: skip
    yield Route(
        method="GET", path="/v2/events/{id:str}/clashes", run=clashes, needs="read",
        doc=Doc(
            tag="events", summary="What clashes in the programme",
            detail="Speakers in two places at once, sessions that lost their place to an earlier booking, sessions on"
            " no day of the event, since it was moved, and sessions to come that hold more than there is, since their"
            " room takes fewer at a time than it did, or was deleted at a node that had not heard of them.",
            fields=CONSISTENCY, replies=(Reply(200, "The clashes.", Clashes),),
            problems=("not_found", "too_large"),
        ),
    )  # fmt: skip
