"""Idempotency-Key: a repeated request has one effect, at whatever node it arrives.

The mark of a request travels with its transaction, so every node that has the transaction knows the request. A node
that has not yet seen it makes the same record again: ids that nobody chose are derived from (credential, route, key),
and the two writes merge into one record.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from konkordat.api.call import Call
from konkordat.api.problems import Problem
from konkordat.kernel.change import RequestMark
from konkordat.kernel.ids import uuid7

MARK_BYTES: Final = 16
KEY_CHARS_MAX: Final = 100  # a UUID has 36
# Ids derived from a key that holds no time need a time all the same, and it must not depend on when or where the
# request came. 39 bits of the key's hash after this moment: between 2017 and 2035.
DERIVED_FROM_MS: Final = 1_500_000_000_000
DERIVED_BITS: Final = 39
_UUID7: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)
RUNNING_RETRY_MS: Final = 250


class Repeatable(msgspec.Struct, frozen=True):
    """A request that carries an Idempotency-Key."""

    credential: str
    tenant: str
    route: str  # method, path and query
    key: str
    body: bytes

    def mark(self, part: str = "") -> RequestMark:
        """What marks the transaction; `part` tells the operations of an independent batch apart."""
        return RequestMark(
            _hash("key", self.tenant, self.credential, self.key, part),
            _hash_bytes("body", self.body, self.route, part),
        )

    def id(self, part: str = "") -> str:
        """The id of a record that this request creates without choosing one: UUIDv7-shaped, the same at every node.

        Where the key is a UUIDv7 itself, as our clients send it, its time is taken, so ids stay in order of time.
        """
        parts = (self.tenant, self.credential, self.route, self.key)
        digest = _hash("id", *parts, part)
        if _UUID7.fullmatch(self.key):
            ms = int(self.key[:8] + self.key[9:13], 16)
        else:
            ms = DERIVED_FROM_MS + int.from_bytes(digest[10:], "big") % (1 << DERIVED_BITS)
        return uuid7(ms, digest[:10])


def repeatable(call: Call, body: bytes) -> Repeatable | None:
    """The request's key, or None without one. Raises Problem for a key that is none."""
    if b"idempotency-key" not in call.headers:
        return None
    assert call.credential is not None, "writes need a credential"
    key = call.header(b"idempotency-key")
    check_key(key)
    query = (call.scope.get("query_string") or b"").decode("latin-1")
    route = f"{call.method} {call.path}?{query}"
    return Repeatable(call.credential.id, call.tenant, route, key, body)


def check_key(key: str) -> None:
    """Raises Problem for what is no key."""
    if not key or len(key) > KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        detail = f"An Idempotency-Key has 1 to {KEY_CHARS_MAX} printable ASCII characters."
        raise Problem("bad_request", detail)


class Running:
    """Requests that are being carried out on this node now, by the hash of their key."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    @contextmanager
    def only_once(self, request: Repeatable | None) -> Iterator[None]:
        """Raises Problem when the same key is being carried out already."""
        if request is None:
            yield
            return
        key = request.mark().key_hash
        if key in self._keys:
            detail = "A request with this Idempotency-Key is being carried out on this node."
            raise Problem("request_running", detail, retry_after_ms=RUNNING_RETRY_MS)
        self._keys.add(key)
        try:
            yield
        finally:
            self._keys.discard(key)


def _hash(kind: str, *parts: str) -> bytes:
    # NUL separates: no name, id or key can contain it.
    return _hash_bytes(kind, "\0".join(parts).encode())


def _hash_bytes(kind: str, data: bytes, *parts: str) -> bytes:
    state = hashlib.blake2b(digest_size=MARK_BYTES, person=f"konkordat.{kind}".encode())
    for part in parts:
        state.update(part.encode() + b"\0")
    state.update(data)
    return state.digest()
