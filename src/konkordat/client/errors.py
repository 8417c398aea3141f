"""What can go wrong between a client and the nodes.

KonkordatError
├── NodeUnreachable      no node answered; whether a write took effect is unknown, repeating it is safe
├── BadAnswer            a node answered something that is no answer of this API
├── InsecureAddress      a key would have crossed a network in the clear; nothing was sent
└── ProblemError         a node answered with a problem document (RFC 9457)
    ├── Unauthenticated  401: the key is missing, wrong, revoked or expired
    ├── Forbidden        403: the key may not do this
    ├── NotFound         404: said only by a node that has caught up
    ├── Conflict         409: something stands in the way; `conflicts` names it
    ├── PreconditionFailed  412: changed meanwhile; `current` holds it
    ├── Invalid          400, 413, 415, 422: the request itself is wrong; `errors` points at it
    ├── Gone             410: the token is too old; read everything anew
    └── Unavailable      429, 503, 500 …: retried until time ran out
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KonkordatError(Exception):
    """Something went wrong between this client and the nodes."""


class NodeUnreachable(KonkordatError):
    """No node answered: {reason}. Whether a write took effect is unknown; repeating it with the same key is safe."""

    def __init__(self, reason: str, idempotency_key: str = "") -> None:
        unknown = (
            " Whether the write took effect is unknown; repeating it with the same key is safe."
        )
        super().__init__(f"No node answered: {reason}.{unknown if idempotency_key else ''}")
        self.reason = reason
        self.idempotency_key = idempotency_key  # of the write; "" for a read


class BadAnswer(KonkordatError):
    """What answered is not a node of this API: {reason}. Check the address."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"What answered is not a node of this API: {reason}. Check the address.")
        self.reason = reason


class InsecureAddress(KonkordatError):
    """{url} is neither https nor on this machine, so the key was not sent. Use https, or allow_insecure=True."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url} is neither https nor on this machine, so the key was not sent. Use https, or allow it by name."
        )
        self.url = url


class ProblemError(KonkordatError):
    """A node's problem document. Branch on `code`, never on the text."""

    def __init__(
        self, status: int, document: Mapping[str, Any], retry_after_s: float | None
    ) -> None:
        self.status = status
        self.document = document
        self.code = str(document.get("code", "unknown"))
        self.detail = str(document.get("detail") or document.get("title") or f"HTTP {status}")
        self.retryable = bool(document.get("retryable", status in {429, 503}))
        self.request_id = str(document.get("request_id", ""))
        self.errors = _objects(
            document, "errors"
        )  # {code, pointer, detail}: where the request is wrong
        self.conflicts = _objects(document, "conflicts")  # what stands in the way
        self.alternatives = _objects(document, "alternatives")  # free slots instead
        current = document.get("current")
        self.current: dict[str, Any] | None = current if isinstance(current, dict) else None
        self.retry_after_s = retry_after_s
        super().__init__(f"{self.code}: {self.detail}")


class Unauthenticated(ProblemError):
    """401: the key is missing, wrong, revoked or expired."""


class Forbidden(ProblemError):
    """403: the key may not do this."""


class NotFound(ProblemError):
    """404: there is no such thing, said by a node that has caught up."""


class Conflict(ProblemError):
    """409: something stands in the way. Nothing was written."""


class PreconditionFailed(ProblemError):
    """412: the record changed meanwhile. Nothing was written; `current` is what it is now."""


class Invalid(ProblemError):
    """The request itself is wrong. Nothing was written; `errors` points at the place."""


class Gone(ProblemError):
    """410: changes since that token are no longer kept. Read everything anew."""


class Unavailable(ProblemError):
    """The nodes could not do it now, for as long as was tried."""


def _objects(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects; whoever answers in our place may have sent anything."""
    value = document.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


_BY_STATUS: Mapping[int, type[ProblemError]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    410: Gone,
    412: PreconditionFailed,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}


def problem(status: int, document: Mapping[str, Any], retry_after_s: float | None) -> ProblemError:
    """The error of a status; whatever is not known better is Unavailable."""
    return _BY_STATUS.get(status, Unavailable)(status, document, retry_after_s)
