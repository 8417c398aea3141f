"""Whatever bytes come from outside: they are understood, or refused by a problem; nothing else happens."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from konkordat.api import decoding
from konkordat.api.bodies import CODECS, Conditions, etags, make_operation
from konkordat.api.idempotency import Repeatable
from konkordat.api.problems import TABLE, Problem
from konkordat.api.stream_messages import decoder as stream_decoder
from konkordat.api.tokens import (
    EVERYTHING,
    Cursor,
    Filter,
    cursor_text,
    parse_cursor,
    parse_sync_token,
    sync_token,
)
from konkordat.kernel.frontier import token as frontier_token
from konkordat.kernel.ids import Origin
from konkordat.schedule.registry import COLLECTIONS
from support.effort import share

ID = "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True)
IDS = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=20)
FRONTIERS = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_-]{0,9}\.[0-9a-z]{1,9}", fullmatch=True).map(Origin),
    st.integers(1, 2**63 - 1),
    max_size=5,
)
FILTERS = st.builds(
    Filter,
    types=st.lists(NAMES, unique=True, max_size=3).map(sorted).map(tuple),
    event=st.just("") | IDS,
    venue=st.just("") | IDS,
    room=st.just("") | IDS,
    fields=st.lists(NAMES, unique=True, max_size=3).map(sorted).map(tuple),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(), max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


def outcome(action: Any, *arguments: Any) -> Any:
    """What it comes to, or the problem by which it is refused."""
    try:
        return action(*arguments)
    except Problem as problem:
        return problem


def understood(action: Any, *arguments: Any) -> Any:
    """What it comes to; None when it is refused by a problem that the table knows."""
    found = outcome(action, *arguments)
    if not isinstance(found, Problem):
        return found
    assert found.code in TABLE
    assert found.status < 500
    assert msgspec.json.encode(found.document("r"))
    return None


@share(0.25)
@given(FILTERS, FRONTIERS)
def test_a_sync_token_comes_back_as_it_was(filter_: Filter, frontier: dict[Origin, int]) -> None:
    text = sync_token(filter_, frontier_token(frontier))
    assert parse_sync_token(text) == (filter_, frontier)
    if filter_ == EVERYTHING:
        assert text == frontier_token(frontier)


@share(0.25)
@given(NAMES, st.just("") | IDS, IDS, FRONTIERS)
def test_a_cursor_comes_back_as_it_was(
    collection: str, parent: str, after: str, frontier: dict[Origin, int]
) -> None:
    cursor = Cursor(collection, parent, after, frontier_token(frontier))
    assert parse_cursor(cursor_text(cursor)) == cursor


@share(0.25)
@given(st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_.-]{0,60}", fullmatch=True))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    understood(parse_cursor, text)
    parsed = understood(parse_sync_token, text)
    if parsed is not None:  # there is one spelling of each
        assert sync_token(parsed[0], frontier_token(parsed[1])) == text


@share(0.25)
@given(FILTERS, FRONTIERS, st.data())
def test_a_token_with_a_changed_letter_is_another_or_refused(
    filter_: Filter, frontier: dict[Origin, int], data: st.DataObject
) -> None:
    text = sync_token(filter_, frontier_token(frontier))
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.sampled_from("AZaz09-_.")) + text[at + 1 :]
    parsed = understood(parse_sync_token, changed)
    assert changed == text or parsed != (filter_, frontier)


@share(0.25)
@given(st.binary(max_size=80) | ANYTHING.map(lambda v: json.dumps(v).encode()))
def test_any_message_of_a_stream_is_understood_or_refused(body: bytes) -> None:
    understood(decoding.decode, stream_decoder, body)


@share(0.25)
@given(
    st.sampled_from(sorted(CODECS)),
    st.sampled_from(["create", "upsert", "patch"]),
    st.binary(max_size=80) | ANYTHING.map(lambda v: json.dumps(v).encode()),
)
def test_any_body_is_an_operation_or_refused(type_: str, op: Any, body: bytes) -> None:
    understood(make_operation, op, type_, ID, body, Conditions())


@share(0.25)
@given(st.data())
def test_any_value_in_any_field_is_kept_or_pointed_at(data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(sorted(CODECS)))
    field = data.draw(st.sampled_from([f.name for f in COLLECTIONS[type_].fields]))
    body = json.dumps({field: data.draw(ANYTHING)}).encode()
    made = outcome(make_operation, "patch", type_, ID, body, Conditions())
    if isinstance(made, Problem):
        assert made.code in {"invalid", "too_deep"}
        assert all(error.pointer.startswith(f"/{field}") for error in made.errors)
    else:
        written = {*made.groups, *made.unit_patches, *made.cleared_maps}
        assert {str(group).partition(".")[0] for group in written} <= {field}


@share(0.25)
@given(st.text(max_size=60))
def test_any_if_match_is_a_list_of_tags_or_refused(text: str) -> None:
    understood(etags, text)


@share(0.25)
@given(
    st.text(st.characters(codec="ascii"), max_size=40), st.text(max_size=5), st.binary(max_size=9)
)
def test_every_key_gives_one_mark_and_one_id(key: str, part: str, body: bytes) -> None:
    one, same = (Repeatable("c", "acme", "POST /x?", key, body) for _ in range(2))
    assert (one.mark(part), one.id(part)) == (same.mark(part), same.id(part))
    other = Repeatable("c", "bolt", "POST /x?", key, body)
    assert other.mark(part).key_hash != one.mark(part).key_hash
    changed = Repeatable("c", "acme", "POST /x?", key, body + b"x")
    assert changed.mark(part).key_hash == one.mark(part).key_hash
    assert changed.mark(part).body_hash != one.mark(part).body_hash
