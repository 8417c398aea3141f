"""Names of things: tenants, collections, records, nodes, origins, and the order of record keys."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NewType

Tenant = NewType("Tenant", str)
Collection = NewType("Collection", str)
RecordId = NewType("RecordId", str)
NodeName = NewType("NodeName", str)
# A node in one of its incarnations, "zurich.0mc2k7e9". Sequence numbers belong to an origin, never to a node:
# a disk that may not continue where it stopped gets a new incarnation, so no number is used twice.
Origin = NewType("Origin", str)
Group = NewType("Group", str)

ID_BYTES_MAX: Final = 255  # fits every index of every store, and one line of a log
NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
ORIGIN_PATTERN: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}\.[0-9a-z]{1,26}")
# Control characters of ASCII and Latin-1 and the two Unicode line breaks. Listed, not asked of the interpreter: two
# nodes on different versions of Python must not disagree about which of a peer's changes are well formed.
CONTROL_PATTERN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BASE32: Final = "0123456789abcdefghjkmnpqrstvwxyz"


class RecordKey(NamedTuple):
    """Where a record lives. Tuples compare by code point, which for valid UTF-8 is byte order in every store."""

    tenant: Tenant
    collection: Collection
    id: RecordId


def record_key(tenant: str, collection: str, id: str) -> RecordKey:
    """A key from plain strings, for callers that have checked them."""
    return RecordKey(Tenant(tenant), Collection(collection), RecordId(id))


def valid_name(text: str) -> bool:
    """True for what may name a node, a tenant or a collection: lower case, digits, - and _, 40 characters at most."""
    return NAME_PATTERN.fullmatch(text) is not None


def valid_record_id(text: str) -> bool:
    """True for 1 to 255 bytes of UTF-8 without control characters."""
    if (
        text.isascii()
    ):  # nearly all; told apart by three fast calls, the same in every version of Python
        return 0 < len(text) <= ID_BYTES_MAX and text.isprintable()
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # a lone surrogate is no text that every store could hold
        return False
    return 0 < size <= ID_BYTES_MAX and CONTROL_PATTERN.search(text) is None


def make_origin(node: NodeName, minted_ms: int, entropy: bytes) -> Origin:
    """The origin of a new incarnation: 45 bits of Unix ms (until the year 3084), then 40 random bits, in 17 digits, so
    that incarnations of a node sort by age."""
    assert valid_name(node)
    assert len(entropy) >= 5
    assert 0 <= minted_ms < 1 << 45
    number = minted_ms << 40 | int.from_bytes(entropy[:5], "big")
    digits = [_BASE32[number >> shift & 31] for shift in range(80, -1, -5)]
    return Origin(f"{node}.{''.join(digits)}")


def node_of(origin: Origin) -> NodeName:
    """The node's name without its incarnation."""
    return NodeName(origin.partition(".")[0])


def uuid7(now_ms: int, entropy: bytes) -> str:
    """A UUIDv7 (RFC 9562 §5.7) in its 36-character form, from a time in ms and 10 bytes of entropy."""
    assert len(entropy) >= 10
    tail = int.from_bytes(entropy[:10], "big")
    number = (now_ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (tail >> 62 & 0xFFF) << 64
    number |= 0b10 << 62 | tail & ((1 << 62) - 1)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
