"""Who calls: API keys from the header, one-time tickets for browsers' streams, and what a credential may do."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Final

import msgspec

from konkordat.api import keys
from konkordat.api.call import KEY_PARAMETERS, Call
from konkordat.api.gate import Gate
from konkordat.api.keys import NO_HASH, KeyName, Scope, allows
from konkordat.api.problems import Problem
from konkordat.kernel.canonical import UnreadableValue
from konkordat.kernel.canonical import decode as decode_value
from konkordat.kernel.ids import Group, RecordKey
from konkordat.kernel.record import Record
from konkordat.schedule.keys import API_KEYS, REVOKED, SYSTEM_TENANT, api_key

CACHE_KEYS_MAX: Final = 10_000  # about 5 MiB; beyond it the cache starts anew
OPERATOR: Final = "operator"  # the actor of the key whose hash is in the configuration
TICKETS_MAX: Final = 10_000  # not yet used; each lives for TICKET_LIFE_MS
TICKET_LIFE_MS: Final = 30_000  # from the answer to opening the socket: one round trip


class Credential(msgspec.Struct, frozen=True):
    """A key that has been proven. `id` is the actor of what it does."""

    id: str
    tenant: str
    scopes: tuple[str, ...]
    expires_ms: int | None = None

    @property
    def is_operator(self) -> bool:
        """True for the service's own tenant: it administers, and has no schedule."""
        return self.tenant == SYSTEM_TENANT


class StoredKey(msgspec.Struct, frozen=True):
    """What the record of a key says."""

    credential: Credential
    hash: str
    revoked: bool


class Keyring:
    """Looks keys up. A record is read once and kept until the feed says that it changed, so a revocation counts here
    as soon as it has been replicated."""

    def __init__(self, gate: Gate, operator_hash: str) -> None:
        self._gate = gate
        self._operator_hash = operator_hash or NO_HASH
        self._known: dict[str, StoredKey] = {}

    def authenticate(self, call: Call) -> Credential:
        """Whose request this is. Raises Problem: unauthenticated, key_revoked, key_expired, credential_in_query."""
        text = _bearer(call)
        name = keys.parse(text)
        if name is None:
            raise _unknown()
        return self.prove(text, name)

    def prove(self, text: str, name: KeyName) -> Credential:
        """The credential of a key. What is wrong with a key is told only to who has all of it."""
        if name.tenant == SYSTEM_TENANT:
            if keys.matches(text, self._operator_hash):
                return Credential(OPERATOR, SYSTEM_TENANT, ("admin",))
            raise _unknown()
        stored = self._stored(name.id)
        if not keys.matches(text, stored.hash if stored else NO_HASH) or stored is None:
            raise _unknown()
        if stored.credential.tenant != name.tenant:
            raise _unknown()
        self._check(stored)
        return stored.credential

    def check_still_valid(self, credential: Credential) -> None:
        """For connections that stay open. Raises Problem: key_revoked, key_expired."""
        if credential.is_operator:
            return
        stored = self._stored(credential.id)
        if stored is None:
            raise Problem("key_revoked", "The key no longer exists.")
        self._check(stored)

    def forget(self, key: RecordKey) -> bool:
        """A record changed: look it up anew next time. True if it is a key's."""
        if key.collection != API_KEYS or key.tenant != SYSTEM_TENANT:
            return False
        self._known.pop(key.id, None)
        return True

    def forget_all(self) -> None:
        """The feed was interrupted: anything may have changed."""
        self._known.clear()

    def _check(self, stored: StoredKey) -> None:
        if stored.revoked:
            raise Problem("key_revoked", "This key was revoked.")
        expires_ms = stored.credential.expires_ms
        if expires_ms is not None and self._gate.now_ms() >= expires_ms:
            raise Problem("key_expired", "This key has expired.")

    def _stored(self, id: str) -> StoredKey | None:
        stored = self._known.get(id)
        if stored is None:
            key = api_key(id)
            record = self._gate.reader().load([key]).get(key)
            stored = None if record is None else stored_key(record)
            if stored is not None:
                if len(self._known) >= CACHE_KEYS_MAX:
                    self._known.clear()
                self._known[id] = stored
        return stored


def stored_key(record: Record) -> StoredKey | None:
    """What a key's record says; None for one that is deleted or not whole."""

    def value(group: str) -> object:
        register = record.fields.get(Group(group))
        try:
            return None if register is None else decode_value(register.value)
        except UnreadableValue:
            return None

    hash_, tenant, scopes = value("hash"), value("tenant"), value("scopes")
    whole = isinstance(hash_, str) and isinstance(tenant, str) and isinstance(scopes, list)
    if not record.alive or not whole:
        return None
    assert isinstance(scopes, list)
    credential = Credential(
        record.key.id, str(tenant), tuple(map(str, scopes)), _expiry_ms(value("expires_at"))
    )
    return StoredKey(credential, str(hash_), value(REVOKED) is True)


def _expiry_ms(value: object) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        return int(datetime.fromisoformat(value).timestamp() * 1_000)
    except ValueError:
        return 0  # a date that nobody can read has passed: better locked out than let in


def check_scope(credential: Credential, needed: Scope) -> None:
    """Raises Problem scope_missing."""
    if not allows(credential.scopes, needed):
        raise Problem("scope_missing", f"This needs a key with the scope {needed!r}.")


def _bearer(call: Call) -> str:
    raw = call.headers.get(b"authorization")
    if raw is None:
        if any(name.lower() in KEY_PARAMETERS for name in call.query):
            raise Problem(
                "credential_in_query", "A key was sent in the address; it has been seen by logs."
            )
        raise Problem("unauthenticated", "The request has no Authorization header.")
    scheme, _, text = raw.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise Problem("unauthenticated", "The Authorization header is not of the form `Bearer …`.")
    return text.strip()


def _unknown() -> Problem:
    return Problem("unauthenticated", "The key is not valid here.")


class Tickets:
    """Tickets that let a browser open a stream, since it cannot send a header with a WebSocket. Each is good once, for
    a moment, at the node that gave it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._open: dict[bytes, tuple[Credential, int]] = {}  # by hash; in order of expiry

    def issue(self, credential: Credential) -> str:
        """Raises Problem overloaded when too many have been given out."""
        now_ms = self._gate.now_ms()
        while self._open:
            oldest = next(iter(self._open))
            if self._open[oldest][1] > now_ms:
                break
            del self._open[oldest]
        if len(self._open) >= TICKETS_MAX:
            raise Problem(
                "overloaded", "Too many tickets are unused.", retry_after_ms=TICKET_LIFE_MS
            )
        ticket = secrets.token_urlsafe(32)
        self._open[_ticket_hash(ticket)] = (credential, now_ms + TICKET_LIFE_MS)
        return ticket

    def redeem(self, ticket: str) -> Credential:
        """Raises Problem unauthenticated for one that is unknown, used or too old."""
        found = self._open.pop(_ticket_hash(ticket), None)
        if found is None or found[1] <= self._gate.now_ms():
            raise Problem("unauthenticated", "The ticket is not valid, or was used already.")
        return found[0]


def _ticket_hash(ticket: str) -> bytes:
    return hashlib.blake2b(ticket[:128].encode("utf-8", "replace"), digest_size=32).digest()
