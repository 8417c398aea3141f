"""Organisers at work: sessions, slots and rooms of a small programme, with the commands of the real event domain."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from konkordat.kernel.ids import Group, RecordKey, Tenant, record_key
from konkordat.schedule.attendance import registration_id
from konkordat.schedule.commands import Operation, WriteCommand, operation
from konkordat.schedule.domain import ScheduleDomain
from konkordat.schedule.registry import COLLECTIONS
from konkordat.testing.options import Options
from konkordat.testing.randomness import Source
from konkordat.testing.workbench import digest16
from konkordat.testing.writers import Work, Writer

ROOMS: Final = 3
CLASSES: Final = 2  # sessions that attendees register for
ATTENDEES: Final = 6
SPEAKERS: Final = 4
HOURS: Final = 8  # of the one day for which all sessions fight
ZONE: Final = "Europe/Zurich"
STATES: Final = ("draft", "submitted", "accepted", "confirmed", "cancelled")
UIDS_KEPT: Final = 1_024  # of the few things that all are about
ON_CONFLICT: Final = ("fail", "fail", "tentative", "without_slot")


class ScheduleWorkload:
    """The event domain."""

    mix: Mapping[str, float] = {
        "put": 32,
        "remove": 5,
        "create": 12,
        "book": 22,
        "together": 8,
        "capacity": 1,
        "speakers": 5,
        "register": 14,
        "unregister": 4,
        "read": 22,
        "trespass": 1,
        "rehearse": 1,
        "misuse": 2,
    }
    poison: tuple[bytes, ...] = (
        b'{"room":"","local_start":"2027-06-01T09:00","time_zone":"Europe/Zurich","duration_minutes":1}',
        b'{"room":7,"local_start":"9999-12-31T23:59","time_zone":"Nowhere","duration_minutes":-1}',
        b'{"local_start":"2027-06-01T09:00","time_zone":"../../etc","duration_minutes":1e9}',
        b'{"room":"x","booth":"y"}',
        b"[1,2]",
    )

    def __init__(self, options: Options) -> None:
        self.domain = ScheduleDomain()
        self._sessions = 2 * options.items
        self._homes = options.homes
        self._decide = options.decide

    # Ids -----------------------------------------------------------------------------------------

    def _some_session(self, source: Source) -> str:
        return uid(f"session-{source.randrange(self._sessions)}")

    def _some_room(self, source: Source) -> str:
        return uid(f"room-{source.randrange(ROOMS)}")

    def some_key(self, source: Source, tenant: Tenant) -> RecordKey:
        return record_key(tenant, "sessions", self._some_session(source))

    def foreign_key(self, source: Source, tenant: Tenant) -> RecordKey:
        return self.some_key(source, tenant)

    def target(self, source: Source, tenant: Tenant) -> tuple[RecordKey, Group]:
        collection, name, groups = source.choice(
            (
                ("sessions", self._some_session(source), ("slot", "title.de", "speakers", "?")),
                ("rooms", uid("room-0"), ("max_concurrent", "setup_minutes", "bookable")),
                ("events", uid("event"), ("start_date", "time_zone", "day_starts_at")),
                ("sessions", uid(f"poison-{source.randrange(4)}"), ("slot", "state", "event")),
            )
        )
        return record_key(tenant, collection, name), Group(source.choice(groups))

    # Operations ----------------------------------------------------------------------------------

    def prepare(self, source: Source, writer: Writer) -> Work | None:  # noqa: ARG002
        """The event, its rooms and speakers; every client puts the same, so it does not matter whose comes first."""
        named = {"de": f"<{writer.tenant}> programme"}
        dates = {"start_date": "2027-06-01", "end_date": "2027-06-02"}
        at = {"time_zone": ZONE, "decide": self._decide}
        event = {"slug": "forum", "name": named, "region": self._homes[-1], **at, **dates}
        operations = [_operation("upsert", "events", uid("event"), event)]
        for number, home in enumerate(self._homes):
            venue = {"name": named, "region": home, **at}
            operations.append(_operation("upsert", "venues", uid(f"venue-{number}"), venue))
        for number in range(ROOMS):
            venue_id = uid(f"venue-{number % len(self._homes)}")
            room = {"venue": venue_id, "name": named, "turnaround_minutes": 5 * number}
            operations.append(_operation("upsert", "rooms", uid(f"room-{number}"), room))
        for number in range(CLASSES):
            title = {"title": {"de": writer.value()}, "event": uid("event"), "seats": 2}
            operations.append(_operation("upsert", "sessions", _class(number), title))
        for number in range(ATTENDEES):
            person = {"name": f"<{writer.tenant}> attendee {number}"}
            operations.append(_operation("upsert", "attendees", uid(f"attendee-{number}"), person))
        for number in range(SPEAKERS):
            speaker = {"name": f"<{writer.tenant}> speaker {number}"}
            operations.append(_operation("upsert", "speakers", uid(f"speaker-{number}"), speaker))
        return _work(writer, *operations)

    def draw(self, kind: str, source: Source, writer: Writer, request: str) -> Work:
        match kind:
            case "create":
                name = digest16(f"{writer.tenant}/{writer.client}/{request}/{writer.number}").hex()
                session = self._session(source, writer)
                return _work(writer, _operation("create", "sessions", uid(name), session))
            case "book":
                return _work(writer, self._move(source))
            case "remove":
                return _work(writer, _operation("delete", "sessions", self._some_session(source)))
            case "together":
                return _work(writer, *self._swap(source, writer))
            case "capacity":
                change = {"max_concurrent": source.randint(1, 3)}
                return _work(writer, _patch("rooms", self._some_room(source), change))
            case "register":
                return _work(writer, self._register(source))
            case "unregister":
                gone = registration_id(_class(source.randrange(CLASSES)), _attendee(source))
                if source.chance(0.5):
                    return _work(writer, _operation("delete", "registrations", gone))
                return _work(writer, _patch("registrations", gone, {"cancelled": True}))
            case "hold":
                return _work(writer, self._hold(source))
            case "speakers":
                speakers = [uid(f"speaker-{n}") for n in source.some(range(SPEAKERS), 0, 2)]
                changed = {"speakers": speakers}
                return _work(writer, _patch("sessions", self._some_session(source), changed))
            case _:
                session = self._session(source, writer)
                conflict = source.choice(ON_CONFLICT)
                target = self._some_session(source)
                return _work(writer, _operation("upsert", "sessions", target, session, conflict))

    def _session(self, source: Source, writer: Writer) -> dict[str, Any]:
        body: dict[str, Any] = {
            "event": uid("event"),
            "title": {source.choice(("de", "fr")): writer.value()},
            "state": source.choice(STATES),
        }
        if source.chance(0.6):
            body["slot"] = self._slot(source)
        return body

    def _slot(self, source: Source) -> dict[str, Any]:
        start = f"2027-06-01T{9 + source.randrange(HOURS):02}:{source.choice((0, 30)):02}"
        minutes = source.choice((30, 60, 90))
        room = source.randrange(ROOMS)
        slot: dict[str, Any] = {
            "room": uid(f"room-{room}"),
            "local_start": start,
            "time_zone": ZONE,
            "duration_minutes": minutes,
        }
        if source.chance(0.25):
            venue = [n for n in range(ROOMS) if (n - room) % len(self._homes) == 0 and n != room]
            others: list[dict[str, Any]] = [{"room": uid(f"room-{n}")} for n in venue]
            others.append({"local_start": f"2027-06-01T{18 + source.randrange(3)}:00"})
            slot["alternatives"] = others
        return slot

    def _hold(self, source: Source) -> Operation:
        slot = {**self._slot(source)}
        slot.pop("hold", None)
        body = {"event": uid("event"), "slot": slot, "ttl_seconds": source.randint(1, 60)}
        name = uid(f"hold-{source.randrange(3)}")
        return _operation("upsert", "holds", name, body, source.choice(("fail", "tentative")))

    def _register(self, source: Source) -> Operation:
        session, attendee = _class(source.randrange(CLASSES)), _attendee(source)
        body = {
            "session": session,
            "attendee": attendee,
            "quantity": source.choice((1, 1, 2)),
            "waitlist": source.chance(0.5),
        }
        return _operation("upsert", "registrations", registration_id(session, attendee), body)

    def _move(self, source: Source) -> Operation:
        slot = None if source.chance(0.15) else self._slot(source)
        conflict = source.choice(ON_CONFLICT)
        return _patch("sessions", self._some_session(source), {"slot": slot}, conflict)

    def _swap(self, source: Source, writer: Writer) -> list[Operation]:
        """Several sessions moved at once; their places are taken as the command leaves them."""
        moves = {m.id: m for m in (self._move(source) for _ in range(source.randint(2, 4)))}
        title = {"title": {"de": writer.value()}}
        return [*moves.values(), _patch("sessions", self._some_session(source), title)]

    def another(self, source: Source, writer: Writer, key: RecordKey) -> Work:
        change = {"url": f"https://example.ch/{source.randrange(1_000_000)}"}
        collection = key.collection if key.collection in ("events", "sessions") else "sessions"
        target = key.id if collection == key.collection else self._some_session(source)
        return _work(writer, _patch(collection, target, change))

    def load(self, writer: Writer) -> Work:
        speaker = {"name": writer.value()}
        name = uid(f"load-{writer.number}")
        return _work(writer, _operation("upsert", "speakers", name, speaker))


def _class(number: int) -> str:
    """A session that has seats."""
    return uid(f"class-{number}")


def _attendee(source: Source) -> str:
    return uid(f"attendee-{source.randrange(ATTENDEES)}")


@lru_cache(UIDS_KEPT)
def uid(name: str) -> str:
    """A UUIDv7 for a name."""
    digits = digest16(name).hex()
    return f"01970000-{digits[:4]}-7{digits[4:7]}-8{digits[7:10]}-{digits[10:22]}"


def _work(writer: Writer, *operations: Operation) -> Work:
    keys = [record_key(writer.tenant, op.collection, op.id) for op in operations]
    return Work(WriteCommand(writer.tenant, operations), tuple(dict.fromkeys(keys)))


def _operation(
    op: Any, collection: str, id: str, body: Mapping[str, Any] | None = None, conflict: Any = "fail"
) -> Operation:
    spec = COLLECTIONS[collection]
    made = msgspec.convert(body, spec.body) if body is not None else None
    return operation(op, collection, id, made, on_conflict=conflict)


def _patch(
    collection: str, id: str, change: Mapping[str, Any], conflict: Any = "fail"
) -> Operation:
    made = msgspec.convert(change, COLLECTIONS[collection].patch)
    return operation("patch", collection, id, made, on_conflict=conflict)
