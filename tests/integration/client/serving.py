"""Nodes behind real sockets: the real API, replica and store, served by uvicorn in a thread of their own.

What nodes tell each other is delivered every few milliseconds, but to those that are cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from konkordat.api.app import create_app
from konkordat.api.settings import ApiSettings
from konkordat.node.config import Api
from konkordat.node.door import Server, bind, port_of
from support.api import OPERATOR_KEY, Table, TrialGate

T = TypeVar("T")
DELIVER_EVERY_S = 0.01


class Served:
    """Some nodes, their addresses, and what can happen to them."""

    def __init__(self, names: tuple[str, ...], api: Api, settings: ApiSettings) -> None:
        self._names, self._api, self._settings = names, api, settings
        self._loop = asyncio.new_event_loop()
        self._servers: dict[str, Server] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._doors: dict[str, socket.socket] = {}
        self._ports: dict[str, int] = {}
        self._cut_off: set[str] = set()
        self.table: Table
        self.urls: dict[str, str] = {}

    def __getitem__(self, name: str) -> TrialGate:
        return self.table[name]

    def cut_off(self, *names: str) -> None:
        """From now on these nodes hear and say nothing; no name: everybody hears again."""
        self.do(self._cut_off.clear)
        self.do(lambda: self._cut_off.update(names))

    def stop(self, name: str) -> None:
        """The node's API goes away; connections to its port are refused."""
        self._await(self._stop(name))

    def start(self, name: str) -> None:
        """It comes back at the same address."""
        self._await(self._start(name))

    def do(self, what: Callable[[], T]) -> T:
        """Do something on the nodes' thread."""

        async def now() -> T:
            return what()

        return self._await(now())

    def run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(ready))
        finally:
            self._loop.close()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)

    async def _serve(self, ready: threading.Event) -> None:
        self._over = asyncio.Event()
        self.table = Table(*self._names)
        scheme = "https" if self._api.tls_certificate else "http"
        for name in self._names:
            await self._start(name)
            self.urls[name] = f"{scheme}://127.0.0.1:{self._ports[name]}"
        ready.set()
        while not self._over.is_set():
            self.table.deliver(*self._cut_off)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DELIVER_EVERY_S):
                    await self._over.wait()
        for name in list(self._servers):
            await self._stop(name)

    async def _start(self, name: str) -> None:
        door = bind("127.0.0.1", self._ports.get(name, 0))
        self._ports[name] = port_of(door)
        server = Server(create_app(self.table[name], self._settings), self._api)
        self._doors[name], self._servers[name] = door, server
        self._running[name] = asyncio.create_task(server.serve(sockets=[door]))
        is_up = asyncio.create_task(server.is_up.wait())
        await asyncio.wait({is_up, self._running[name]}, return_when=asyncio.FIRST_COMPLETED)
        assert is_up.done(), f"{name} stopped before it was up: {self._running[name]}"

    async def _stop(self, name: str) -> None:
        self._servers.pop(name).should_exit = True
        await self._running.pop(name)
        self._doors.pop(name).close()

    def _await(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=30)


@contextmanager
def nodes(*names: str, api: Api | None = None, **settings: Any) -> Iterator[Served]:
    """Nodes with their API on free ports, as long as the block runs."""
    wanted = ApiSettings(admin_key_hash=OPERATOR_KEY.hash, **settings)
    served = Served(names, api or Api(), wanted)
    ready = threading.Event()
    thread = threading.Thread(target=served.run, args=(ready,))
    thread.start()
    try:
        assert ready.wait(timeout=30)
        yield served
    finally:
        served.end()
        thread.join(timeout=30)
        assert not thread.is_alive()
