"""Bookings to measure with: venues with rooms, places that nobody else wants (or that somebody does), and what became
of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect

from konkordat.bench.cluster import Bench
from konkordat.bench.streams import FRAME_BYTES_MAX
from konkordat.cli.exits import CommandError, ExitCode

ROOMS: Final = 20
DAYS: Final = 60
SLOT_MINUTES: Final = 10
SLOTS_A_DAY: Final = 20 * 60 // SLOT_MINUTES  # from 04:00 on, when a programme's day begins
FIRST_DAY: Final = date(2027, 6, 1)
ZONE: Final = "Europe/Zurich"
EVENT: Final = "01980000-0000-7000-8000-00000000e000"
VENUES: Final = {
    "majority": ("01980000-0000-7000-8000-00000000a000", "zurich"),
    "home": ("01980000-0000-7000-8000-00000000b000", "lugano"),
}
HOLDER_S_MAX: Final = 30.0
POLL_S: Final = 0.05


class State(StrEnum):
    """What a decided booking is."""

    CONFIRMED = "confirmed"
    DISPLACED = "displaced"


class Plan:
    """Who books what. Numbers are never used twice."""

    def __init__(self) -> None:
        self._next = 0
        self._taken = dict.fromkeys(VENUES, 0)

    async def lay_out(self, bench: Bench, node: str) -> None:
        """The event, its venues and their rooms."""
        last = FIRST_DAY + timedelta(days=DAYS - 1)
        venues = [
            _put(
                "venues",
                id,
                {"name": {"en": kind}, "region": home, "time_zone": ZONE, "decide": kind},
            )
            for kind, (id, home) in VENUES.items()
        ]
        rooms = [
            _put("rooms", _room(kind, n), {"venue": id, "name": {"en": f"Room {n}"}})
            for kind, (id, _home) in VENUES.items()
            for n in range(ROOMS)
        ]
        event = {
            "slug": "bench",
            "name": {"en": "Bench"},
            "time_zone": ZONE,
            "start_date": FIRST_DAY.isoformat(),
            "end_date": last.isoformat(),
            "venues": [id for id, _home in VENUES.values()],
        }
        await bench.write(node, [*venues, _put("events", EVENT, event)])
        await bench.write(node, rooms)

    async def await_holders(self, bench: Bench) -> None:
        """Until the venues' seats are held: a first booking at each is confirmed. Raises CommandError."""
        for kind, (_id, home) in VENUES.items():
            first, (template,) = self.bookings(kind, 1)
            await bench.write(home, [msgspec.json.decode(template % first)])
            give_up = time.perf_counter() + HOLDER_S_MAX
            id = self.id_of(first)
            while (await self.states(bench, home, [id]))[id] != State.CONFIRMED:
                if time.perf_counter() > give_up:
                    message = f"The {kind} venue's seat is not held after {HOLDER_S_MAX:.0f} s."
                    raise CommandError(message, ExitCode.UNMET, "no_holder")
                await asyncio.sleep(POLL_S)

    def bookings(self, venue: str, count: int, rivals: int = 0) -> tuple[int, list[str]]:
        """The first number, and a template for each booking; of every `rivals` one wants a place just booked."""
        first = self._next
        self._next += count
        templates = []
        for step in range(count):
            rival = rivals and step % (rivals + 1) == rivals
            if not rival:
                self._taken[venue] += 1
            templates.append(_template(venue, self._taken[venue] - 1))
        return first, templates

    def id_of(self, number: int) -> str:
        """The session of a number."""
        return f"01980000-0000-7000-9000-{number:012d}"

    async def states(self, bench: Bench, node: str, ids: Iterable[str]) -> dict[str, str]:
        """What a node tells of sessions now."""
        found = {}
        for id in ids:
            session = await bench.ask(node, "GET", f"/v2/sessions/{id}")
            found[id] = session["slot"]["state"]
        return found

    async def overlaps(self, bench: Bench) -> int:
        """Places that are confirmed to more than one session, as the holder tells it."""
        confirmed: set[tuple[str, str]] = set()
        twice = 0
        cursor = ""
        while True:
            page: Any = await bench.ask("zurich", "GET", f"/v2/sessions?limit=200{cursor}")
            for session in page["data"]:
                slot = session["slot"]
                if slot is None or slot["state"] != State.CONFIRMED:
                    continue
                place = (slot["room"], slot["local_start"])
                twice += place in confirmed
                confirmed.add(place)
            if not page["has_more"]:
                return twice
            cursor = f"&cursor={page['next_cursor']}"


def _put(collection: str, id: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"op": "put", "type": collection, "id": id, "data": data}


def _room(venue: str, number: int) -> str:
    return VENUES[venue][0][:-3] + f"{number + 1:03d}"


def _template(venue: str, place: int) -> str:
    """A booking of the n-th place of a venue: rooms first, then times."""
    when, room = divmod(place, ROOMS)
    day, slot = divmod(when, SLOTS_A_DAY)
    assert day < DAYS, "the bench has more bookings than places"
    start = datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(
        days=day, hours=4, minutes=slot * SLOT_MINUTES
    )
    data = {
        "event": EVENT,
        "title": {"en": "Booking"},
        "slot": {
            "room": _room(venue, room),
            "local_start": start.isoformat(timespec="minutes"),
            "time_zone": ZONE,
            "duration_minutes": SLOT_MINUTES,
        },
    }
    head = '{"op":"put","type":"sessions","on_conflict":"tentative","id":"01980000-0000-7000-9000-%012d","data":'
    return head + msgspec.json.encode(data).decode() + "}"


class _Slot(Struct):
    state: str = ""


class _Session(Struct):
    slot: _Slot | None = None


class _Change(Struct):
    """The parts of a message that are looked at."""

    msg: str
    id: str = ""
    data: _Session | None = None


_decoder: Final = msgspec.json.Decoder(_Change)


class Decisions:
    """When each booking was decided, as one node tells it."""

    def __init__(self, url: str, key: str) -> None:
        self._address = f"ws{url.removeprefix('http')}/v2/stream"
        self._key = key
        self._socket: ClientConnection | None = None
        self.at: dict[str, float] = {}  # session -> time.perf_counter() of the first decision
        self.states: dict[str, str] = {}

    async def open(self) -> None:
        """Connect and follow; returns when everything until now has been told."""
        self._socket = await connect(
            self._address,
            additional_headers={"Authorization": f"Bearer {self._key}"},
            max_size=FRAME_BYTES_MAX,
            compression=None,
            proxy=None,
        )
        await self._socket.send('{"msg":"hello","client":"bench"}')
        await self._socket.send('{"msg":"subscribe","sub":"s","types":["sessions"]}')
        while _decoder.decode(await self._socket.recv()).msg != "caught_up":
            pass

    async def listen(self) -> None:
        """Note decisions until cancelled."""
        assert self._socket is not None
        async for frame in self._socket:
            now = time.perf_counter()
            change = _decoder.decode(frame)
            slot = change.data.slot if change.data is not None else None
            if slot is not None and slot.state in (State.CONFIRMED, State.DISPLACED):
                self.at.setdefault(change.id, now)
                self.states[change.id] = slot.state

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()
