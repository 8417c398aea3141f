"""What clients of a simulated cluster ask for, per domain: commands that fight for the same few records and places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from konkordat.kernel.ids import Group, RecordKey, Tenant, record_key
from konkordat.kernel.seat import Decide
from konkordat.replica.domain import Domain
from konkordat.testing.clock import START_MS
from konkordat.testing.domain import (
    BOOKINGS,
    CAPACITY,
    ITEMS,
    PLAIN_WISH,
    RESOURCES,
    SLOT,
    WISH,
    Book,
    Put,
    Remove,
    Together,
    TrialCommand,
    TrialDomain,
    Wish,
)
from konkordat.testing.options import Options
from konkordat.testing.programmes import ScheduleWorkload
from konkordat.testing.randomness import Source
from konkordat.testing.workbench import digest16
from konkordat.testing.writers import Work, Writer

HOUR_MS: Final = 3_600_000

__all__ = ["WORKLOADS", "TrialWorkload", "Work", "Workload", "Writer"]


class Workload(Protocol):
    """A domain, and what is asked of it."""

    mix: Mapping[str, float]  # kinds of operations and how often each is drawn
    poison: tuple[bytes, ...]  # values that mean something to this domain, and nothing good

    @property
    def domain(self) -> Domain:
        """Whose commands these are."""

    def prepare(self, source: Source, writer: Writer) -> Work | None:
        """What a client does first, if anything."""

    def draw(self, kind: str, source: Source, writer: Writer, request: str) -> Work:
        """An operation of a kind; `request` is the idempotency key, "" for none."""

    def another(self, source: Source, writer: Writer, key: RecordKey) -> Work:
        """Another write of a record than the one that was made before."""

    def load(self, writer: Writer) -> Work:
        """One of many writes of different records."""

    def some_key(self, source: Source, tenant: Tenant) -> RecordKey:
        """A record to look at."""

    def foreign_key(self, source: Source, tenant: Tenant) -> RecordKey:
        """An id that other tenants use too, asked for with one's own credential."""

    def target(self, source: Source, tenant: Tenant) -> tuple[RecordKey, Group]:
        """A record and group for a stranger to write to."""


