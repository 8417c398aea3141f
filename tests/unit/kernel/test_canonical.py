from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest

from konkordat.kernel.canonical import DEPTH_MAX, UnfitValue, UnreadableValue, decode, encode


def nested(depth: int) -> Any:
    value: Any = "core"
    for _ in range(depth):
        value = [value]
    return value


class Odd(int):
    pass


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        1 << 63,
        -(1 << 63) - 1,
        {1: "a"},
        {"a": {None: 1}},
        {"a"},
        b"bytes",
        object(),
        "\ud800",
        {"\udfff": 1},
        Odd(3),
        nested(DEPTH_MAX + 1),
    ],
)
def test_what_is_not_json_of_64_bits_and_finite_numbers_is_refused(value: Any) -> None:
    with pytest.raises(UnfitValue):
        encode(value)


def test_nesting_is_taken_up_to_its_limit() -> None:
    assert decode(encode(nested(DEPTH_MAX))) == nested(DEPTH_MAX)


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (None, b"null"),
        (True, b"true"),
        (1, b"1"),
        (1.0, b"1.0"),
        (-0.0, b"-0.0"),
        (1e16, b"1e16"),
        (5e-324, b"5e-324"),
        ((1 << 63) - 1, b"9223372036854775807"),
        (Level.HIGH, b"3"),
        ("Grüezi", '"Grüezi"'.encode()),
        ("a\u0000\u2028", b'"a\\u0000\xe2\x80\xa8"'),
        ((1, 2), b"[1,2]"),
        ({"b": 1, "a": {"d": 1, "c": []}}, b'{"a":{"c":[],"d":1},"b":1}'),
    ],
)
def test_a_value_has_one_spelling(value: Any, raw: bytes) -> None:
    assert encode(value) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nul",
        b"NaN",
        b"1 2",
        b"1e999",
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b"\xff",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_bytes_that_are_no_json_are_named_unreadable(raw: bytes) -> None:
    with pytest.raises(UnreadableValue):
        decode(raw)
