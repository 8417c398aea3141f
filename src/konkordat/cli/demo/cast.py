"""The cast: five nodes as clients see them, a stream from each, and the line that can be cut."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from msgspec import Struct, structs

from konkordat.cli.board import NodeLook
from konkordat.cli.cluster import LocalCluster
from konkordat.cli.demo.eyes import Eye
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.client import AsyncClient, CaughtUp, Change, Conflict, KonkordatError
from konkordat.client.core import Call
from konkordat.client.options import OnConflict
from konkordat.schedule.interchange.plan import ImportPlan

LOOK_EVERY_S: Final = 0.15  # five small requests each time
POLL_S: Final = 0.05
LIVE_S_MAX: Final = 15.0
# A programme of long ago is as good for a demo as any; others need a reason to book a room in the past, too.
WHY_OVERRIDDEN: Final = "played by the demo"
# Nodes take signals for these drills only where they were told to.
CUT: Final = signal.SIGUSR1
MEND: Final = signal.SIGUSR2
SETTINGS: Final[Mapping[str, str]] = {"drills.enabled": "true"}


class Written(Struct, frozen=True):
    """A write that was acknowledged."""

    id: str
    version: str
    data: dict[str, Any]


class Refused(Struct, frozen=True):
    """A write that was not."""

    status: int
    code: str
    detail: str
    conflicts: list[dict[str, Any]]
    alternatives: list[dict[str, Any]]

    def as_error(self, what: str) -> CommandError:
        """For where a refusal was not in the story."""
        message = f"While {what}: {self.code}: {self.detail}"
        return CommandError(message, ExitCode.UNMET, "unexpected_refusal")


class Entry(Struct, frozen=True):
    """A change in a record's history."""

    at: str
    node: str
    fields: dict[str, Any]  # group -> value


class Tenure(Struct, frozen=True):
    """Who held a seat, from when to when (UTC)."""

    term: int
    holder: str  # node
    since: str
    until: str  # "" for the one that holds it now
    voters: list[str]


class Trail(Struct, frozen=True):
    """An audit export."""

    sha256: str
    lines: int
    size: int  # bytes


class Actor:
    """One node, as a client of it sees it."""

    def __init__(self, name: str, client: AsyncClient) -> None:
        self.name = name
        self.client = client

    async def read(self, type_: str, id_: str) -> dict[str, Any]:
        return await self.client.get(type_, id_)

    async def patch(self, type_: str, id_: str, patch: dict[str, Any]) -> Written:
        return _written(await self.client.update(type_, id_, patch))

    async def create(
        self, type_: str, body: dict[str, Any], on_conflict: OnConflict = "fail"
    ) -> Written | Refused:
        try:
            made = await self.client.create(
                type_, body, on_conflict=on_conflict, override=WHY_OVERRIDDEN
            )
            return _written(made)
        except Conflict as error:
            return Refused(
                error.status, error.code, error.detail, error.conflicts, error.alternatives
            )

    async def write_plan(self, plan: ImportPlan) -> int:
        """Import; how many sessions the node took without their slot."""
        result = await self.client.import_plan(plan)
        if result.failed:
            first = result.failed[0]
            message = f"Importing {first['type']} {first['id']}: {first['problem']}"
            raise CommandError(message, ExitCode.UNMET, "import_refused")
        return len(result.slots_refused)

    @property
    def token(self) -> str:
        """What this client has seen."""
        return self.client.token

    async def speaker_clashes(self, event_id: str) -> int:
        """Pairs of sessions with one speaker in both, as this node computes them."""
        return len((await self.client.clashes(event_id))["speakers"])

    async def reach(self, token: str, timeout_s: float) -> None:
        """Wait until this node has what the token names."""
        self.client.token = token
        async with asyncio.timeout(timeout_s):
            await self.client.page("events", limit="1")

    def all(self, type_: str) -> AsyncIterator[dict[str, Any]]:
        return self.client.list(type_, limit="200")

    async def count(self, type_: str) -> int:
        return len([True async for _ in self.all(type_)])

    async def history(self, type_: str, id_: str) -> list[Entry]:
        """Oldest first."""
        page = await self.client.history(type_, id_)
        entries = [
            Entry(e["at"], e["node"], {v["group"]: v["value"] for v in e["values"]})
            for e in page["data"]
        ]
        return entries[::-1]

    async def audit(self) -> Trail:
        hasher, lines, size = hashlib.sha256(), 0, 0
        async for piece in self.client.audit():
            hasher.update(piece)
            lines += piece.count(b"\n")
            size += len(piece)
        return Trail(hasher.hexdigest(), lines, size)

    async def tenures(self, decider: str) -> list[Tenure]:
        """Who held the seat of a venue or event, the first holder first."""
        seat = None
        async for shown in self._seats():
            seat = shown if shown["id"].endswith(f".{decider}") else seat
        if seat is None:
            return []
        path = f"/v2/seats/{seat['id']}/timeline"
        timeline = (await self.client.request(Call("GET", path))).json()
        terms = [
            Tenure(t["term"], t["holder"], t["opened_at"] or "", t["until"] or "", t["voters"])
            for t in timeline["terms"]
        ]
        return terms[::-1]

    async def _seats(self) -> AsyncIterator[dict[str, Any]]:
        query: dict[str, str] = {}
        while True:
            page = (await self.client.request(Call("GET", "/v2/seats", query=query))).json()
            for seat in page["data"]:
                yield seat
            if not page["has_more"]:
                return
            query = {"cursor": page["next_cursor"]}

    async def status(self) -> dict[str, Any]:
        return await self.client.cluster()


