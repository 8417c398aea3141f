"""The client without I/O: what to send, where to, what an answer means, whether to try again.

An operation is a generator. It yields what it wants done (a `Send` or a `Pause`), is resumed with what came of it (a
`Reply`, a `Failure`, or None), and returns its result. The sync and the async client only perform.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from konkordat.client.errors import BadAnswer, InsecureAddress, NodeUnreachable, problem
from konkordat.client.retry import RETRY_STATUSES, RetryPolicy
from konkordat.kernel.frontier import BadToken, joined, parse_token
from konkordat.kernel.frontier import token as frontier_token
from konkordat.kernel.ids import Origin, uuid7

T = TypeVar("T")

TOKENS_WAITING_MAX: Final = 64  # tokens kept unread; a long stream gives one a change
SUSPECT_S: Final = (
    2.0  # how long a node that failed is asked last; doubled with each failure in a row …
)
SUSPECT_S_MAX: Final = 60.0  # … up to this
PROBLEM_BYTES_MAX: Final = 1 << 20
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
# Spreads retries. Not the shared `random`: programs seed that one, and what we draw would change what they draw.
CHANCE: Final = random.SystemRandom()


def new_idempotency_key() -> str:
    """A fresh name for one write. Keep it to repeat the write, from another process too, or to ask again what became
    of it (`wait_s`): it has one effect."""
    return uuid7(int(time.time() * 1000), secrets.token_bytes(10))


class Send(NamedTuple):
    """Perform this request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    # Read the body of a good answer later, piece by piece: hand the open response over as `Reply.handle`.
    is_streamed: bool = False
    patience_s: float = (
        0.0  # how much longer than others the answer may take: the node was asked to wait
    )


class Pause(NamedTuple):
    """Wait so long."""

    seconds: float


class Reply(NamedTuple):
    """A node answered. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    handle: Any = None  # of a streamed answer: the shell's open response

    def json(self) -> Any:
        try:
            return msgspec.json.decode(self.body)
        except msgspec.MsgspecError as cause:
            raise BadAnswer(f"the answer is not JSON ({self.body[:60]!r}…)") from cause


class Failure(NamedTuple):
    """Nobody answered."""

    reason: str


Steps = Generator[Send | Pause, Reply | Failure | None, T]


class Call(msgspec.Struct, frozen=True):
    """One request, before it is known which node gets it."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = JSON
    query: Mapping[str, str] = {}
    if_match: str = ""
    if_none_match: str = ""
    idempotency_key: str = ""  # made up for writes that have none
    wait_s: float | None = None  # Prefer: wait
    fresh: bool = True  # send the consistency token
    is_streamed: bool = False


class Nodes:
    """The endpoints and what is known of them."""

    def __init__(self, urls: tuple[str, ...], now: Callable[[], float]) -> None:
        if not urls:
            raise ValueError("A client needs the address of at least one node.")
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._now = now
        self._failed_at: dict[str, float] = {}
        self._failures: dict[str, int] = {}  # in a row

    def best(self, not_: str = "") -> str:
        """The first that is not suspect; of suspects the one that failed longest ago, rather not `not_`."""

        def rank(url: str) -> tuple[bool, bool, float]:
            suspect = self._is_suspect(url)
            return (suspect, url == not_, self._failed_at[url] if suspect else 0.0)

        return min(self.urls, key=rank)

    def failed(self, url: str) -> None:
        self._failed_at[url] = self._now()
        self._failures[url] = self._failures.get(url, 0) + 1

    def answered(self, url: str) -> None:
        self._failures.pop(url, None)

    def _is_suspect(self, url: str) -> bool:
        """A node is tried again after a while, and after ever longer ones: each try may cost a request its timeout."""
        failures = self._failures.get(url, 0)
        if not failures:
            return False
        span_s: float = min(SUSPECT_S_MAX, SUSPECT_S * 2.0 ** min(failures - 1, 16))
        return self._now() - self._failed_at[url] < span_s


class Seen:
    """What this client has seen: the join of the tokens it was given, made when it is needed.

    Answers of several nodes may each know what the others do not; only the join makes every next read see it all.
    """

    def __init__(self) -> None:
        self._joined: dict[Origin, int] = {}
        self._text = ""
        self._fresh: dict[str, None] = {}  # given since the last join

    def add(self, text: str) -> None:
        if text and text != self._text:
            self._fresh[text] = None
            if len(self._fresh) >= TOKENS_WAITING_MAX:
                self.token()

    def token(self) -> str:
        for text in self._fresh:
            try:
                # A token of a stream has its filter in front.
                self._joined = joined(self._joined, parse_token(text.rpartition(".")[2]))
            except BadToken:
                continue  # of a release whose tokens this one cannot read: freshness is then up to `Prefer: wait`
        if self._fresh:
            self._text = frontier_token(self._joined) if self._joined else ""
            self._fresh.clear()
        return self._text


