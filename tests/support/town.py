"""Real nodes with a client at each, a conference on them, and what one does to nodes: cut off, kill, bring back."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from konkordat.cli.cluster import LocalCluster
from konkordat.client import CaughtUp, Change, Client, KonkordatError, NotFound
from konkordat.kernel.frontier import joined, parse_token, token
from konkordat.kernel.ids import Origin
from support.terminal import cluster

PATIENCE_S = 30.0  # milliseconds as a rule, seconds for a takeover, more on a machine that is busy
POLL_S = 0.02
ZONE = "Europe/Zurich"
UNDECIDED = {"tentative", "pending"}

Record = dict[str, Any]


class Town:
    """A cluster as its users see it. Every client has the tenant's key and talks to one node only."""

    def __init__(self, nodes: LocalCluster) -> None:
        self.nodes = nodes
        self.names = nodes.names
        self.at = {name: Client(url, key=nodes.key) for name, url in nodes.urls.items()}
        self.down: set[str] = set()

    def close(self) -> None:
        for client in self.at.values():
            client.close()

    @property
    def up(self) -> list[str]:
        return [name for name in self.names if name not in self.down]

    # What is there -------------------------------------------------------------------------------

    def venue(self, region: str, rooms: int = 0, **more: Any) -> tuple[str, list[str]]:
        """A house and its rooms, made at the node of its region."""
        client = self.at[region]
        body = {"name": {"en": f"House of {region}"}, "region": region, "time_zone": ZONE}
        venue = client.create("venues", body | more)["id"]
        named = [{"venue": venue, "name": {"en": f"Room {n}"}} for n in range(rooms)]
        return venue, [client.create("rooms", body)["id"] for body in named]

    def event(self, region: str, slug: str, days: int = 3) -> str:
        body = {
            "slug": slug,
            "name": {"en": slug.title()},
            "time_zone": ZONE,
            "start_date": "2027-06-01",
            "end_date": f"2027-06-{days:02}",
            "region": region,
        }
        id_: str = self.at[region].create("events", body)["id"]
        return id_

    # Knowing -------------------------------------------------------------------------------------

    def share(self, names: Collection[str] | None = None) -> None:
        """Whatever one client has seen, all see from now on."""
        there = [self.at[name] for name in self.up if names is None or name in names]
        seen: dict[Origin, int] = {}
        for client in there:
            seen = joined(seen, parse_token(client.token)) if client.token else seen
        for client in there:
            client.token = token(seen)

    def settled(
        self, ids: Collection[str], type_: str = "sessions", names: Collection[str] | None = None
    ) -> dict[str, dict[str, Record]]:
        """Wait until nothing about these records is undecided anywhere; what each node tells of them."""
        where = [name for name in self.up if names is None or name in names]
        return {name: {id_: self._settled(name, type_, id_) for id_ in ids} for name in where}

    def _settled(self, name: str, type_: str, id_: str) -> Record:
        found: Record = {}

        def holds() -> bool:
            nonlocal found
            try:
                found = self.at[name].get(type_, id_)
            except NotFound:
                return False
            return state_of(found) not in UNDECIDED

        until(holds, f"{type_} {id_} is undecided at {name}: {found}")
        return found

    # What befalls it -----------------------------------------------------------------------------

    def cut(self, name: str) -> None:
        """Its lines are cut; its clients still reach it."""
        os.kill(self.nodes.nodes[name].pid, signal.SIGUSR1)
        others = [other for other in self.up if other != name]
        until(
            lambda: not self._heard(name) and not any(name in self._heard(o) for o in others),
            f"{name} is not cut off",
        )

    def mend(self, name: str) -> None:
        os.kill(self.nodes.nodes[name].pid, signal.SIGUSR2)
        self.meet()

    def kill(self, name: str) -> float:
        """As by kill -9; when, on `time.monotonic`."""
        self.nodes.nodes[name].kill()
        killed_at = time.monotonic()
        self.down.add(name)
        self.at[name].close()
        return killed_at

    def restart(self, name: str) -> None:
        asyncio.run(self.nodes.restart(name))
        self.down.discard(name)
        self.at[name] = Client(self.nodes.urls[name], key=self.nodes.key)
        self.meet()

    def meet(self) -> None:
        """Everybody hears everybody."""
        up = set(self.up)
        until(lambda: all(self._heard(n) | {n} == up for n in up), "the nodes do not meet")

    def _heard(self, name: str) -> set[str]:
        told = self.at[name].cluster()["nodes"]
        return {node["name"] for node in told if node["alive"] and not node["is_self"]}

    def agree(self) -> None:
        """The same frontier and digest everywhere."""

        def standings() -> set[str]:
            own = [self.at[name].cluster()["nodes"][0] for name in self.up]
            return {f"{sorted(node['frontier'].items())} {node['digest']}" for node in own}

        until(lambda: len(standings()) == 1, "the nodes do not agree")


@contextmanager
def town(folder: Path, *names: str) -> Iterator[Town]:
    """Nodes that know each other, for as long as the block lasts."""
    with cluster(folder, *names) as nodes:
        place = Town(nodes)
        try:
            place.meet()
            yield place
        finally:
            place.close()


class Witness:
    """A stream from one node, from now on: every state of every session in the order in which it was told."""

    def __init__(self, place: Town, name: str) -> None:
        self._changes: list[tuple[float, Change]] = []
        self._live = threading.Event()
        self._client = Client(place.nodes.urls[name], key=place.nodes.key)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        assert self._live.wait(PATIENCE_S), "the stream tells nothing"

    def _follow(self) -> None:
        with suppress(KonkordatError):
            self._take()

    def close(self) -> None:
        self._client.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the stream did not end"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> None:
        for item in self._client.stream():
            if isinstance(item, Change):
                self._changes.append((time.monotonic(), item))
            elif isinstance(item, CaughtUp):
                self._live.set()

    def told(self, id_: str) -> list[tuple[float, Record]]:
        """What was told of a record so far, with when."""
        return [(at, c.data) for at, c in list(self._changes) if c.id == id_ and c.data]

    def sees(self, id_: str, holds: Callable[[Record], bool]) -> float:
        """Wait for a state of a record; when it was told, on `time.monotonic`."""
        until(
            lambda: any(holds(r) for _, r in self.told(id_)),
            f"not told: {self.told(id_)}",
        )
        return next(at for at, record in self.told(id_) if holds(record))


def until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait for something to hold."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(POLL_S)


# Records --------------------------------------------------------------------------------------------


def slot(place: str, day: int, start: str, minutes: int = 60, kind: str = "room") -> Record:
    return {
        kind: place,
        "local_start": f"2027-06-{day:02}T{start}",
        "time_zone": ZONE,
        "duration_minutes": minutes,
    }


def state_of(record: Record) -> str:
    """What became of what a session or a registration claims."""
    placed = record.get("slot") if "slot" in record else record
    return str((placed or {}).get("state", ""))


def holdings(record: Record) -> list[tuple[str, str, str]]:
    """What a session holds for sure: (room or booth, start, end)."""
    placed = record.get("slot") or {}
    sure = [placed.get("granted") or placed] if placed.get("state") == "confirmed" else []
    sure += [placed["held"]] if placed.get("held") else []
    return [(at.get("room") or at["booth"], at["start"], at["end"]) for at in sure]


def overlapping(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Pairs of sessions to which one place is promised at one time."""
    held = sorted((*holding, record["id"]) for record in records for holding in holdings(record))
    return [
        (first[3], second[3])
        for first, second in pairwise(held)
        if first[0] == second[0] and second[1] < first[2] and first[3] != second[3]
    ]
