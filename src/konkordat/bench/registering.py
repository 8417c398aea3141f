"""What one more registration costs on a whole node, from command to answer: for a session with few or many of them."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import NodeName, Tenant, uuid7
from konkordat.kernel.policy import Policies
from konkordat.replica.messages import Accepted, Answered, Command, Tick
from konkordat.replica.replica import Replica
from konkordat.replica.settings import ReplicaSettings
from konkordat.schedule.attendance import registration_id
from konkordat.schedule.commands import Operation, WriteCommand, operation
from konkordat.schedule.domain import ScheduleDomain
from konkordat.schedule.registry import COLLECTIONS
from konkordat.store.sqlite import open_sqlite

NODE: Final = NodeName("zurich")
TENANT: Final = Tenant("bench")
NOW_MS: Final = 1_811_764_800_000  # 2027-05-31T12:00Z
TOGETHER: Final = 500  # operations of one command while the node is filled
SEATS: Final = 20_000  # never sold out


def registering_us(folder: Path, present: int, measured: int, venues: int = 0) -> float:
    """Median processor time of one registration, when so many registrations, and so many venues with a seat each, are
    there, on a new node of its own in the folder."""
    node = _Node(folder)
    for some in _parts([f"venue {number}" for number in range(venues)]):
        node.write(*(_create("venues", name, **VENUE) for name in some))
    node.write(_create("events", "forum", **EVENT), _create("sessions", "talk", **SESSION))
    people = [f"person {number}" for number in range(present + measured)]
    for some in _parts(people):
        node.write(*(_create("attendees", name, name=name) for name in some))
    for some in _parts(people[:present]):
        node.write(*map(_registration, some))
    took = list(node.timed_us(map(_registration, people[present:])))
    node.close()
    return statistics.median(took)


class _Node:
    """A replica on a SQLite store, the only member of its roster."""

    def __init__(self, folder: Path) -> None:
        self._store = open_sqlite(folder, NODE, NOW_MS, os.urandom)
        settings = ReplicaSettings("bench", started_ms=NOW_MS, members=(NODE,))
        self._replica = Replica(self._store, ScheduleDomain(), Policies(), settings)
        self._now_ms = NOW_MS
        self._replica.handle([Tick()], NOW_MS)

    def write(self, *operations: Operation) -> Accepted:
        """One command, committed. It must be accepted."""
        self._now_ms += 1
        command = Command("bench", "bench", WriteCommand(TENANT, operations))
        effects = self._replica.handle([command], self._now_ms)
        (answer,) = [effect for effect in effects if isinstance(effect, Answered)]
        assert isinstance(answer.outcome, Accepted), answer.outcome
        return answer.outcome

    def timed_us(self, operations: Iterable[Operation]) -> Iterator[float]:
        """What each costs as a command of its own. Waiting for the disk is left out: it hides what is to be seen."""
        for each in operations:
            began = time.thread_time_ns()
            outcome = self.write(each)
            yield (time.thread_time_ns() - began) / 1e3
            decided = [d.state for d in outcome.claims if d.claim.quantity]
            assert decided == [ClaimState.CONFIRMED], decided

    def close(self) -> None:
        self._store.close()


def _parts(people: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(people), TOGETHER):
        yield people[first : first + TOGETHER]


def _id(name: str) -> str:
    return uuid7(NOW_MS, hashlib.blake2b(name.encode(), digest_size=10).digest())


def _create(collection: str, name: str, /, **fields: Any) -> Operation:
    body = msgspec.convert(fields, COLLECTIONS[collection].body)
    return operation("create", collection, _id(name), body)


def _registration(person: str) -> Operation:
    session, attendee = _id("talk"), _id(person)
    fields = {"session": session, "attendee": attendee}
    body = msgspec.convert(fields, COLLECTIONS["registrations"].body)
    return operation("create", "registrations", registration_id(session, attendee), body)


VENUE: Final[dict[str, Any]] = {"name": {"de": "Kursaal"}, "time_zone": "Europe/Zurich"}
EVENT: Final[dict[str, Any]] = {
    "slug": "forum-2027",
    "name": {"de": "Forum"},
    "time_zone": "Europe/Zurich",
    "start_date": "2027-06-01",
    "end_date": "2027-06-03",
}
SESSION: Final[dict[str, Any]] = {
    "event": _id("forum"),
    "title": {"de": "Netze, die halten"},
    "seats": SEATS,
}
