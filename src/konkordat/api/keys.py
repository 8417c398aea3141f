"""API keys: how they are made, read and compared. Pure: randomness is an argument.

    kk_<tenant>_<id>_<secret>       kk_acme_0f3k9q2m7x1c5v8b_6h…

The id (80 bits) finds the record, the secret (256 bits) proves the right to it. Only a hash of the whole key is ever
stored, so neither a stolen database nor a log of ids lets anybody in. The secret is full of entropy, therefore one fast
hash is enough and a slow one for passwords would only slow every request. The prefix lets scanners find leaked keys.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from konkordat.kernel.ids import Tenant

Scope = Literal["read", "write", "admin"]

PREFIX: Final = "kk"
ID_BYTES: Final = 10
SECRET_BYTES: Final = 32
ENTROPY_BYTES: Final = ID_BYTES + SECRET_BYTES
KEY_CHARS_MAX: Final = 128  # longer than any key; hashing stops here for whatever else is sent
HASH_BYTES: Final = 32

_BASE32: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_FORM: Final = re.compile(
    rf"{PREFIX}_(_?[a-z][a-z0-9_-]{{0,39}})_([0-9a-z]{{16}})_([0-9a-z]{{52}})"
)
# What a scope includes: who may write may read, who administers may do both.
_INCLUDED: Final[dict[str, frozenset[str]]] = {
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
    "admin": frozenset({"read", "write", "admin"}),
}
NO_HASH: Final = "0" * (2 * HASH_BYTES)  # matches no key; compared with when there is no record


class KeyName(NamedTuple):
    """What a key says openly: whose it is, and which record proves it."""

    tenant: Tenant
    id: str


class MintedKey(NamedTuple):
    """A new key. `text` is shown once and kept nowhere."""

    text: str
    name: KeyName
    hash: str

    def __repr__(self) -> str:
        return f"MintedKey({self.name.tenant}, {self.name.id})"


def mint(tenant: Tenant, entropy: bytes) -> MintedKey:
    """A key for a tenant out of ENTROPY_BYTES bytes from the operating system's random source."""
    assert len(entropy) == ENTROPY_BYTES
    id_ = _digits(entropy[:ID_BYTES], 16)
    text = f"{PREFIX}_{tenant}_{id_}_{_digits(entropy[ID_BYTES:], 52)}"
    assert _FORM.fullmatch(text)
    return MintedKey(text, KeyName(tenant, id_), hash_of(text))


def parse(text: str) -> KeyName | None:
    """Whose key this claims to be; None for what is no key."""
    found = _FORM.fullmatch(text) if len(text) <= KEY_CHARS_MAX else None
    return KeyName(Tenant(found[1]), found[2]) if found else None


def hash_of(text: str) -> str:
    """BLAKE2b-256 of a key, hex; the same as `printf %s KEY | b2sum -l 256`."""
    raw = text[:KEY_CHARS_MAX].encode("utf-8", "replace")
    return hashlib.blake2b(raw, digest_size=HASH_BYTES).hexdigest()


def matches(text: str, stored_hash: str) -> bool:
    """True if the key has this hash. Takes the same time whatever differs; give NO_HASH where there is no record."""
    return hmac.compare_digest(hash_of(text).encode(), stored_hash.encode("utf-8", "replace"))


def allows(scopes: Iterable[str], needed: Scope) -> bool:
    """True if one of the scopes includes what is needed. A scope of a newer release allows nothing here."""
    return any(needed in _INCLUDED.get(scope, frozenset()) for scope in scopes)


def _digits(raw: bytes, count: int) -> str:
    number = int.from_bytes(raw, "big")
    return "".join(_BASE32[number >> 5 * place & 31] for place in reversed(range(count)))
