"""Frontiers form a lattice, and tokens carry them exactly."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from konkordat.kernel.frontier import (
    ORIGINS_MAX,
    SEQ_MAX,
    TOKEN_CHARS_MAX,
    BadToken,
    covers,
    distance,
    joined,
    missing,
    parse_token,
    token,
)
from konkordat.kernel.ids import ORIGIN_PATTERN, Origin
from laws.kernel.strategies import origins
from support.effort import share

Front = Mapping[Origin, int]
small = st.dictionaries(origins, st.integers(1, 5))
any_origins = st.from_regex(ORIGIN_PATTERN, fullmatch=True).map(Origin)
fronts = st.dictionaries(any_origins, st.integers(1, SEQ_MAX), max_size=20)


@share(0.1)
@given(small, small, small)
def test_joining_is_commutative_associative_and_idempotent(a: Front, b: Front, c: Front) -> None:
    assert joined(a, b) == joined(b, a)
    assert joined(joined(a, b), c) == joined(a, joined(b, c))
    assert joined(a, a) == a


@share(0.1)
@given(small, small, small)
def test_the_join_is_the_least_that_covers_both(a: Front, b: Front, other: Front) -> None:
    top = joined(a, b)
    assert covers(top, a)
    assert covers(top, b)
    assert covers(other, top) == (covers(other, a) and covers(other, b))


@share(0.1)
@given(small, small)
def test_nothing_is_missing_exactly_where_we_cover_them(a: Front, b: Front) -> None:
    assert covers(a, b) == (not missing(a, b)) == (distance(a, b) == 0)
    assert distance(a, joined(a, b)) == distance(a, b)


@share(0.1)
@given(small, small)
def test_taking_what_is_missing_makes_the_join(a: Front, b: Front) -> None:
    taken = {origin: upto for origin, (_, upto) in missing(a, b).items()}
    assert {**a, **taken} == joined(a, b)


@share(0.1)
@given(fronts)
@example({})
def test_a_token_comes_back_as_its_frontier(front: Front) -> None:
    assert parse_token(token(front)) == front


@share(0.1)
@given(fronts)
def test_equal_frontiers_have_equal_tokens(front: Front) -> None:
    turned = dict(reversed(front.items()))
    assert token(turned) == token({**front, Origin("bern.0"): 0}) == token(front)


def test_the_largest_frontier_makes_a_token_that_is_taken_back() -> None:
    front = {Origin(f"{'n' * 40}.{number:026d}"): SEQ_MAX for number in range(ORIGINS_MAX)}
    assert len(token(front)) <= TOKEN_CHARS_MAX
    assert parse_token(token(front)) == front


@share(0.1)
@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda b: b.decode("latin-1")))
@example("A" * (TOKEN_CHARS_MAX + 1))
@example("kA=")
@example("k A")
@example("3////w")  # an array of four billion
@example("kZKhYQE")  # the origin "a", without an incarnation
@example("\ud800")
def test_a_hostile_token_is_a_frontier_or_a_bad_token(text: str) -> None:
    try:
        front = parse_token(text)
    except BadToken:
        return
    assert token(front) == text


@share(0.1)
@given(fronts, st.data())
def test_a_token_with_one_character_changed_is_refused_or_names_another_frontier(
    front: Front, data: st.DataObject
) -> None:
    text = token(front)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_ =+/").filter(lambda c: c != text[at]))
    try:
        other = parse_token(text[:at] + letter + text[at + 1 :])
    except BadToken:
        return
    assert other != front


@pytest.mark.parametrize("pairs", [[("zurich.1", 0)], [("zurich.1", -1)], [("Zurich.1", 1)]])
def test_a_token_with_impossible_content_is_refused(pairs: list[tuple[str, int]]) -> None:
    import base64

    import msgspec

    text = base64.urlsafe_b64encode(msgspec.msgpack.encode(pairs)).rstrip(b"=").decode()
    with pytest.raises(BadToken):
        parse_token(text)
