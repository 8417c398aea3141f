"""Where clients come in: the bound socket, and uvicorn serving the API on it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from konkordat.node.config import Api
from konkordat.node.errors import AddressInUseError, ConfigError

BACKLOG: Final = 2_048  # connections that the kernel holds while the loop is busy
GRACE_S: Final = 3  # how long requests may take to end once the node stops
KEEP_ALIVE_S: Final = 30  # idle connections of clients that come again soon
WS_MESSAGE_BYTES_MAX: Final = 1 << 20  # as large as a request's body may be
WS_PING_S: Final = 20.0


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, so that nobody is told of an address that turns out to be taken.

    Raises AddressInUseError, ConfigError.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ConfigError(f"api.host: {host} is not found: {error.strerror}") from None
    door = socket.socket(family, kind, protocol)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.listen(BACKLOG)
    except OSError as error:
        door.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(f"{host}:{port}") from None
        raise ConfigError(f"api.host, api.port: {host}:{port}: {error.strerror}") from None
    door.setblocking(False)
    return door


def port_of(door: socket.socket) -> int:
    """The port that a socket is bound to."""
    port: int = door.getsockname()[1]
    return port


def free_port(host: str) -> int:
    """A port that nobody has now, for links that were given port 0: Zenoh does not tell which one it took."""
    with contextlib.closing(bind(host, 0)) as probe:
        return port_of(probe)


class Server(uvicorn.Server):
    """uvicorn without its own ideas about signals, and with a moment at which it is up."""

    def __init__(self, app: Any, api: Api) -> None:
        super().__init__(_settings(app, api))
        self.is_up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the node's: it stops more than the server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup(sockets)
        self.is_up.set()


def _settings(app: Any, api: Api) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",  # it runs in the node's loop
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=WS_MESSAGE_BYTES_MAX,
        ws_ping_interval=WS_PING_S,
        ws_ping_timeout=WS_PING_S,
        # A stream's messages are small and many: compressing each costs more time than it saves bytes.
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        limit_concurrency=api.connections_max,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        # Who comes through a proxy is told by the proxy, and only where one was named.
        proxy_headers=api.behind_proxy,
        ssl_certfile=api.tls_certificate or None,
        ssl_keyfile=api.tls_key or None,
    )
