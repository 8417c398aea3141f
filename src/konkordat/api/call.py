"""One request in hand: its headers, query, body and circumstances, read once and with limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from konkordat.api.answers import POLICY, Header
from konkordat.api.problems import FieldError, Problem, invalid
from konkordat.api.settings import BODY_READ_S_MAX, HEADER_CHARS_MAX, QUERY_FIELDS_MAX
from konkordat.kernel.frontier import joined
from konkordat.kernel.ids import Origin
from konkordat.store.port import Reader

if TYPE_CHECKING:
    from konkordat.api.auth import Credential
    from konkordat.api.front import Front

# Names under which people have been seen to put keys into addresses, where every log and proxy keeps them.
KEY_PARAMETERS: Final = frozenset(
    {"access_token", "api_key", "api-key", "apikey", "authorization", "bearer", "key", "secret"}
)
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Call:
    """A request, from the moment it is routed to its answer."""

    __slots__ = (
        "_query",
        "_reader",
        "_receive",
        "credential",
        "front",
        "headers",
        "headers_out",
        "order",
        "policy",
        "request_id",
        "scope",
        "shown",
        "wait_s",
        "wait_until_s",
    )

    def __init__(self, front: Front, scope: Any, receive: Callable[[], Awaitable[Any]]) -> None:
        self.front = front
        self.scope = scope
        self._receive = receive
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = self._request_id()
        self.credential: Credential | None = None  # set once the key has been checked
        self.order: Mapping[str, str] = {}  # what an operator asks for, should it be refused
        self.headers_out: list[Header] = []  # found out on the way: rate limit, what was preferred
        self.policy: Header = POLICY
        self.wait_s: float | None = None  # of `Prefer: wait=N`
        self.wait_until_s = 0.0  # on the loop's clock: the end of that
        # The frontier of all that the answer shows, where that is known exactly.
        self.shown: Mapping[Origin, int] | None = None
        self._reader: Reader | None = None  # while a moment lasts
        self._query: dict[str, str] | None = None

    # What the request is -------------------------------------------------------------------------

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def params(self) -> Mapping[str, str]:
        """Parts of the path."""
        params: Mapping[str, str] = self.scope["path_params"]
        return params

    @property
    def is_tls(self) -> bool:
        return self.scope.get("scheme") in ("https", "wss")

    @property
    def tenant(self) -> str:
        """The tenant of whoever calls: from the credential, never from the request.

        Raises Problem for the operator, who administers and has no schedule.
        """
        assert self.credential is not None, "a route without `needs` has no tenant"
        if self.credential.is_operator:
            raise no_schedule()
        return self.credential.tenant

    def header(self, name: bytes) -> str:
        """A header's text, "" without it. Raises Problem for what is no plain text or too long."""
        raw = self.headers.get(name)
        if raw is None:
            return ""
        text = raw.decode("latin-1").strip()
        if len(text) > HEADER_CHARS_MAX or not (
            (text.isascii() and text.isprintable()) or not text
        ):
            title = name.decode().title()
            detail = f"{title} is longer than {HEADER_CHARS_MAX} characters or not plain ASCII."
            raise Problem("bad_request", detail)
        return text

    @property
    def trace(self) -> str:
        """The W3C traceparent, "" without a well-formed one (the specification: ignore others)."""
        text = self.headers.get(b"traceparent", b"").decode("latin-1")
        return text if TRACEPARENT.fullmatch(text) else ""

    def _request_id(self) -> str:
        """The caller's own id if it is fit for a log line, or a new one."""
        given = self.headers.get(b"x-request-id")
        if given is not None:
            text = given.decode("latin-1")
            if REQUEST_ID.fullmatch(text):
                return text
        return self.front.gate.new_id()

    # Reading --------------------------------------------------------------------------------------

    @contextmanager
    def moment(self) -> Iterator[Reader]:
        """A reader that sees one moment, which the answer's consistency token then names: whoever follows changes from
        it misses none. Nothing is awaited in the block, and the answer shows nothing that was read outside of one. A
        moment within a moment is the same."""
        if self._reader is not None:
            yield self._reader
            return
        reader = self.front.gate.reader()
        with reader.moment():
            self.shows(reader.frontier())
            self._reader = reader
            try:
                yield reader
            finally:
                self._reader = None

    def shows(self, frontier: Mapping[Origin, int]) -> None:
        """The answer shows something as of this frontier."""
        if frontier is self.shown:  # of the many operations of one commit
            return
        self.shown = frontier if self.shown is None else joined(self.shown, frontier)

    # Query ---------------------------------------------------------------------------------------

    @property
    def query(self) -> dict[str, str]:
        """The query's fields. Raises Problem for a field given twice, or too many."""
        if self._query is None:
            self._query = self._parse_query()
        return self._query

    def _parse_query(self) -> dict[str, str]:
        raw: bytes = self.scope.get("query_string") or b""
        if not raw:
            return {}
        try:
            text = raw.decode("ascii")
            pairs = parse_qsl(
                text, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX, errors="strict"
            )
        except ValueError as cause:  # UnicodeDecodeError is one, too
            raise Problem(
                "bad_request", "The query is malformed or has too many fields."
            ) from cause
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise Problem("bad_request", "A query field is given twice; each may be given once.")
        return fields

    def take_only(self, *names: str) -> dict[str, str]:
        """The query, if it has no other fields than these.

        Raises Problem for others: a misspelt filter must not match everything.
        """
        query = self.query
        for name in query:
            if name in names:
                continue
            if name.lower() in KEY_PARAMETERS:
                raise Problem(
                    "credential_in_query",
                    "A key was sent in the address; it has been seen by logs.",
                )
            known = ", ".join(sorted(names)) or "none"
            detail = f"There is no query parameter {name!r} here; known are: {known}."
            raise Problem(
                "invalid", detail, errors=[FieldError("unknown_parameter", f"?{name}", detail)]
            )
        return query

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """A query field that is a whole number of a range."""
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise invalid(f"?{name}", f"{name} is a whole number from {low} to {high}.")
        return int(text)

    # Body ----------------------------------------------------------------------------------------

    async def body(self) -> bytes:
        """The whole body. Raises Problem as soon as it is known to be too large, or comes too slowly."""
        limit = self.front.settings.body_bytes_max
        announced = self.headers.get(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > limit:
            raise body_too_large(limit)
        message = await self._receive()
        first: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            self._check_connected(message)
            if len(first) > limit:
                raise body_too_large(limit)
            return first
        return await self._long_body(first, limit)

    async def _long_body(self, first: bytes, limit: int) -> bytes:
        """A body that comes in several pieces."""
        chunks, size = [first], len(first)
        try:
            async with asyncio.timeout(BODY_READ_S_MAX):
                more = True
                while more:
                    if size > limit:
                        raise body_too_large(limit)
                    message = await self._receive()
                    self._check_connected(message)
                    chunk: bytes = message.get("body", b"")
                    chunks.append(chunk)
                    size += len(chunk)
                    more = message.get("more_body", False)
        except TimeoutError as cause:
            detail = f"The body took longer than {BODY_READ_S_MAX:.0f} s."
            raise Problem("request_timeout", detail, headers={"connection": "close"}) from cause
        if size > limit:
            raise body_too_large(limit)
        return b"".join(chunks)

    @staticmethod
    def _check_connected(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.disconnect":
            raise Problem("bad_request", "The connection was closed before the body was complete.")


def no_schedule() -> Problem:
    """The problem of an operator who asks for a schedule."""
    detail = "The operator's key has no schedule. Make a key for a tenant: POST /v2/keys."
    return Problem("scope_missing", detail)


def body_too_large(limit: int) -> Problem:
    """The problem of a body or message beyond the limit."""
    return Problem("body_too_large", f"The body has more than {limit} bytes.")
