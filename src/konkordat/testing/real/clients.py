"""Clients of real nodes: threads that write, read, repeat themselves elsewhere, and write down what they were told."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
import msgspec

from konkordat.kernel.frontier import BadToken, Frontier, parse_token
from konkordat.kernel.ids import RecordKey, record_key
from konkordat.testing.history import Asked
from konkordat.testing.programmes import uid
from konkordat.testing.randomness import Source
from konkordat.testing.real.nodes import TENANT, RealNode

PATIENCE_S: Final = 3.0
TRIES_MAX: Final = 5
RECORDS: Final = 24  # that all clients fight for
MIX: Final[Mapping[str, float]] = {"put": 35, "patch": 20, "create": 15, "delete": 5, "read": 25}
MOVE_CHANCE: Final = 0.1  # of going on at another node, with the token of the one before
REPEAT_CHANCE: Final = (
    0.1  # of asking again although it was answered, as one does whose answer was lost
)
SERVER_ERROR: Final = 500
UNAVAILABLE: Final = 503


class Answer(msgspec.Struct, frozen=True):
    """An answer to a write, before the logs tell which stamp it had."""

    at_us: int
    client: str
    cause: str
    node: str
    outcome: str
    frontier: Frontier


class Look(msgspec.Struct, frozen=True):
    """An answer to a read, before the logs tell which writes were shown."""

    at_us: int
    client: str
    node: str
    token: Frontier
    key: RecordKey
    status: int
    shown: Mapping[str, Any]  # empty if there was no such record
    frontier: Frontier


class Order(msgspec.Struct, frozen=True):
    """A write on its way through tries."""

    number: int
    kind: str
    method: str
    path: str
    keys: tuple[RecordKey, ...]  # none for a creation: the node chooses the id
    body: Mapping[str, str] | None = None


Noted = Asked | Answer | Look


class Notebook:
    """What all clients noted, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notes: list[Noted] = []
        self._began = time.monotonic()

    def now_us(self) -> int:
        return int((time.monotonic() - self._began) * 1_000_000)

    def note(self, what: Noted) -> None:
        with self._lock:
            self._notes.append(what)

    def read(self) -> list[Noted]:
        with self._lock:
            return list(self._notes)


class RealClient(threading.Thread):
    """One client with a credential and a session of its own."""

    def __init__(
        self, name: str, key: str, nodes: Sequence[RealNode], source: Source, notebook: Notebook
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.unknown = 0  # writes whose outcome it never learned
        self._headers = {"authorization": f"Bearer {key}"}
        self._nodes = nodes
        self._source = source
        self._notebook = notebook
        self._token = ""
        self._number = 0
        self._over = threading.Event()
        self._home = source.choice(nodes)

    def finish(self) -> None:
        """Let it end its operation, and wait."""
        self._over.set()
        self.join()

    def run(self) -> None:
        with httpx.Client(headers=self._headers, timeout=PATIENCE_S) as http:
            while not self._over.is_set():
                self._number += 1
                if self._source.chance(MOVE_CHANCE):
                    self._home = self._source.choice(self._nodes)
                kind = self._source.weighted(MIX)
                target = uid(f"speaker-{self._source.randrange(RECORDS)}")
                if kind == "read":
                    self._look(http, target)
                else:
                    self._write(http, kind, target)
                time.sleep(self._source.random() * 0.02)

    # Writing -------------------------------------------------------------------------------------

    def _write(self, http: httpx.Client, kind: str, target: str) -> None:
        """Ask till somebody answers; always the same request, never the same cause. Now and then ask once more."""
        order = self._order(kind, target)
        for attempt in range(1, TRIES_MAX + 1):
            if self._try(http, order, attempt):
                if self._source.chance(REPEAT_CHANCE):
                    self._try(http, order, attempt + 1)
                return
            self._home = self._source.choice(self._nodes)
            time.sleep(0.05 * attempt)
        self.unknown += 1

    def _order(self, kind: str, target: str) -> Order:
        value = f"<{TENANT}> {self.name}/{self._number}"
        path, keys = f"/v2/speakers/{target}", (_key(target),)
        number = self._number
        match kind:
            case "put":
                return Order(number, kind, "PUT", path, keys, {"name": value})
            case "patch":
                return Order(number, kind, "PATCH", path, keys, {"affiliation": value})
            case "delete":
                return Order(number, kind, "DELETE", path, keys)
            case _:
                return Order(number, kind, "POST", "/v2/speakers", (), {"name": value})

    def _try(self, http: httpx.Client, order: Order, attempt: int) -> bool:
        """Ask the node of the moment; False if it gave no answer that says what became of the order."""
        cause = f"{self.name}-{order.number}-{attempt}"
        request = f"{self.name}-order-{order.number}"
        node, said = self._home.name, f"{order.method} {order.path} {order.body}"
        now = self._notebook.now_us()
        self._notebook.note(
            Asked(now, self.name, cause, node, TENANT, order.kind, order.keys, request, said)
        )
        headers = {"x-request-id": cause, "idempotency-key": request}
        if order.method == "PATCH":
            headers["content-type"] = "application/merge-patch+json"
        answer = self._ask(http, order.method, order.path, headers, order.body)
        if answer is None or answer.status_code >= SERVER_ERROR:
            return False
        self._answered(cause, answer)
        return True

    def _ask(
        self, http: httpx.Client, method: str, path: str, headers: Mapping[str, str], body: Any
    ) -> httpx.Response | None:
        content = None if body is None else msgspec.json.encode(body)
        try:
            return http.request(
                method, self._home.url + path, headers=dict(headers), content=content
            )
        except httpx.HTTPError:
            return None

    def _answered(self, cause: str, answer: httpx.Response) -> None:
        outcome = "accepted"
        if answer.headers.get("idempotency-replayed"):
            outcome = "replayed"
        elif answer.is_error:
            outcome = f"refused:{answer.json().get('code')}"
        frontier = self._seen(answer)
        self._notebook.note(
            Answer(self._notebook.now_us(), self.name, cause, self._home.name, outcome, frontier)
        )

    def _seen(self, answer: httpx.Response) -> Frontier:
        """The state that an answer is of; the session goes on from there."""
        token = answer.headers.get("consistency-token", "")
        if token:
            self._token = token
        return frontier_of(token)

    # Reading -------------------------------------------------------------------------------------

    def _look(self, http: httpx.Client, target: str) -> None:
        headers = {"prefer": "wait=1"}
        if self._token:
            headers["consistency-token"] = self._token
        sent = frontier_of(self._token)
        answer = self._ask(http, "GET", f"/v2/speakers/{target}", headers, None)
        if answer is None or (
            answer.status_code >= SERVER_ERROR and answer.status_code != UNAVAILABLE
        ):
            self._home = self._source.choice(self._nodes)
            return
        shown: Mapping[str, Any] = {}
        frontier: Frontier = {}
        if answer.status_code == UNAVAILABLE:
            self._home = self._source.choice(self._nodes)
        else:
            frontier = self._seen(answer)
        if answer.is_success:
            shown = answer.json()
        self._notebook.note(
            Look(
                self._notebook.now_us(),
                self.name,
                self._home.name,
                sent,
                _key(target),
                answer.status_code,
                shown,
                frontier,
            )
        )


def frontier_of(token: str) -> Frontier:
    """What a consistency token names; nothing for none."""
    try:
        return parse_token(token) if token else {}
    except BadToken:
        return {}


def _key(id: str) -> RecordKey:
    return record_key(TENANT, "speakers", id)
