"""The highest rate that a thing keeps up with, found by trying."""

from __future__ import annotations

import asyncio

import pytest

from konkordat.bench.search import HALVINGS, RATE_MIN, STEP, highest_rate


def found(limit: float, start: float = 500.0) -> tuple[float, list[float]]:
    """The rate found where everything up to `limit` is kept up with, and the rates that were tried."""
    tried: list[float] = []

    async def attempt(rate: float) -> float:
        tried.append(rate)
        return rate

    async def search() -> float:
        rate, _ = await highest_rate(start, start, attempt, lambda _, done: done <= limit)
        return rate

    return asyncio.run(search()), tried


@pytest.mark.parametrize("limit", [90.0, 230.0, 499.0, 500.0, 1_900.0])
def test_what_is_found_is_kept_up_with_and_near_the_limit(limit: float) -> None:
    rate, _ = found(limit)
    assert rate <= limit < rate * (1 + (STEP - 1) / 2**HALVINGS) * 1.01


def test_the_first_rate_is_not_tried_again() -> None:
    _, tried = found(300.0)
    assert 500.0 not in tried


def test_where_nothing_is_kept_up_with_the_rate_is_zero_and_the_search_ends() -> None:
    rate, tried = found(0.0)
    assert rate == 0.0
    assert min(tried) < RATE_MIN
    assert len(tried) < 12
