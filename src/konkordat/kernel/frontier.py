"""What a node has: for each origin, the highest sequence number up to which it holds every batch. It names a state."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

import msgspec

from konkordat.kernel.ids import ORIGIN_PATTERN, Origin

Frontier = Mapping[Origin, int]

ORIGINS_MAX: Final = (
    256  # five nodes and many lives of each; keeps a token under what a header may carry
)
# 256 origins with the longest names and numbers come to 26 970 characters, five ordinary ones to about 220.
TOKEN_CHARS_MAX: Final = 28_000
SEQ_MAX: Final = (1 << 63) - 1


class BadToken(ValueError):
    """The token is not one that this service issued: {reason}. Nothing was read or written. Leave
    it out to start anew."""


def covers(ours: Frontier, theirs: Frontier) -> bool:
    """True when whoever has `ours` has everything that `theirs` names."""
    return all(ours.get(origin, 0) >= seq for origin, seq in theirs.items())


def joined(ours: Frontier, theirs: Frontier) -> dict[Origin, int]:
    """What both together have."""
    result = dict(ours)
    for origin, seq in theirs.items():
        if seq > result.get(origin, 0):
            result[origin] = seq
    return result


def missing(ours: Frontier, theirs: Frontier) -> dict[Origin, tuple[int, int]]:
    """What they have and we lack: origin -> (our seq, their seq), in order of origin."""
    return {
        origin: (ours.get(origin, 0), theirs[origin])
        for origin in sorted(theirs)
        if theirs[origin] > ours.get(origin, 0)
    }


def distance(ours: Frontier, theirs: Frontier) -> int:
    """How many batches they have and we lack."""
    return sum(upto - ours.get(o, 0) for o, upto in theirs.items() if upto > ours.get(o, 0))


def token(frontier: Frontier) -> str:
    """The frontier as the opaque consistency token that clients carry: URL-safe text, the same for
    the same frontier."""
    pairs = sorted((o, s) for o, s in frontier.items() if s)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(pairs)).rstrip(b"=").decode()


def parse_token(text: str) -> dict[Origin, int]:
    """The frontier in a token. Raises BadToken for anything that `token` did not make."""
    if len(text) > TOKEN_CHARS_MAX:
        raise BadToken(f"longer than {TOKEN_CHARS_MAX} characters")
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
        pairs = msgspec.msgpack.decode(raw, type=list[tuple[str, int]])
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, ValueError) as cause:
        raise BadToken("it cannot be decoded") from cause
    if len(pairs) > ORIGINS_MAX:
        raise BadToken(f"it names more than {ORIGINS_MAX} origins")
    frontier = {Origin(o): s for o, s in pairs}
    sound = all(ORIGIN_PATTERN.fullmatch(o) and 0 < s <= SEQ_MAX for o, s in pairs)
    if not sound or len(frontier) != len(pairs) or token(frontier) != text:
        raise BadToken("its content is not a frontier")
    return frontier
