"""The stream without I/O: what to say, what was said, when to come back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from konkordat.client.core import Core
from konkordat.client.errors import BadAnswer, problem
from konkordat.client.results import CaughtUp, Change, Gap, StreamItem

SUB: Final = "1"
QUIET_S: Final = 30.0  # nothing heard for so long, heartbeats included: the connection is dead
MESSAGE_BYTES_MAX: Final = 4 << 20
ACK_EVERY: Final = 100  # changes; well inside the node's window


class Subscription(msgspec.Struct, frozen=True):
    """What to be told."""

    types: tuple[str, ...] = ()  # all if empty
    fields: tuple[str, ...] = ()
    filter: Mapping[str, str] = {}  # event, room
    since: str = ""  # a consistency token: first what has changed since then


class StreamState:
    """One stream over as many connections as it takes."""

    def __init__(self, core: Core, wanted: Subscription) -> None:
        self._core = core
        self._wanted = wanted
        self.token = wanted.since
        self.failures = 0
        self._unacknowledged = 0
        self._outbox: list[bytes] = []
        self.over = False  # this connection has ended, by the node's word
        self._lost = ""

    def url(self) -> str:
        """Where to connect now."""
        base = self._core.nodes.best()
        return "ws" + base.removeprefix("http") + "/v2/stream"

    def headers(self) -> dict[str, str]:
        return self._core.headers()

    def connected(self) -> list[bytes]:
        """What to say first."""
        self.over = False
        self._unacknowledged = 0
        wanted = self._wanted
        subscribe: dict[str, Any] = {"kind": "subscribe", "sub": SUB}
        subscribe |= {"types": wanted.types} if wanted.types else {}
        subscribe |= {"fields": wanted.fields} if wanted.fields else {}
        subscribe |= {"filter": wanted.filter} if wanted.filter else {}
        subscribe |= {"resume_token": self.token} if self.token else {}
        return [_encode({"kind": "hello"}), _encode(subscribe)]

    def received(self, raw: bytes | str) -> Iterator[StreamItem]:
        """What a message of the node means. Raises ProblemError for what will not get better by coming back."""
        try:
            message = msgspec.json.decode(raw)
        except msgspec.MsgspecError as cause:
            raise BadAnswer("a message of the stream is not JSON") from cause
        kind = message.get("kind") if isinstance(message, dict) else None
        self.failures = 0
        match kind:
            case "change":
                yield self._change(message)
            case "caught_up":
                self._seen(message)
                yield CaughtUp(self.token)
            case "subscribed":
                self._seen(message)
                if self._lost:
                    yield Gap(self._lost)
                    self._lost = ""
            case "gap" | "reset" | "drain":
                self.lost(str(message.get("detail") or kind))
                self.over = True
            case "problem":
                yield from self._problem(message)
            case _:
                self._seen(message)  # welcome, heartbeat, and what newer nodes may say

    def to_send(self) -> list[bytes]:
        """What has to be said after the last message."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def lost(self, reason: str) -> None:
        """The connection broke or was ended; the next one goes on from the token."""
        self._lost = reason
        self._core.nodes.failed(self._core.nodes.best())
        self.failures += 1

    def pause_s(self) -> float:
        """How long to wait before coming back. A stream never gives up by itself."""
        policy = self._core.retry
        ceiling = min(policy.cap_s, policy.base_s * policy.factor ** min(self.failures - 1, 16))
        return max(0.01, ceiling * self._core.draw())

    def _change(self, message: dict[str, Any]) -> Change:
        self._seen(message)
        self._unacknowledged += 1
        if self._unacknowledged >= ACK_EVERY:
            self._unacknowledged = 0
            self._outbox.append(_encode({"kind": "ack", "sub": SUB, "token": self.token}))
        known = {"kind", "sub", "op", "type", "id", "version", "data", "token"}
        extra = {k: v for k, v in message.items() if k not in known}
        return Change(
            str(message.get("op", "")),
            str(message.get("type", "")),
            str(message.get("id", "")),
            str(message.get("version", "")),
            message.get("data"),
            self.token,
            extra,
        )

    def _seen(self, message: Mapping[str, Any]) -> None:
        token = message.get("token")
        if isinstance(token, str) and token:
            self.token = token

    def _problem(self, message: Mapping[str, Any]) -> Iterable[StreamItem]:
        document = message.get("problem") or message
        error = problem(int(document.get("status", 500)), document, None)
        if not error.retryable:
            raise error
        self.lost(error.detail)
        self.over = True
        return ()


def _encode(message: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(message)
