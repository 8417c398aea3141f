"""`GET /v2/free`: which rooms and booths are free at a time, and when on a day. Read from this node's copy."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from konkordat.api.answers import Answer, answer
from konkordat.api.call import Call
from konkordat.api.consistency import is_really_missing
from konkordat.api.docs import CONSISTENCY, CURSOR, LIMIT, Doc, Field, Reply
from konkordat.api.front import Route
from konkordat.api.instead import Copy
from konkordat.api.problems import Problem, invalid
from konkordat.api.schemas import Conflict, ShownPlace
from konkordat.api.settings import PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX
from konkordat.api.tokens import Cursor, cursor_text, parse_cursor
from konkordat.api.views import FORMS
from konkordat.api.writing import conflicts
from konkordat.kernel.ids import (
    Collection,
    Group,
    RecordId,
    RecordKey,
    Tenant,
    record_key,
    valid_record_id,
)
from konkordat.kernel.record import Record
from konkordat.schedule import rules
from konkordat.schedule.claims import (
    BOOTHS,
    EVENT,
    EVENTS,
    ROOMS,
    SESSIONS,
    VENUES,
    owned_resource,
    value_of,
)
from konkordat.schedule.fields import DURATION_MINUTES_MAX, PEOPLE_MAX
from konkordat.schedule.free import free_spans
from konkordat.schedule.rules import Site
from konkordat.schedule.slots import Candidate
from konkordat.schedule.times import MINUTE_MS, Interval, from_local, to_utc_ms, utc_text, zone

TAKEN_SHOWN_MAX: Final = 100  # bookings of one place in one answer: a day in steps of a quarter
YEAR_MAX: Final = 8998  # as wall times end (schedule.times), with a day to spare
KINDS: Final = {"room": ROOMS, "booth": BOOTHS}
COLLECTION_OF: Final = {**KINDS, "venue": VENUES, "event": EVENTS}
_WHAT: Final = {
    "room": "a room",
    "booth": "a booth",
    "venue": "a venue: its rooms and booths",
    "event": "an event: the places of its venues; or, beside one of the others, what is free for it",
}
_CAPACITY: Final = Group("capacity")
_VENUE: Final = Group("venue")
_encode: Final = msgspec.json.Encoder().encode


class FreePlace(Struct, frozen=True, kw_only=True):
    """A room or booth, and what is left of the time that was asked for."""

    type: Annotated[str, Meta(examples=["rooms"])]
    id: str
    venue: str
    name: Any  # by language
    capacity: int | None
    time_zone: Annotated[str, Meta(description="Of the venue.", examples=["Europe/Zurich"])]
    is_free: Annotated[bool, Meta(description="All of the time that was asked for.")]
    free: Annotated[
        tuple[Any, ...], Meta(description="Slots, each as long as a session there could be.")
    ]
    taken: tuple[Conflict, ...]


class FreePlacesPage(Struct, frozen=True):
    """Rooms, then booths, of one venue after the other."""

    data: tuple[FreePlace, ...]
    next_cursor: str | None
    has_more: bool


class ShownFreePlace(FreePlace, frozen=True, kw_only=True):
    """A room or booth, and what is left of the time that was asked for."""

    name: dict[str, str]
    free: tuple[ShownPlace, ...]


class ShownFreePlaces(FreePlacesPage, frozen=True):
    """Rooms, then booths, of one venue after the other."""

    data: tuple[ShownFreePlace, ...]


class _Time(NamedTuple):
    """The time that is asked for, in wall time: of each place the window may be another."""

    day: date | None
    local_start: str
    minutes: int

    def window(self, at: ZoneInfo) -> Interval:
        """Raises Problem for a start that the clocks there skip."""
        if self.day is not None:
            midnights = (self.day, self.day + timedelta(days=1))
            start, until = (
                from_local(datetime(d.year, d.month, d.day, tzinfo=at)) for d in midnights
            )
            return Interval(start, until)
        start_ms = to_utc_ms(self.local_start, at.key)
        if not isinstance(start_ms, int):
            raise Problem(start_ms.code, f"{start_ms}.")
        return Interval(start_ms, start_ms + self.minutes * MINUTE_MS)


class _Section(NamedTuple):
    """Places that are listed together: those of a venue ("": of all) in one collection."""

    venue: str
    collection: Collection


async def free(call: Call) -> Answer:
    """The handler."""
    query = call.take_only(
        *COLLECTION_OF, "day", "local_start", "duration_minutes", "seats", "limit", "cursor"
    )
    time = _time(call, query)
    seats = call.integer("seats", 0, 0, PEOPLE_MAX)
    limit = call.integer("limit", PAGE_ITEMS_DEFAULT, 1, PAGE_ITEMS_MAX)
    named = [name for name in COLLECTION_OF if name in query]
    if not named or len([name for name in named if name != "event"]) > 1:
        raise invalid("?venue", "Say where: one of room, booth and venue; or event, alone or too.")
    for name in named:
        await _require(call, name)
    look = _Look(call, query.get("event"), time, seats)
    one = next((kind for kind in KINDS if kind in query), None)
    page = await look.page(query, limit) if one is None else look.single(KINDS[one], query[one])
    return answer(call, 200, _encode(page))


class _Look:
    """One request's look at this node's copy."""

    def __init__(self, call: Call, event: str | None, time: _Time, seats: int) -> None:
        self._tenant = Tenant(call.tenant)
        self._front = call.front
        self._reader = call.front.gate.reader()
        self._copy = Copy(self._reader, self._tenant, call.front.gate.now_ms())
        self._event = event
        self._time = time
        self._seats = seats
        # Whoever asks has no place yet that would be in nobody's way.
        self._nobody = RecordKey(self._tenant, SESSIONS, RecordId(""))

    def record(self, collection: Collection, id: str) -> Record | None:
        key = record_key(self._tenant, collection, id)
        found = self._reader.load([key]).get(key)
        return found if found is not None and found.alive else None

    def single(self, collection: Collection, id: str) -> FreePlacesPage:
        """One room or booth."""
        place = self.record(collection, id)
        shown = None if place is None else self.at(place)
        return FreePlacesPage(() if shown is None else (shown,), None, has_more=False)

    async def page(self, query: dict[str, str], limit: int) -> FreePlacesPage:
        sections = self._sections(query.get("venue"))
        after, seen = "", self._front.token()
        if "cursor" in query:
            cursor = parse_cursor(query["cursor"])
            at = _Section(cursor.parent, Collection(cursor.collection))
            if at not in sections:
                raise Problem("bad_token", "The cursor belongs to another list.")
            sections, after, seen = sections[sections.index(at) :], cursor.after, cursor.seen
        places: list[tuple[_Section, Record]] = []
        for section in sections:
            # One more than wanted tells whether there is more.
            want, venue = limit + 1 - len(places), section.venue or None
            here = self._reader.scan(self._tenant, section.collection, RecordId(after), want, venue)
            places += [(section, place) for place in here]
            after = ""
            if len(places) > limit:
                break
        looked = []
        for _, place in places[:limit]:
            looked.append(self.at(place))
            # A crowded day of one room takes a millisecond: others are answered in between.
            await asyncio.sleep(0)
        shown = tuple(filter(None, looked))
        if len(places) <= limit:
            return FreePlacesPage(shown, None, has_more=False)
        section, last = places[limit - 1]
        text = cursor_text(Cursor(section.collection, section.venue, last.key.id, seen))
        return FreePlacesPage(shown, text, has_more=True)

    def _sections(self, venue: str | None) -> list[_Section]:
        venues = [venue] if venue is not None else self._venues_of_event()
        return [_Section(v, collection) for v in venues for collection in KINDS.values()]

    def _venues_of_event(self) -> list[str]:
        event = self.record(EVENTS, str(self._event))
        frame = rules.frame_of(rules.values_of(event)) if event is not None else None
        return list(frame.venues) if frame is not None and frame.venues else [""]

    def at(self, place: Record) -> FreePlace | None:
        """One place; None for one that is too small, or of no use to the event, or whose venue is not here."""
        size, resource = value_of(place, _CAPACITY), owned_resource(place.key)
        venue_id = str(value_of(place, _VENUE) or "")
        venue = self._copy.values(VENUES, venue_id)
        at = zone(str(rules.read(venue or {}, "time_zone")))
        too_small = self._seats and (not isinstance(size, int) or size < self._seats)
        if resource is None or too_small or not isinstance(at, ZoneInfo):
            return None
        event = self._event or value_of(place, EVENT)
        if self._event and value_of(place, EVENT) not in {None, self._event}:
            return None
        asking = self._copy.asking(self._nobody, event)
        window = self._time.window(at)
        spans = free_spans(asking, Site(resource.name, at), window)
        is_free = any(s.place.interval == window for s in spans)
        return FreePlace(
            type=place.key.collection,
            id=place.key.id,
            venue=venue_id,
            name=msgspec.Raw(FORMS[place.key.collection].map_json(place, "name")),
            capacity=size if isinstance(size, int) else None,
            time_zone=at.key,
            is_free=is_free,
            free=tuple(map(_shown, spans)),
            taken=self._taken(asking.holders(resource, window.start_ms, window.until_ms)),
        )

    def _taken(self, held: Any) -> tuple[Any, ...]:
        earliest = sorted(held, key=lambda claim: (claim.start_ms, claim.order))
        return tuple(conflicts(earliest[:TAKEN_SHOWN_MAX], self._reader))


def _shown(place: Candidate) -> dict[str, Any]:
    interval = place.place.interval
    times = {"start": utc_text(interval.start_ms), "end": utc_text(interval.until_ms)}
    return place.as_slot() | times


def _time(call: Call, query: dict[str, str]) -> _Time:
    """Raises Problem for what is neither a day nor a time with a length."""
    if ("day" in query) == ("local_start" in query):
        raise invalid("?day", "Say when: a day, or local_start with duration_minutes.")
    if "day" not in query:
        if "duration_minutes" not in query:
            raise invalid("?duration_minutes", "local_start needs duration_minutes.")
        minutes = call.integer("duration_minutes", 0, 1, DURATION_MINUTES_MAX)
        return _Time(None, query["local_start"], minutes)
    if "duration_minutes" in query:
        raise invalid("?duration_minutes", "duration_minutes goes with local_start.")
    try:
        day = date.fromisoformat(query["day"])
    except ValueError:
        day = date.min
    # The form of the schedule, and the years at both ends left out as there.
    if day.isoformat() != query["day"] or not 1970 < day.year <= YEAR_MAX:
        raise invalid("?day", "day is a date like 2027-06-01.")
    return _Time(day, "", 0)


async def _require(call: Call, name: str) -> None:
    """Raises Problem for a record that is not there."""
    collection, id = COLLECTION_OF[name], call.query[name]
    if not valid_record_id(id):
        raise invalid(f"?{name}", f"{name} is the id of a record.")
    key = record_key(call.tenant, collection, id)
    for asked_again in (False, True):
        found = call.front.gate.reader().load([key]).get(key)
        if found is not None and found.alive:
            return
        if asked_again or await is_really_missing(call):
            break
    raise Problem("not_found", f"There is no record {id!r} in {collection}.")


def free_route() -> Route:
    """The route."""
    return Route(
        method="GET",
        path="/v2/free",
        run=free,
        needs="read",
        doc=Doc(
            tag="rooms",
            summary="Which rooms and booths are free, and when",
            detail="Of one room or booth, of a venue, or of the venues of an event: which slots are free in a time or"
            " on a day, and what is booked there. As this node knows it: what is tentative counts as taken. A slot that"
            " is shown can be booked, with what the place needs before and after it, in its bookable hours and, where"
            " an event is named, on its days.",
            fields=(
                *(Field(name, f"Id of {_WHAT[name]}.") for name in COLLECTION_OF),
                Field("day", "A date: all of that day at the place."),
                Field("local_start", "Wall time at the place, with `duration_minutes`."),
                Field("duration_minutes", "How long from `local_start`.", int),
                Field("seats", "Only rooms with a capacity of at least so many.", int),
                LIMIT,
                CURSOR,
                *CONSISTENCY,
            ),
            replies=(Reply(200, "A page of places, free or not.", ShownFreePlaces),),
            problems=(
                *("not_found", "invalid", "bad_token"),
                *("local_time_does_not_exist", "bad_local_time"),
            ),
        ),
    )
