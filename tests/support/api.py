"""Nodes without network or threads behind a real API: the real replica on a store in memory, called on the event loop.

`Table` holds several of them; what one sends is delivered when the test says so.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
from litestar import Litestar
from litestar.testing import TestClient

from konkordat.api import keys
from konkordat.api.app import create_app
from konkordat.api.ends import AsOfNow
from konkordat.api.gate import FeedGap, NodeStatus, NodeStopped, Overloaded, PeerStatus
from konkordat.api.settings import ApiSettings
from konkordat.kernel.claim import ClaimId, ClaimState
from konkordat.kernel.frontier import covers, distance
from konkordat.kernel.ids import NodeName, Origin, Tenant, make_origin, uuid7
from konkordat.kernel.policy import Policies
from konkordat.replica.messages import (
    Answered,
    Broadcast,
    Command,
    Committed,
    Effect,
    Outcome,
    PeerJoined,
    Received,
    Sent,
    Tick,
)
from konkordat.replica.replica import Replica
from konkordat.replica.settings import ReplicaSettings
from konkordat.schedule.domain import ScheduleDomain
from konkordat.store.memory import Data, MemoryStore
from konkordat.store.port import Reader, Store
from konkordat.wire.messages import Message

Queue = asyncio.Queue[Committed | Exception]

START_MS = 1_811_000_000_000  # 2027-05-22
OPERATOR_KEY = keys.mint(Tenant("_system"), bytes(range(42)))


class TrialGate:
    """One node as its API sees it. Commands are carried out at once."""

    def __init__(
        self, name: str, members: Sequence[str] | None = None, store: Store | None = None
    ) -> None:
        """On a store in memory, unless one is given."""
        self.name = NodeName(name)
        self.cluster = "trial"
        self.clock_ms = START_MS
        entropy = itertools.count(1)
        self._entropy = lambda n: next(entropy).to_bytes(n, "big")
        origin = make_origin(self.name, START_MS, self._entropy(5))
        self.store = store or MemoryStore(Data(self.name, origin))
        roster = None if members is None else tuple([NodeName(member) for member in members])
        settings = ReplicaSettings("trial", started_ms=START_MS, members=roster)
        self.replica = Replica(self.store, ScheduleDomain(), Policies(), settings)
        self.sent: list[tuple[NodeName | None, Message]] = []  # to whom (None: all), what
        self.logged: list[tuple[str, str, Mapping[str, Any]]] = []
        self.commits: list[Committed] = []
        self.overloaded = False
        self.stopped = ""
        self._reader = AsOfNow(self.store.reader(), self.now_ms)
        self._frontier: Mapping[Origin, int] = self.store.book.frontier
        # With the loop of each, since a test delivers from another thread.
        self._feeds: dict[Queue, asyncio.AbstractEventLoop] = {}

    # Writing and reading -------------------------------------------------------------------------

    async def submit(self, command: Command) -> Outcome:
        return (await self.submit_many([command]))[0]

    async def submit_many(self, commands: list[Command]) -> list[Outcome]:
        if self.overloaded:
            raise Overloaded(1_500)
        if self.stopped:
            raise NodeStopped(self.stopped)
        await asyncio.sleep(0)
        answers = self.handle(commands)
        return [answers[command.cause_id] for command in commands]

    def handle(self, inputs: list[Any]) -> dict[str, Outcome]:
        """Give inputs to the replica and perform its effects."""
        self.clock_ms += 1
        answers: dict[str, Outcome] = {}
        for effect in self.replica.handle(inputs, self.clock_ms):
            self._perform(effect, answers)
        return answers

    def _perform(self, effect: Effect, answers: dict[str, Outcome]) -> None:
        match effect:
            case Answered(cause_id=cause, outcome=outcome):
                answers[cause] = outcome
            case Committed():
                self._frontier = effect.frontier
                self.commits.append(effect)
                self._feed(effect)
            case Broadcast(message=message):
                self.sent.append((None, message))
            case Sent(peer=peer, message=message):
                self.sent.append((peer, message))

    def reader(self) -> Reader:
        return self._reader

    def frontier(self) -> Mapping[Origin, int]:
        return self._frontier

    async def reached(self, frontier: Mapping[Origin, int], timeout_s: float) -> bool:
        """Looks again a few times; time does not pass here."""
        for _ in range(20 if timeout_s > 0 else 1):
            if covers(self._frontier, frontier):
                return True
            await asyncio.sleep(0.001)
        return covers(self._frontier, frontier)

    async def decided(self, claims: Iterable[ClaimId], timeout_s: float) -> bool:
        """Looks again and again; what is decided meanwhile comes from the test's thread."""
        wanted = set(claims)
        until = time.monotonic() + timeout_s
        while True:
            found = self._reader.claims_of({id.owner for id in wanted})
            states = {d.claim.id: d.state for own in found.values() for d in own}
            if not any(states.get(id) is ClaimState.TENTATIVE for id in wanted):
                return True
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(0.002)

    @asynccontextmanager
    async def feed(self) -> AsyncIterator[AsyncIterator[Committed]]:
        queue: Queue = asyncio.Queue()
        self._feeds[queue] = asyncio.get_running_loop()
        try:
            yield self._follow(queue)
        finally:
            del self._feeds[queue]

    async def _follow(self, queue: Queue) -> AsyncIterator[Committed]:
        while True:
            item = await queue.get()
            if isinstance(item, Exception):
                raise item
            yield item

    @property
    def feeds_open(self) -> int:
        """How many readers follow."""
        return len(self._feeds)

    def break_feed(self, error: Exception | None = None) -> None:
        """What a reader that is too slow gets, or everybody when the node stops."""
        self._feed(error or FeedGap())

    def _feed(self, item: Committed | Exception) -> None:
        # A copy: tests break feeds from their own thread, while the loop's lets go of those that ended.
        for queue, loop in list(self._feeds.items()):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    # The rest ------------------------------------------------------------------------------------

    def status(self) -> NodeStatus:
        view = self.replica.status(self.clock_ms)
        health = self.replica.health(self.clock_ms)
        return NodeStatus(
            self.name, view.origin, self.cluster, health, health == "ready", self._frontier,
            view.root.text(), view.root.live, 0, 2_048, 1.0, "0",
            tuple(
                PeerStatus(
                    p.name, p.origin, p.alive, p.health, p.frontier,
                    distance(p.frontier, self._frontier), distance(self._frontier, p.frontier),
                    0.0, 0.0, p.root.text(), p.sessions, p.api_url, p.release, 1.0,
                )
                for p in view.peers
            ),
            view.quarantined, (), view.seating,
        )  # fmt: skip

    def now_ms(self) -> int:
        return self.clock_ms

    def new_id(self) -> str:
        self.clock_ms += 1
        return uuid7(self.clock_ms, self._entropy(10))

    def log(self, level: str, event: str, **fields: Any) -> None:
        self.logged.append((level, event, fields))


