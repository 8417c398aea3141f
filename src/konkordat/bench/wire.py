"""HTTP as light as it gets: the generator of load shares two cores with five nodes, so it must cost next to nothing.

One connection carries one request at a time. Not a client for anybody else: no redirects, TLS, proxies or cookies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import httptools
from msgspec import Struct

ANSWER_S_MAX: Final = 30.0


class Answer(Struct, frozen=True, gc=False):
    """What came back."""

    status: int
    body: bytes


class ConnectionLost(Exception):
    """The connection ended before the answer. Whether the request took effect is not known."""


class _Reader(asyncio.Protocol):
    """Feeds the parser; completes the future of the request under way."""

    def __init__(self) -> None:
        self.lost = False
        self._answer: asyncio.Future[Answer] | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []

    def expect(self) -> asyncio.Future[Answer]:
        self._answer = asyncio.get_running_loop().create_future()
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionLost(str(error or "closed")))

    # ---- what the parser calls

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), b"".join(self._parts))
        self._begin()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)


class Connection:
    """A keep-alive connection to one node, with a key."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        assert parts.scheme == "http"
        assert parts.hostname is not None
        assert parts.port is not None
        self._host, self._port = parts.hostname, parts.port
        self._head = (
            f"Host: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._reader: _Reader | None = None
        self._transport: asyncio.Transport | None = None

    async def open(self) -> None:
        """Connect, if not connected. Raises OSError."""
        if self._reader is None or self._reader.lost:
            loop = asyncio.get_running_loop()
            self._transport, self._reader = await loop.create_connection(
                _Reader, self._host, self._port
            )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._reader = None

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request. Raises ConnectionLost, OSError, TimeoutError; then the next request connects anew."""
        await self.open()
        assert self._reader is not None
        assert self._transport is not None
        answer = self._reader.expect()
        more = "".join([f"{name}: {value}\r\n" for name, value in (headers or {}).items()])
        line = f"{method} {path} HTTP/1.1\r\n{more}".encode()
        self._transport.write(b"%b%b%d\r\n\r\n%b" % (line, self._head, len(body), body))
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await answer
        except TimeoutError:
            self.close()
            raise
