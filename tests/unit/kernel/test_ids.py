from __future__ import annotations

import re
import uuid

import pytest

from konkordat.kernel.ids import (
    ID_BYTES_MAX,
    ORIGIN_PATTERN,
    NodeName,
    make_origin,
    record_key,
    uuid7,
    valid_name,
    valid_record_id,
)

NOON = 1_811_764_800_000


@pytest.mark.parametrize("text", ["zurich", "st-gallen", "a", "n_1", "x" * 40])
def test_names_are_lower_case_words(text: str) -> None:
    assert valid_name(text)


@pytest.mark.parametrize("text", ["", "Zürich", "1a", "-a", "a.b", "a b", "x" * 41, "a\n", "A"])
def test_other_names_are_refused(text: str) -> None:
    assert not valid_name(text)


@pytest.mark.parametrize("text", ["a", "Ä", "é" * 127, "x" * ID_BYTES_MAX, "a b"])
def test_a_record_id_is_printable_text(text: str) -> None:
    assert valid_record_id(text)


def test_a_record_id_may_hold_characters_that_this_python_does_not_know_yet() -> None:
    assert valid_record_id("\U0001fadf")  # assigned in Unicode 16, unknown to Python 3.11


@pytest.mark.parametrize("text", ["", "é" * 128, "x" * 256, "a\0", "a\n", "\u2028", "\ud800"])
def test_other_record_ids_are_refused(text: str) -> None:
    assert not valid_record_id(text)


def test_an_origin_names_node_and_incarnation() -> None:
    origin = make_origin(NodeName("zurich"), NOON, bytes(5))
    assert ORIGIN_PATTERN.fullmatch(origin)
    assert re.fullmatch(r"zurich\.[0-9a-z]{17}", origin)
    assert origin != make_origin(NodeName("zurich"), NOON, b"\0\0\0\0\1")


def test_a_uuid7_is_one_and_sorts_by_time() -> None:
    made = uuid.UUID(uuid7(NOON, b"\xff" * 10))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == NOON
    assert uuid7(NOON, b"\xff" * 10) < uuid7(NOON + 1, bytes(10))
    assert len({uuid7(NOON, bytes(9) + bytes([n])) for n in range(100)}) == 100


def test_keys_sort_as_their_utf8_bytes_do() -> None:
    keys = [record_key("acme", "sessions", id_) for id_ in ("\uffff", "\U0001f600", "a", "é")]
    assert sorted(keys) == sorted(keys, key=lambda k: "\0".join(k).encode())
