"""Values keep their type and their exact content through canonical JSON."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel import canonical
from laws.kernel.strategies import json_values
from support.effort import share


def same(a: Any, b: Any) -> bool:
    """Equal in value and type: 1 is not 1.0, 0.0 is not -0.0, True is not 1."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return bool(a == b)


@share(0.25)
@given(json_values)
def test_a_value_comes_back_exactly(value: Any) -> None:
    assert same(canonical.decode(canonical.encode(value)), value)


@share(0.25)
@given(json_values)
def test_encoding_again_gives_the_same_bytes(value: Any) -> None:
    raw = canonical.encode(value)
    assert canonical.encode(canonical.decode(raw)) == raw


@share(0.25)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 9)))
def test_the_order_of_keys_does_not_matter_and_is_by_utf8_bytes(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical.encode(turned) == canonical.encode(value)
    keys = list(canonical.decode(canonical.encode(value)))
    assert keys == sorted(value, key=str.encode)


@share(0.25)
@given(json_values)
def test_another_json_reader_reads_the_same_value(value: Any) -> None:
    assert same(json.loads(canonical.encode(value)), value)


@share(0.25)
@given(st.integers())
def test_integers_beyond_64_bits_are_refused_and_none_within(value: int) -> None:
    if canonical.INT_MIN <= value <= canonical.INT_MAX:
        assert same(canonical.decode(canonical.encode(value)), value)
    else:
        with pytest.raises(canonical.UnfitValue):
            canonical.encode(value)


@share(0.25)
@given(st.text(st.characters(categories=["Cs"]), min_size=1), st.text(max_size=3))
def test_lone_surrogates_are_refused_as_text_and_as_key(lone: str, around: str) -> None:
    for value in (around + lone, {lone + around: 1}, [{"a": [lone]}]):
        with pytest.raises(canonical.UnfitValue):
            canonical.encode(value)


@share(0.25)
@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_named_unreadable(raw: bytes) -> None:
    with contextlib.suppress(canonical.UnreadableValue):
        canonical.decode(raw)