class Core:
    """State that all operations of one client share."""

    def __init__(
        self,
        urls: tuple[str, ...],
        key: str,
        *,
        retry: RetryPolicy | None = None,
        allow_insecure: bool = False,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = CHANCE.random,
        new_key: Callable[[], str] | None = None,
    ) -> None:
        self.nodes = Nodes(urls, now)
        self.key = key
        self.retry = retry or RetryPolicy()
        self._seen = Seen()
        self.draw = draw
        self._now, self._new_key = now, new_key or new_idempotency_key
        for url in self.nodes.urls:
            _check_address(url, has_key=bool(key), allow_insecure=allow_insecure)

    def headers(self) -> dict[str, str]:
        """What every request and every stream carries."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def token(self) -> str:
        """The consistency token of all that this client has seen."""
        return self._seen.token()

    @token.setter
    def token(self, text: str) -> None:
        """Raises ValueError for what is no token; "" forgets what was seen."""
        try:
            if text:
                parse_token(text.rpartition(".")[2])
        except BadToken as error:
            raise ValueError(f"That is not a consistency token: {error}.") from error
        self._seen = Seen()
        self._seen.add(text)

    def saw(self, text: str) -> None:
        """Note a token that a node gave, of whatever answer or stream."""
        self._seen.add(text)

    def perform(self, call: Call) -> Steps[Reply]:
        """Send a request, to another node and again where that helps, until it is answered for good.

        Raises ProblemError, NodeUnreachable, BadAnswer.
        """
        headers = self._headers_of(call)
        began, failures, url = self._now(), 0, self.nodes.best()
        while True:
            address = url + call.path + _query(call.query)
            patience_s = max(0.0, call.wait_s or 0.0)
            got = yield Send(call.method, address, headers, call.body, call.is_streamed, patience_s)
            assert got is not None
            if isinstance(got, Reply):
                error = self._error_in(got, url)
                if error is None:
                    return got
                asked = error.retry_after_s
            else:
                key = headers.get("Idempotency-Key", "")
                error, asked = NodeUnreachable(f"{url}: {got.reason}", key), None
            failures += 1
            self.nodes.failed(url)
            other = self.nodes.best(not_=url)
            # A node that asks for patience need not be waited for while another may be asked.
            asked = asked if other == url or failures >= len(self.nodes.urls) else 0.0
            pause = self.retry.pause_s(failures, self._now() - began, asked, self.draw)
            if pause is None:
                raise error
            url = other
            yield Pause(pause)

    def _headers_of(self, call: Call) -> dict[str, str]:
        headers = self.headers()
        headers["Accept"] = JSON
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        if call.method not in {"GET", "HEAD"}:
            # The same key on every attempt and at every node: a repeated write has one effect.
            headers["Idempotency-Key"] = call.idempotency_key or self._new_key()
        if call.if_match:
            headers["If-Match"] = call.if_match
        if call.if_none_match:
            headers["If-None-Match"] = call.if_none_match
        if call.wait_s is not None:
            headers["Prefer"] = f"wait={max(0, round(call.wait_s))}"
        if call.fresh and self.token:
            headers["Consistency-Token"] = self.token
        return headers

    def _error_in(self, reply: Reply, url: str) -> Any:
        """None for an answer that is final and good; the error to raise once retrying ends. Raises what is final."""
        if reply.status < 400:
            self.nodes.answered(url)
            self.saw(reply.headers.get("consistency-token", ""))
            return None
        error = problem(reply.status, _document(reply), _seconds(reply.headers.get("retry-after")))
        if reply.status in RETRY_STATUSES or error.retryable:
            return error
        self.nodes.answered(url)
        raise error


def _document(reply: Reply) -> Mapping[str, Any]:
    try:
        document = msgspec.json.decode(reply.body[:PROBLEM_BYTES_MAX])
    except msgspec.MsgspecError:
        document = None  # a proxy's page, say: the status still means something
    return document if isinstance(document, dict) else {}


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds. Our nodes never send its other form, a date."""
    return float(text) if text is not None and text.isdigit() else None


def _query(query: Mapping[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""


def _check_address(url: str, *, has_key: bool, allow_insecure: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(
            f"{url!r} is no address of a node; it looks like https://zurich.example:8443."
        )
    if parts.username or parts.password or parts.query:
        raise ValueError("Keys do not belong into addresses; pass the key by itself.")
    safe = parts.scheme == "https" or parts.hostname in LOOPBACK or allow_insecure
    if has_key and not safe:
        raise InsecureAddress(url)
