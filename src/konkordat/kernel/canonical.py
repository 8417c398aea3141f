"""Values as canonical JSON bytes.

A value is encoded once, by the node that accepts it, and from then on carried, stored and hashed as those bytes: no
other node or language ever encodes it again, so no two can disagree about floats, key order or escapes.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

DEPTH_MAX: Final = 32  # far beyond any record here, far below what exhausts a parser's stack
INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1

_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decode: Final = msgspec.json.Decoder().decode


class UnfitValue(ValueError):
    """The value cannot be kept: {reason}. Nothing was written. Send JSON with finite numbers,
    64-bit integers and valid text."""


class UnreadableValue(ValueError):
    """The bytes are not JSON. They stay as they are, because a value of a peer cannot be refused; show them as null."""


def encode(value: Any) -> bytes:
    """Canonical JSON of a JSON-like value (None, bool, int64, finite float, str, list, dict with str keys)."""
    _check(value, 0)
    try:
        return _encoder.encode(value)
    except TypeError as cause:  # a subclass of a JSON type that the encoder does not know
        raise UnfitValue(f"{type(value).__name__} is not a JSON type") from cause


def decode(raw: bytes) -> Any:
    """The value back; `decode(encode(v)) == v` with the types kept (1 stays int, 1.0 stays float).

    Raises UnreadableValue for bytes that are no JSON at all, however hostile: a peer may send any bytes as a value.
    """
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise UnreadableValue from cause


def _check(value: Any, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise UnfitValue(f"nested deeper than {DEPTH_MAX}")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise UnfitValue(f"object key {key!r} is not a string")
            _check_text(key)
            _check(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth + 1)
    else:
        _check_plain(value)


def _check_plain(value: Any) -> None:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        if not INT_MIN <= value <= INT_MAX:
            raise UnfitValue(f"{value} does not fit a 64-bit integer")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise UnfitValue(f"{value} is not a finite number")
    else:
        raise UnfitValue(f"{type(value).__name__} is not a JSON type")


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as cause:
        raise UnfitValue("text contains a lone surrogate") from cause
