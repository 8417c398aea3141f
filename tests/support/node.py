"""Parts of a node for tests: free ports, a log that keeps its lines, links with an inbox of their own."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from konkordat.kernel.ids import NodeName
from konkordat.node.ambient import Ambient
from konkordat.node.book import AddressBook
from konkordat.node.clock import WallClock
from konkordat.node.endpoints import Endpoint
from konkordat.node.inbox import Inbox, InboxLimits
from konkordat.node.links import Links
from konkordat.node.metrics import NodeMetrics
from konkordat.node.transport import LinkSettings, LinkTls
from konkordat.replica.messages import Input

PATIENCE_S = 10.0  # how long a test waits for what takes milliseconds when all is well


# Below the range from which systems take the ports of outgoing connections: one that is free now stays free, unless
# another program listens on just this one.
PORTS = range(15_000, 32_000)
_chance = random.Random(os.urandom(8))
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that was not given to another part of the test."""
    while True:
        port = _chance.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def eventually(what: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """The first true answer of `what`. Fails the test when there is none in time."""
    give_up = time.monotonic() + patience_s
    while not (answer := what()):
        assert time.monotonic() < give_up, "it did not come to pass"
        time.sleep(0.01)
    return answer


class KeptLog:
    """A log whose lines a test can look at."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __call__(self, level: str, event: str, **fields: Any) -> None:
        self.lines.append((level, event, fields))

    def wants(self, level: str) -> bool:
        return True

    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]


def ambient() -> Ambient:
    return Ambient(WallClock(), KeptLog(), NodeMetrics())


class LinkedNode:
    """The links of one node, with what they bring."""

    def __init__(
        self,
        name: str,
        connect: tuple[Endpoint, ...] = (),
        *,
        listen: Endpoint | None = None,
        tls: LinkTls | None = None,
        members: tuple[str, ...] = (),
        cluster: str = "summit",
        limits: InboxLimits | None = None,
        book: Path | None = None,
        lease_ms: int = 1_000,
    ) -> None:
        scheme = "tcp" if tls is None else "tls"
        self.name = NodeName(name)
        self.at = listen or Endpoint(scheme, "127.0.0.1", free_port())
        self.ambient = ambient()
        self.inbox = Inbox(limits or InboxLimits())
        settings = LinkSettings(
            cluster=cluster,
            node=self.name,
            listen=self.at,
            connect=connect,
            advertise=self.at,
            tls=tls,
            members=tuple(NodeName(member) for member in members),
            lease_ms=lease_ms,
        )
        self.book = AddressBook(book, tls is not None, self.ambient.clock.now_ms())
        self.links = Links(settings, self.inbox, self.book, self.ambient)
        self.got: list[Input] = []

    def take(self) -> list[Input]:
        """Everything that came in so far."""
        self.got += self.inbox.drain(0)
        return self.got

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.take() if isinstance(item, kind)]

    def dropped(self, reason: str) -> float:
        """How many frames were dropped for a reason."""
        value = self.ambient.metrics.registry.get_sample_value(
            "konkordat_frames_dropped_total", {"reason": reason}
        )
        return value or 0.0

    @property
    def log(self) -> KeptLog:
        log = self.ambient.log
        assert isinstance(log, KeptLog)
        return log


@contextmanager
def linked(*nodes: LinkedNode) -> Iterator[None]:
    """Open the links of nodes, and close them whatever happens."""
    try:
        for node in nodes:
            node.links.open()
        yield
    finally:
        for node in nodes:
            node.links.close()
