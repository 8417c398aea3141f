"""What the sync and the async client share around their libraries: answers, TLS, files."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from websockets.exceptions import InvalidStatus

from konkordat.client.core import LOOPBACK, Reply
from konkordat.client.errors import problem
from konkordat.schedule.interchange.plan import ImportPlan, plan_import
from konkordat.schedule.interchange.read import check_size, read_programme

C = TypeVar("C")

TIME_ZONE_DEFAULT: Final = "Europe/Zurich"  # of programmes that name none
# A batch on a busy node is answered in tens of ms; beyond these somebody is not there.
TIMEOUT_S: Final = 20.0
CONNECT_S: Final = 2.0
# A proxy of the environment is for other machines; it could not even reach a node on this one.
DIRECT: Final[Mapping[str, None]] = {
    f"all://{'[' + host + ']' if ':' in host else host}": None for host in sorted(LOOPBACK)
}


def timeouts(timeout_s: float) -> httpx.Timeout:
    """How long to wait for an answer, and (less) for a connection."""
    return httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S))


def proxy_for(url: str) -> Literal[True] | None:
    """Whether a stream to this address may go through the environment's proxy."""
    return None if urlsplit(url).hostname in LOOPBACK else True


def reply_of(response: httpx.Response) -> Reply:
    """An answer as the core knows it."""
    return Reply(response.status_code, response.headers, response.content)


def open_reply(response: httpx.Response) -> Reply:
    """A good answer whose body is still to come."""
    return Reply(response.status_code, response.headers, b"", response)


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Verification is always on; `ca` says whom to trust instead of the system's authorities."""
    return ssl.create_default_context(cafile=str(ca) if ca else None)


def plan_of(source: Path | bytes, name: str, time_zone: str, region: str | None) -> ImportPlan:
    """The plan of a programme in a file or in bytes. Raises ProgrammeError, OSError."""
    if isinstance(source, Path):
        check_size(source.stat().st_size, source.name)  # before it is read whole
        name, source = name or source.name, source.read_bytes()
    return plan_import(read_programme(source, name or "programme", time_zone), region)


@contextmanager
def counted_in(connection: C, open_ones: set[C]) -> Iterator[None]:
    """While this lasts, the connection is among the open ones: closing the client closes it."""
    open_ones.add(connection)
    try:
        yield
    finally:
        open_ones.discard(connection)


def stream_refused(error: Exception) -> None:
    """Raise the problem of a refused connection where coming back will not help."""
    if not isinstance(error, InvalidStatus):
        return
    response = error.response
    try:
        document = msgspec.json.decode(response.body or b"{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        document = {}
    refused = problem(response.status_code, document, None)
    if not refused.retryable:
        raise refused from error