class Table:
    """Nodes that hear of each other when the test delivers what they sent."""

    def __init__(
        self, *names: str, members: Sequence[str] | None = None, gates: Iterable[TrialGate] = ()
    ) -> None:
        """With `members`, claims are decided by seats, and the roster is known at once. `gates` are taken as
        they are."""
        made = {gate.name: gate for gate in gates}
        self.gates = {name: made.get(NodeName(name)) or TrialGate(name, members) for name in names}
        for name, gate in self.gates.items():
            gate.handle([PeerJoined(NodeName(other)) for other in names if other != name])
        if members:
            self.deliver()

    def __getitem__(self, name: str) -> TrialGate:
        return self.gates[name]

    def deliver(self, *cut_off: str) -> None:
        """Tick everybody and deliver everything, until nobody has more to say. Nodes that are cut off hear and say
        nothing."""
        for _ in range(12):
            now = max(gate.clock_ms for gate in self.gates.values()) + 60
            for name, gate in self.gates.items():
                gate.clock_ms = now
                if name not in cut_off:
                    gate.handle([Tick()])
            for name, gate in self.gates.items():
                if name in cut_off:
                    continue
                sent, gate.sent = gate.sent, []
                for to, message in sent:
                    for other in self.gates if to is None else [to]:
                        if other not in {name, *cut_off}:
                            self.gates[other].handle([Received(NodeName(name), message)])