class TrialWorkload:
    """Items and bookings of the trial domain."""

    mix: Mapping[str, float] = {
        "put": 40,
        "remove": 8,
        "create": 8,
        "book": 14,
        "unbook": 4,
        "together": 5,
        "swap": 4,
        "capacity": 1,
        "bulk": 0.5,
        "read": 22,
        "trespass": 1,
        "rehearse": 1,
        "misuse": 2,
    }
    poison: tuple[bytes, ...] = (
        b'["room-0",0,9223372036854775807,1]',
        b'["room-0",-1,1,1]',
        b'["room-0",0,36000000,-1]',
        b'["room-0",0,36000000,1152921504606846976]',
        b'["",3600000,7200000,1]',
    )

    def __init__(self, options: Options) -> None:
        self.domain = TrialDomain(options.homes, Decide(options.decide))
        self._items = options.items

    def prepare(self, source: Source, writer: Writer) -> Work | None:  # noqa: ARG002
        return None

    def draw(self, kind: str, source: Source, writer: Writer, request: str) -> Work:
        body = self._body(kind, source, writer, request)
        parts = body.parts if isinstance(body, Together) else (body,)
        return Work(body, tuple(dict.fromkeys(part.key for part in parts)))

    def _body(self, kind: str, source: Source, writer: Writer, request: str) -> TrialCommand:
        tenant = writer.tenant
        match kind:
            case "create" if request:
                # As the API does: the id follows from tenant and key, so a retry elsewhere makes the same record.
                name = digest16(f"{tenant}/{writer.client}/{request}").hex()
                return Put(record_key(tenant, ITEMS, name), {"title": writer.value()})
            case "remove":
                return Remove(self.some_key(source, tenant))
            case "unbook":
                return Remove(_booking(source, tenant))
            case "book":
                return self._book(source, tenant)
            case "swap":
                return self._swap(source, tenant)
            case "together":
                parts = [self._put(source, writer) for _ in range(source.randint(2, 6))]
                return Together(tuple(parts), reason="together")
            case "bulk":
                return self._bulk(source, writer)
            case "capacity":
                key = record_key(tenant, RESOURCES, f"room-{source.randrange(3)}")
                return Put(key, {CAPACITY: source.randint(0, 3)})
            case _:
                return self._put(source, writer)

    def _bulk(self, source: Source, writer: Writer) -> Together:
        """As much as a transaction may hold in number or in bytes, or a little more."""
        count, size = source.choice(((500, 300), (60, 3_000), (3, 600_000), (501, 1), (4, 800_000)))
        filler = source.randbytes(min(size, 2_000)).hex() * max(1, size // 4_000)
        title = f"{writer.value()} {filler[:size]}"
        parts = [
            Put(
                record_key(writer.tenant, ITEMS, f"bulk-{number % 60}-{number // 60}"),
                {"title": title},
            )
            for number in range(count)
        ]
        return Together(tuple(parts))

    def _put(self, source: Source, writer: Writer) -> Put:
        groups = source.some(("title", "room", "state"), 1, 3)
        return Put(self._item(source, writer.tenant), {group: writer.value() for group in groups})

    def _book(self, source: Source, tenant: Tenant) -> Book:
        start = source.randrange(6)
        until = start + source.randint(1, 3)
        room, insists = f"room-{source.randrange(3)}", source.chance(0.3)
        quantity = source.choice((1, 1, 1, 2))
        key = _booking(source, tenant)
        wish = self._wish(source) if source.chance(0.5) else PLAIN_WISH
        return Book(key, room, start * HOUR_MS, until * HOUR_MS, quantity, insists, wish)

    def _wish(self, source: Source) -> Wish:
        also = [
            (f"room-{source.randrange(3)}", start * HOUR_MS, (start + 1) * HOUR_MS)
            for start in source.some(range(6), 0, 2)
        ]
        return Wish(
            also=tuple(also),
            replaces=(f"booking-{source.randrange(8)}",) if source.chance(0.2) else (),
            waits=source.chance(0.3),
            expires_ms=START_MS + source.randint(1_000, 60_000) if source.chance(0.2) else 0,
        )

    def _swap(self, source: Source, tenant: Tenant) -> Together:
        """Bookings that get their new places all together, or not at all."""
        made = {book.key: book for book in (self._book(source, tenant) for _ in range(3))}
        together = [
            msgspec.structs.replace(book, wish=msgspec.structs.replace(book.wish, together=True))
            for book in made.values()
        ]
        return Together(tuple(together), reason="swap")

    def _item(self, source: Source, tenant: Tenant) -> RecordKey:
        return record_key(tenant, ITEMS, f"item-{source.randrange(self._items)}")

    def another(self, source: Source, writer: Writer, key: RecordKey) -> Work:  # noqa: ARG002
        return Work(Put(key, {"title": writer.value()}), (key,))

    def load(self, writer: Writer) -> Work:
        key = record_key(writer.tenant, ITEMS, f"load-{writer.number:06}")
        return Work(Put(key, {"title": writer.value()}), (key,))

    def some_key(self, source: Source, tenant: Tenant) -> RecordKey:
        return _booking(source, tenant) if source.chance(0.2) else self._item(source, tenant)

    def foreign_key(self, source: Source, tenant: Tenant) -> RecordKey:
        return self._item(source, tenant)

    def target(self, source: Source, tenant: Tenant) -> tuple[RecordKey, Group]:
        group = source.choice((Group("title"), Group("?"), SLOT, WISH, CAPACITY))
        if group == CAPACITY:
            return record_key(tenant, RESOURCES, "room-0"), group
        collection = BOOKINGS if group in (SLOT, WISH) else ITEMS
        if collection == ITEMS and source.chance(0.3):
            return self._item(source, tenant), group
        return record_key(tenant, collection, f"poison-{source.randrange(4)}"), group


def _booking(source: Source, tenant: Tenant) -> RecordKey:
    return record_key(tenant, BOOKINGS, f"booking-{source.randrange(8)}")


WORKLOADS: Final[Mapping[str, Callable[[Options], Workload]]] = {
    "trial": TrialWorkload,
    "schedule": ScheduleWorkload,
}
