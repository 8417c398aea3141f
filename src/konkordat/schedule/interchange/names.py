"""Names derived from other names, the same in every export and import."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import uuid
from typing import Final

from konkordat.schedule.fields import SLUG_CHARS_MAX, SLUG_PATTERN

_SLUG: Final = re.compile(SLUG_PATTERN)
_NOT_SLUG: Final = re.compile(r"[^a-z0-9_-]+")

# Letters that Unicode does not decompose, as German and its neighbours write them out.
_SPELLED_OUT: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l"}
)


def slug_of(text: str) -> str:
    """A slug for a text; itself if it is one; empty if nothing of it can be kept."""
    if len(text) <= SLUG_CHARS_MAX and _SLUG.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text.lower().translate(_SPELLED_OUT))
    ascii_ = plain.encode("ascii", "ignore").decode()
    return _NOT_SLUG.sub("-", ascii_).strip("-_")[:SLUG_CHARS_MAX].rstrip("-_")


def derived_guid(event_slug: str, external_id: str) -> str:
    """The UUID (version 8, RFC 9562) of a session that has none, the same in every export."""
    value = int.from_bytes(digest_of(f"{event_slug}\0{external_id}"), "big")
    value = value & ~(0xF << 76) | 0x8 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def digest_of(text: str) -> bytes:
    """Sixteen bytes that stand for a text."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
