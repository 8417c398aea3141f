"""Organisers at work: sessions, slots and rooms of a small programme, with the commands of the real event domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from konkordat.kernel.ids import Group, RecordKey, Tenant, record_key
from konkordat.schedule.commands import Operation, WriteCommand, operation
from konkordat.schedule.domain import ScheduleDomain
from konkordat.schedule.registry import COLLECTIONS
from konkordat.testing.options import Options
from konkordat.testing.randomness import Source
from konkordat.testing.workbench import digest16
from konkordat.testing.writers import Work, Writer

ROOMS: Final = 3
SPEAKERS: Final = 4
HOURS: Final = 8  # of the one day for which all sessions fight
ZONE: Final = "Europe/Zurich"
STATES: Final = ("draft", "submitted", "accepted", "confirmed", "cancelled")
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
        event = {"slug": "forum", "name": named, "time_zone": ZONE, **dates}
        operations = [
            _operation("upsert", "venues", uid("venue"), {"name": named, "time_zone": ZONE}),
            _operation("upsert", "events", uid("event"), event),
        ]
        for number in range(ROOMS):
            room = {"venue": uid("venue"), "name": named, "turnaround_minutes": 5 * number}
            operations.append(_operation("upsert", "rooms", uid(f"room-{number}"), room))
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
        room = self._some_room(source)
        return {"room": room, "local_start": start, "time_zone": ZONE, "duration_minutes": minutes}

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
