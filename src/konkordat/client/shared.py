"""What the sync and the async client share around their libraries: answers, TLS, files."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import httpx
import msgspec
from websockets.exceptions import InvalidStatus

from konkordat.client.core import Core, Reply, Send
from konkordat.client.errors import ProblemError, problem
from konkordat.schedule.interchange.programme import Programme
from konkordat.schedule.interchange.read import check_size, read_programme

TIME_ZONE_DEFAULT: Final = "Europe/Zurich"  # of programmes that name none
# A batch on a busy node is answered in tens of ms; beyond these somebody is not there.
TIMEOUT: Final = httpx.Timeout(20.0, connect=2.0)


def reply_of(response: httpx.Response) -> Reply:
    """An answer as the core knows it."""
    return Reply(response.status_code, response.headers, response.content)


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Verification is always on; `ca` says whom to trust instead of the system's authorities."""
    return ssl.create_default_context(cafile=str(ca) if ca else None)


def read_source(source: Path | bytes, name: str, time_zone: str) -> Programme:
    """A programme from a file or from bytes. Raises ProgrammeError, OSError."""
    if isinstance(source, bytes):
        return read_programme(source, name or "programme", time_zone)
    check_size(source.stat().st_size, source.name)  # before it is read whole
    return read_programme(source.read_bytes(), name or source.name, time_zone)


def audit_call(core: Core, query: Mapping[str, str]) -> Send:
    """The request for the audit trail, to the node that answers best."""
    suffix = f"?{urlencode(query)}" if query else ""
    headers = core.headers() | ({"Consistency-Token": core.token} if core.token else {})
    return Send("GET", f"{core.nodes.best()}/v2/audit{suffix}", headers, None)


def audit_error(reply: Reply) -> ProblemError:
    """The problem that came instead of the audit trail."""
    document = reply.json()
    return problem(reply.status, document if isinstance(document, dict) else {}, None)


def stream_refused(error: Exception) -> None:
    """Raise the problem of a refused connection where coming back will not help."""
    if not isinstance(error, InvalidStatus):
        return
    response = error.response
    try:
        document = msgspec.json.decode(response.body or b"{}", type=dict)
    except msgspec.MsgspecError:
        document = {}
    refused = problem(response.status_code, document, None)
    if not refused.retryable:
        raise refused from error
