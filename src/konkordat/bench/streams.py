"""Streams to measure with: when each change came, decoded no further than needed."""

from __future__ import annotations

import time
from typing import Final

import msgspec
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect

FRAME_BYTES_MAX: Final = 16 << 20


class _Message(Struct):
    """The parts of a message that are looked at."""

    msg: str
    id: str = ""
    version: str = ""


_decoder: Final = msgspec.json.Decoder(_Message)


class Arrivals:
    """The changes of sessions at one node, by version. Used as an async context manager."""

    def __init__(self, url: str, key: str) -> None:
        self._address = f"ws{url.removeprefix('http')}/v2/stream"
        self._key = key
        self.at: dict[str, float] = {}  # version -> time.perf_counter() when it came
        self._socket: ClientConnection | None = None

    async def open(self) -> None:
        """Connect and follow; returns when everything until now has been told."""
        self._socket = await connect(
            self._address,
            additional_headers={"Authorization": f"Bearer {self._key}"},
            max_size=FRAME_BYTES_MAX,
            compression=None,
            proxy=None,
        )
        await self._socket.send('{"msg":"hello","client":"bench"}')
        await self._socket.send('{"msg":"subscribe","sub":"s","types":["sessions"]}')
        while _decoder.decode(await self._socket.recv()).msg != "caught_up":
            pass

    async def listen(self) -> None:
        """Note arrivals until cancelled."""
        assert self._socket is not None
        async for frame in self._socket:
            now = time.perf_counter()
            message = _decoder.decode(frame)
            if message.msg == "change":
                self.at.setdefault(message.version, now)

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()
