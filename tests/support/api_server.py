"""The API of a trial node behind a real server, on a port of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from konkordat.api.app import create_app
from konkordat.api.settings import ApiSettings
from support.api import OPERATOR_KEY, TrialGate

START_S_MAX = 20.0


class _Server(uvicorn.Server):
    """uvicorn that leaves signals alone and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@contextmanager
def listening(gate: TrialGate, **settings: Any) -> Iterator[int]:
    """Serve a gate as a node does, in a thread; gives the port."""
    app = create_app(gate, ApiSettings(admin_key_hash=OPERATOR_KEY.hash, **settings))
    door = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http="httptools", ws="websockets-sansio", log_config=None, access_log=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=[[door]])
    thread.start()
    try:
        assert server.is_up.wait(START_S_MAX), "the server did not start"
        yield door.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        door.close()
