"""Answers: status, headers and body as prepared bytes, sent as they are.

Every answer passes through here, so every answer carries the same security headers, the request's id and a consistency
token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from konkordat.api.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

    from konkordat.api.call import Call

Header = tuple[bytes, bytes]

JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"
TEXT: Final = b"text/plain; charset=utf-8"

# An API has no pages to frame, run or sniff. The documentation page brings its own policy.
SECURITY: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
POLICY: Final[Header] = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'",
)
NO_STORE: Final[Header] = (b"cache-control", b"no-store")
# Something with an ETag may be kept by its reader, but is asked for each time.
REVALIDATE: Final[Header] = (b"cache-control", b"private, no-cache")
STRICT_TRANSPORT: Final[Header] = (b"strict-transport-security", b"max-age=31536000")


class Answer:
    """One complete answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: list[Header]) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class StreamedAnswer:
    """An answer of unknown length. A source that fails half-way breaks the connection, so that no reader takes a part
    for the whole."""

    __slots__ = ("chunks", "headers", "status")

    def __init__(
        self, status: int, chunks: AsyncGenerator[bytes, None], headers: list[Header]
    ) -> None:
        self.status = status
        self.chunks = chunks
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        watcher = asyncio.create_task(_gone(receive))
        try:
            async with aclosing(self.chunks):
                async for chunk in self.chunks:
                    if watcher.done():  # whoever asked has left: no need to go on
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            watcher.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def answer(
    call: Call,
    status: int,
    body: bytes = b"",
    *,
    media_type: bytes = JSON,
    headers: Iterable[Header] = (),
    token: str | None = None,
    cache: Header = NO_STORE,
) -> Answer:
    """An answer to a call. `token` is the consistency token if it is not simply what this node has now."""
    lines = common_headers(call, token, cache)
    lines += headers
    if status not in {204, 304}:
        lines.append((b"content-type", media_type))
        lines.append((b"content-length", b"%d" % len(body)))
    return Answer(status, body, lines)


def streamed(
    call: Call,
    chunks: AsyncGenerator[bytes, None],
    media_type: bytes,
    headers: Iterable[Header] = (),
) -> StreamedAnswer:
    """An answer that is sent as it comes to be."""
    lines = common_headers(call, None, NO_STORE)
    return StreamedAnswer(200, chunks, [*lines, *headers, (b"content-type", media_type)])


def problem_answer(call: Call, problem: Problem) -> Answer:
    """A problem as an answer."""
    headers = [(k.encode(), v.encode("latin-1", "replace")) for k, v in problem.headers.items()]
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    if problem.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="konkordat"'))
    body = problem.encode(call.request_id)
    return answer(call, problem.status, body, media_type=MEDIA_TYPE.encode(), headers=headers)


def common_headers(call: Call, token: str | None, cache: Header) -> list[Header]:
    """What every answer carries; `call.headers_out` holds what was found out on the way."""
    lines: list[Header] = [(b"x-request-id", call.request_id.encode()), cache, *SECURITY]
    # Only who has shown a key learns what this node has seen.
    if call.credential is not None:
        lines.append((b"consistency-token", (token or call.front.token_of(call.shown)).encode()))
    lines.append(call.policy)
    lines += call.headers_out
    if call.is_tls:
        lines.append(STRICT_TRANSPORT)
    return lines