class Caller:
    """A client with a key. Answers are httpx responses."""

    def __init__(self, client: TestClient[Litestar], key: str = "") -> None:
        self.client = client
        self.key = key
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __call__(self, method: str, path: str, json: Any = None, **kwargs: Any) -> Any:
        headers = {**self.headers, **kwargs.pop("headers", {})}
        if json is not None:
            kwargs["content"] = msgspec.json.encode(json)
            patch = method == "PATCH"
            headers.setdefault(
                "Content-Type", "application/merge-patch+json" if patch else "application/json"
            )
        return self.client.request(method, path, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Any:
        return self("GET", path, **kwargs)

    def post(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        return self("POST", path, json, **kwargs)

    def put(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        return self("PUT", path, json, **kwargs)

    def patch(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        return self("PATCH", path, json, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Any:
        return self("DELETE", path, **kwargs)


class Node:
    """A running API and its gate."""

    def __init__(self, gate: TrialGate, client: TestClient[Litestar]) -> None:
        self.gate = gate
        self.client = client
        self.nobody = Caller(client)
        self.operator = Caller(client, OPERATOR_KEY.text)

    def key(
        self, tenant: str = "acme", scopes: tuple[str, ...] = ("read", "write"), **wish: Any
    ) -> Caller:
        """A caller with a new key."""
        body = {"name": "trial", "tenant": tenant, "scopes": scopes, **wish}
        made = self.operator.post("/v2/keys", body)
        assert made.status_code == 201, made.text
        return Caller(self.client, made.json()["key"])

    def settle(self) -> None:
        """Let the app take in what was fed to it."""
        with self.client.portal() as portal:
            portal.call(asyncio.sleep, 0.02)

    def caller(self, other: Caller) -> Caller:
        """The same key at this node."""
        return Caller(self.client, other.key)


@contextmanager
def serving(gate: TrialGate, **settings: Any) -> Iterator[Node]:
    """The API of a node, as long as the block runs."""
    wanted = ApiSettings(admin_key_hash=OPERATOR_KEY.hash, **settings)
    with TestClient(create_app(gate, wanted), raise_server_exceptions=False) as client:
        yield Node(gate, client)


# A small programme --------------------------------------------------------------------------------


class Programme:
    """An event with a room and a speaker, made over the API."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.venue = self.make("venues", name={"de": "Kursaal"}, time_zone="Europe/Zurich")
        self.event = self.make(
            "events", slug="forum", name={"de": "Forum"}, time_zone="Europe/Zurich",
            start_date="2027-06-01", end_date="2027-06-03",
        )  # fmt: skip
        self.room = self.make("rooms", venue=self.venue, name={"de": "Saal"})
        self.speaker = self.make("speakers", name="Mila")

    def make(self, type_: str, **body: Any) -> str:
        made = self.caller.post(f"/v2/{type_}", body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def slot(
        self, at: str = "09:00", room: str | None = None, day: int = 1, minutes: int = 45
    ) -> dict[str, Any]:
        return {
            "room": room or self.room,
            "local_start": f"2027-06-0{day}T{at}",
            "time_zone": "Europe/Zurich",
            "duration_minutes": minutes,
        }

    def session(self, title: str = "Netze", **body: Any) -> dict[str, Any]:
        return {"event": self.event, "title": {"de": title}, **body}
