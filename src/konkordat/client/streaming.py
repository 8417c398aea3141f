"""The stream without I/O: what to say, what was said, when to come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from konkordat.client.core import Core
from konkordat.client.errors import BadAnswer, problem
from konkordat.client.results import CaughtUp, Change, Gap, StreamItem

SUB: Final = "1"  # the one subscription of a connection
QUIET_S: Final = 45.0  # nothing heard for so long, three heartbeats: the connection is dead
MESSAGE_BYTES_MAX: Final = 4 << 20
# Changes a node may send before we have taken in the earlier ones: what can pile up in this process.
WINDOW: Final = 1_000
ACK_EVERY: Final = WINDOW // 4
PAUSE_S_MIN: Final = 0.01  # between two connections, however lucky the draw
_KNOWN: Final = frozenset({"msg", "sub", "op", "type", "id", "version", "data", "token"})


class Subscription(msgspec.Struct, frozen=True):
    """What to be told."""

    types: tuple[str, ...] = ()  # all if empty
    fields: tuple[str, ...] = ()  # only changes that touch one of these
    filter: Mapping[str, str] = {}  # event, venue, room: ids
    since: str = ""  # a token: first what has changed since then


class StreamState:
    """One stream over as many connections as it takes.

    `token` only ever comes from what this subscription was told, in order: a node's own frontier may be ahead of what
    it has sent, and resuming from there would skip it.
    """

    def __init__(self, core: Core, wanted: Subscription) -> None:
        self._core = core
        self._wanted = wanted
        self._url = ""  # of the node that is connected
        self.token = wanted.since
        self.failures = 0  # since the last message
        self.over = False  # this connection has ended, by the node's word
        self._taken_in = 0  # changes not acknowledged yet
        self._outbox: list[bytes] = []
        self._lost = ""  # why the last connection ended; told once the next one stands

    def url(self) -> str:
        """Where to connect now."""
        self._url = self._core.nodes.best(not_=self._url if self.failures else "")
        return "ws" + self._url.removeprefix("http") + "/v2/stream"

    def headers(self) -> dict[str, str]:
        return self._core.headers()

    def connected(self) -> list[bytes]:
        """What to say first."""
        self.over = False
        self._taken_in = 0
        self._outbox.clear()
        wanted = self._wanted
        subscribe: dict[str, Any] = {"msg": "subscribe", "sub": SUB}
        subscribe |= {"types": wanted.types} if wanted.types else {}
        subscribe |= {"fields": wanted.fields} if wanted.fields else {}
        subscribe |= {"filter": wanted.filter} if wanted.filter else {}
        subscribe |= {"resume_token": self.token} if self.token else {}
        return [_encode({"msg": "hello", "window": WINDOW}), _encode(subscribe)]

    def received(self, raw: bytes | str) -> Iterator[StreamItem]:
        """What a message of the node means. Raises ProblemError for what will not get better by coming back."""
        try:
            message = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.MsgspecError as cause:
            raise BadAnswer("a message of the stream is no JSON object") from cause
        self._core.nodes.answered(self._url)
        match message.get("msg"):
            case "change":
                yield self._change(message)
            case "caught_up":
                self._told(message.get("token"))
                yield CaughtUp(self.token)
            case "subscribed":
                self._told(message.get("token"))
                if self._lost:
                    yield Gap(self._lost)
                    self._lost = ""
            case "heartbeat":
                tokens = message.get("tokens")
                self._told(tokens.get(SUB) if isinstance(tokens, dict) else None)
            case "gap" | "reset":  # of our own making: the node is well
                self._ended(str(message.get("detail") or "We read too slowly."))
            case "drain":
                self.lost("The node stops.")
            case "problem":
                self._problem(message)
            case _:
                pass  # welcome, pong, and what newer nodes may say

    def to_send(self) -> list[bytes]:
        """What has to be said once the last message has been taken in."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def lost(self, reason: str) -> None:
        """The connection broke, or its node goes away; the next one goes on from the token, elsewhere if possible."""
        self._core.nodes.failed(self._url)
        self._ended(reason)

    def pause_s(self) -> float:
        """How long to wait before coming back. A stream never gives up by itself."""
        policy = self._core.retry
        ceiling = min(policy.cap_s, policy.base_s * policy.factor ** min(self.failures, 16))
        return max(PAUSE_S_MIN, ceiling * self._core.draw())

    def _ended(self, reason: str) -> None:
        self._lost = reason
        self.failures += 1
        self.over = True

    def _change(self, message: dict[str, Any]) -> Change:
        self._told(message.get("token"))
        self._taken_in += 1
        if self._taken_in >= ACK_EVERY:
            self._outbox.append(_encode({"msg": "ack", "count": self._taken_in}))
            self._taken_in = 0
        return Change(
            str(message.get("op", "")),
            str(message.get("type", "")),
            str(message.get("id", "")),
            str(message.get("version", "")),
            message.get("data"),
            self.token,
            {name: value for name, value in message.items() if name not in _KNOWN},
        )

    def _told(self, token: object) -> None:
        self.failures = 0
        if isinstance(token, str) and token:
            self.token = token
            # What was told here can be read anywhere from now on.
            self._core.saw(token)

    def _problem(self, message: Mapping[str, Any]) -> None:
        document = message.get("problem")
        document = document if isinstance(document, dict) else {}
        status = document.get("status")
        error = problem(status if isinstance(status, int) else 500, document, None)
        if not error.retryable:
            raise error
        self.lost(error.detail)


def _encode(message: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(message)