class Cast:
    """All of them. Used as an async context manager; leaving it stops the nodes, unless they are kept."""

    def __init__(self, names: Sequence[str], folder: Path, *, outlives_us: bool) -> None:
        self.names = tuple(names)
        self.folder = folder
        self.actors: dict[str, Actor] = {}
        self.eyes = {name: Eye(name) for name in names}
        self.is_up = False
        self.is_kept = False  # set once the audience knows how to reach and stop the nodes
        self._cluster = LocalCluster(folder, names, settings=SETTINGS, outlives_us=outlives_us)
        self._looks: dict[str, NodeLook] = {}
        self._statuses: dict[str, dict[str, Any]] = {}
        self._apart = ""  # the node that is cut off
        self._down = ""  # the node that was killed
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}  # of each node: its stream, its looks

    # ---- roles

    @property
    def home(self) -> Actor:
        """Where the programme is imported."""
        return self.actors[self.names[0]]

    @property
    def writer(self) -> Actor:
        return self.actors[self.names[1]]

    @property
    def booker(self) -> Actor:
        return self.actors[self.names[2]]

    @property
    def cut_off(self) -> Actor:
        """The one whose line is cut; not the one at home."""
        return self.actors[self.names[min(3, len(self.names) - 1)]]

    @property
    def away(self) -> Actor:
        """A node at which nothing of it happens."""
        return self.actors[self.names[-1]]

    @property
    def key(self) -> str:
        return self._cluster.key

    @property
    def admin_key(self) -> str:
        return self._cluster.admin_key

    @property
    def urls(self) -> dict[str, str]:
        return self._cluster.urls

    @property
    def pids(self) -> list[int]:
        return [node.pid for node in self._cluster.nodes.values()]

    # ---- life

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in self.names:
            await self._leave(name)
        for actor in self.actors.values():
            await actor.client.close()
        if not self.is_kept:
            await self._cluster.stop()

    def fallen(self) -> CommandError | None:
        """A node that has ended by itself, if one has."""
        return self._cluster.fallen()

    def kill(self) -> None:
        """End the processes at once."""
        self._cluster.kill()

    async def start(self) -> float:
        """Start the nodes, and look at each; seconds until all were ready."""
        took_s = await self._cluster.start()
        for name, url in self.urls.items():
            self.actors[name] = Actor(name, AsyncClient(url, key=self.key))
        self.is_up = True
        for name in self.names:
            await self._attend(name)
        return took_s

    async def _attend(self, name: str) -> None:
        """Follow a node's stream, and look at it again and again."""
        live = asyncio.Event()
        following = asyncio.create_task(self._follow(name, live))
        self._tasks[name] = [following, asyncio.create_task(self._look(name))]
        await _unless_it_ends(live, following, name)

    async def _leave(self, name: str) -> None:
        tasks = self._tasks.pop(name, [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def strike(self) -> float:
        """Kill the node at home as by kill -9; when that was, on `time.perf_counter`."""
        name = self.home.name
        await self._leave(name)
        await self.home.client.close()
        self._down = name
        self._cluster.nodes[name].kill()
        struck_at = time.perf_counter()
        self._statuses.pop(name, None)
        self._looks[name] = structs.replace(self._looks[name], state="killed")
        return struck_at

    async def revive(self) -> float:
        """Start the killed node again, on what it has on disk; seconds until it was ready."""
        name = self._down
        took_s = await self._cluster.restart(name)
        self._down = ""
        self.actors[name] = Actor(name, AsyncClient(self.urls[name], key=self.key))
        await self._attend(name)
        return took_s

    @property
    def standing(self) -> list[str]:
        """The nodes that run."""
        return [name for name in self.names if name != self._down]

    async def _follow(self, name: str, live: asyncio.Event) -> None:
        eye = self.eyes[name]
        async with AsyncClient(self.urls[name], key=self.key) as client:
            async for item in client.stream(since=eye.token):
                eye.token = item.token if isinstance(item, Change | CaughtUp) else eye.token
                if isinstance(item, Change):
                    eye.see(item.type, item.id, item.version, item.op == "delete", item.data)
                elif isinstance(item, CaughtUp):
                    live.set()

    # ---- looking

    def looks(self) -> list[NodeLook]:
        """The nodes as they were a moment ago."""
        shown = self._cluster.started | {self._down}
        return [self._looks.get(name) or _coming(name) for name in self.names if name in shown]

    async def _look(self, name: str) -> None:
        while True:
            await self.look(name)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self, name: str) -> dict[str, Any]:
        """Look at one node now."""
        try:
            status = await self.actors[name].status()
        except KonkordatError as error:
            message = f"Node {name} does not answer: {error}"
            raise CommandError(message, ExitCode.NODE_FAILED, "node_failed") from error
        self._statuses[name] = status
        own = status["nodes"][0]
        self._looks[name] = NodeLook(
            name=name,
            sessions=len(self.eyes[name].sessions),
            frontier={origin.partition(".")[0]: seq for origin, seq in own["frontier"].items()},
            lag_ms=self._lag_ms(name),
            digest=own["digest"],
            state="cut off" if name == self._apart else own["health"],
        )
        return status

    def _lag_ms(self, name: str) -> float:
        """The age of the oldest change that anybody has and this node lacks."""
        return max(
            (
                peer["lag_ms"]
                for other, status in self._statuses.items()
                if other != name
                for peer in status["nodes"][1:]
                if peer["name"] == name
            ),
            default=0.0,
        )

    async def _wait(
        self, holds: Callable[[Mapping[str, dict[str, Any]]], bool], timeout_s: float
    ) -> bool:
        """Look at all until something holds of what they say; False when time runs out."""
        deadline = time.perf_counter() + timeout_s
        while time.perf_counter() < deadline:
            if holds({name: await self.look(name) for name in self.standing}):
                return True
            await asyncio.sleep(POLL_S)
        return False

    async def all_meet(self, timeout_s: float) -> bool:
        """Everybody hears everybody."""
        everybody = set(self.names)
        return await self._wait(
            lambda statuses: all(
                {name} | _heard(status) == everybody for name, status in statuses.items()
            ),
            timeout_s,
        )

    async def all_reach(self, token: str, timeout_s: float) -> None:
        """Everybody has what the token names. Raises CommandError."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for actor in self.actors.values():
                    tasks.create_task(actor.reach(token, timeout_s))
        except* TimeoutError:
            message = f"The programme was not everywhere within {timeout_s:.0f} s."
            raise CommandError(message, ExitCode.UNMET, "not_reached") from None

    async def all_show(self, sessions: int, timeout_s: float) -> None:
        """Every stream has told of so many sessions. Raises CommandError."""
        try:
            async with asyncio.timeout(timeout_s):
                for eye in self.eyes.values():
                    await eye.count(sessions)
        except TimeoutError:
            message = f"The streams did not show {sessions} sessions within {timeout_s:.0f} s."
            raise CommandError(message, ExitCode.UNMET, "not_shown") from None

    async def all_agree(self, timeout_s: float) -> bool:
        """The same frontier and the same digest everywhere."""
        return await self._wait(
            lambda statuses: len({_state(status) for status in statuses.values()}) == 1, timeout_s
        )

    # ---- the line

    async def cut(self) -> None:
        """Cut the links of one node: its process goes on, and takes requests of clients."""
        self._apart = self.cut_off.name
        os.kill(self._cluster.nodes[self._apart].pid, CUT)

    async def is_apart(self, timeout_s: float) -> bool:
        """It hears nobody, and nobody hears it."""
        apart = self._apart
        return await self._wait(
            lambda statuses: all(
                not _heard(status) if name == apart else apart not in _heard(status)
                for name, status in statuses.items()
            ),
            timeout_s,
        )

    async def mend(self) -> None:
        """The line is up again."""
        os.kill(self._cluster.nodes[self._apart].pid, MEND)
        self._apart = ""

    async def digest(self, name: str) -> str:
        """A node's digest, now."""
        digest: str = (await self.look(name))["nodes"][0]["digest"]
        return digest


async def _unless_it_ends(live: asyncio.Event, following: asyncio.Task[None], name: str) -> None:
    """Wait until a stream is live. Raises what ended it instead, or CommandError if it says nothing."""
    waiting = asyncio.create_task(live.wait())
    await asyncio.wait(
        (waiting, following), timeout=LIVE_S_MAX, return_when=asyncio.FIRST_COMPLETED
    )
    waiting.cancel()
    if following.done():
        following.result()
    if not live.is_set():
        message = f"The stream of {name} told nothing within {LIVE_S_MAX:.0f} s."
        raise CommandError(message, ExitCode.UNMET, "no_stream")


def _coming(name: str) -> NodeLook:
    """A node that was started and has not been looked at."""
    return NodeLook(name, 0, {}, 0.0, "", "starting")


def _heard(status: dict[str, Any]) -> set[str]:
    return {peer["name"] for peer in status["nodes"][1:] if peer["alive"]}


def _state(status: dict[str, Any]) -> tuple[str, str]:
    own = status["nodes"][0]
    return repr(sorted(own["frontier"].items())), own["digest"]


def _written(record: dict[str, Any]) -> Written:
    return Written(record["id"], record["version"], record)
