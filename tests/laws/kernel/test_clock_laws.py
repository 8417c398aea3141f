"""Clocks and stamps (rows S0-12, S0-13)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel.hlc import (
    AHEAD_MS_MAX,
    COUNTER_BITS,
    HLC_MAX,
    Hlc,
    Stamp,
    hlc_at,
    ms_of,
    observe,
    tick,
    too_far_ahead,
)
from konkordat.kernel.ids import NodeName, make_origin, node_of, valid_name
from laws.kernel.strategies import NODES, stamps
from support.effort import share

pytestmark = [pytest.mark.row("S0-12"), pytest.mark.row("S0-13")]

times = st.integers(0, (1 << 45) - 1)
clocks = st.integers(0, HLC_MAX - 2).map(Hlc)


@share(0.25)
@given(clocks, times)
def test_the_next_stamp_is_later_than_the_last_and_not_behind_the_wall_clock(
    last: Hlc, now_ms: int
) -> None:
    following = tick(last, now_ms)
    assert following > last
    assert ms_of(following) >= now_ms


@share(0.25)
@given(st.lists(times, min_size=2, max_size=30))
def test_stamps_of_one_node_strictly_grow_whatever_its_wall_clock_does(walls: list[int]) -> None:
    given_: list[Hlc] = [Hlc(0)]
    for now_ms in walls:
        given_.append(tick(given_[-1], now_ms))
    assert all(a < b for a, b in itertools.pairwise(given_))


@share(0.25)
@given(times)
def test_a_full_counter_carries_into_the_milliseconds(now_ms: int) -> None:
    full = hlc_at(now_ms, (1 << COUNTER_BITS) - 1)
    assert tick(full, now_ms) == hlc_at(now_ms + 1, 0)


@share(0.25)
@given(times)
def test_a_clock_runs_ahead_of_a_standing_wall_clock_by_one_ms_per_65536_stamps(
    now_ms: int,
) -> None:
    clock = hlc_at(now_ms)
    stamps_given = 3 << COUNTER_BITS
    assert ms_of(Hlc(clock + stamps_given)) - now_ms == 3


@share(0.25)
@given(clocks, clocks, times)
def test_what_is_written_after_seeing_a_stamp_is_later_than_it(
    last: Hlc, seen: Hlc, now_ms: int
) -> None:
    moved = observe(last, seen)
    assert moved >= last
    assert tick(moved, now_ms) > seen


@share(0.25)
@given(clocks, clocks)
def test_observing_twice_or_in_another_order_is_the_same(last: Hlc, seen: Hlc) -> None:
    assert observe(observe(last, seen), seen) == observe(last, seen) == observe(seen, last)


@share(0.25)
@given(times, st.integers(-2 * AHEAD_MS_MAX, 2 * AHEAD_MS_MAX), st.integers(0, 9))
def test_only_a_stamp_beyond_the_bound_is_too_far_ahead(
    now_ms: int, ahead: int, count: int
) -> None:
    seen = hlc_at(max(0, now_ms + ahead), count)
    assert too_far_ahead(seen, now_ms) == (ahead > AHEAD_MS_MAX)


@share(0.25)
@given(stamps, stamps, stamps)
def test_stamps_are_totally_ordered(a: Stamp, b: Stamp, c: Stamp) -> None:
    assert (a < b) + (a == b) + (a > b) == 1
    assert not (a <= b <= c) or a <= c


@share(0.25)
@given(st.sampled_from(NODES), st.sampled_from(NODES), times, times)
def test_equal_clocks_at_two_nodes_are_ordered_by_origin(
    one: str, other: str, minted: int, clock: int
) -> None:
    first = make_origin(NodeName(one), minted, b"\x01" * 5)
    second = make_origin(NodeName(other), minted, b"\x02" * 5)
    assert first != second
    assert Stamp(hlc_at(clock), first) != Stamp(hlc_at(clock), second)


@share(0.25)
@given(st.sampled_from(NODES), times, times, st.binary(min_size=5, max_size=5))
def test_incarnations_of_a_node_sort_by_age_and_keep_its_name(
    node: str, minted: int, later: int, entropy: bytes
) -> None:
    assert valid_name(node)
    older, newer = sorted((minted, later))
    first = make_origin(NodeName(node), older, entropy)
    second = make_origin(NodeName(node), newer, entropy)
    assert node_of(first) == node
    assert (first < second) == (older < newer)
