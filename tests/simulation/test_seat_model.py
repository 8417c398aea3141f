"""The exhaustive model of seats, at the size that CI affords.

`python -m konkordat.testing.model --states N` goes further.
"""

from __future__ import annotations

import msgspec
import pytest

from konkordat.testing.model import Found, explore
from konkordat.testing.seats.bugs import BUGS
from konkordat.testing.seats.scopes import (
    CUT,
    ELECTION,
    JOINED,
    LINE,
    RELEASE,
    REPLACED,
    SCOPES,
    TAKEOVER,
    TOUCHING,
    UNKNOWN,
)

# A third of a million in all. The first is the world of the proof plan: three nodes, two overlapping claims, four
# heartbeats in flight, a crash, every partition, a takeover, and a holder that comes back.
SHARES = {scope.name: 15_000 for scope in SCOPES.values()} | {
    TAKEOVER.name: 120_000,
    UNKNOWN.name: 30_000,
    LINE.name: 30_000,
    ELECTION.name: 40_000,
}

BUG_STATES_MAX = 250_000  # the slowest to show needs about 200 000


@pytest.fixture(scope="module")
def explored() -> dict[str, Found]:
    return {scope.name: explore(scope, SHARES[scope.name]) for scope in SCOPES.values()}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.row("S0-9")
@pytest.mark.row("S0-31")
def test_no_interleaving_ever_answers_what_was_answered_otherwise(
    explored: dict[str, Found],
) -> None:
    assert {name: (found.fault, found.way) for name, found in explored.items() if found.fault} == {}
    assert sum(found.states for found in explored.values()) >= 300_000


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_model_meets_what_it_is_about(explored: dict[str, Found]) -> None:
    seen = explored[TAKEOVER.name].seen
    for situation in (
        "an old and a new holder both deciding",
        "a decision void beyond its cut-off",
        "an acknowledgement waiting for a log",
        "after a crash",
        "after a confirmation",
        "a later term final",
    ):
        assert seen.get(situation, 0) > 100, situation
    assert explored[JOINED.name].seen["rosters disagree"] > 1_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize("scope", [CUT, REPLACED], ids=lambda scope: scope.name)
def test_a_world_is_explored_to_its_end(scope) -> None:
    found = explore(scope, 10_000)
    assert found.exhausted
    assert not found.fault


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("bug", sorted(BUGS))
def test_a_planted_bug_is_found(bug: str) -> None:
    found = explore(BUGS[bug], BUG_STATES_MAX)
    assert found.fault
    assert found.way


@pytest.mark.timeout(60)
def test_an_exploration_is_the_same_every_time() -> None:
    assert explore(TAKEOVER, 3_000) == explore(TAKEOVER, 3_000)


@pytest.mark.timeout(60)
def test_exchanging_the_names_of_the_claims_changes_no_world() -> None:
    x, y = TAKEOVER.claims
    other = msgspec.structs.replace(TAKEOVER, claims=(y, x))
    assert explore(other, 5_000).states == explore(TAKEOVER, 5_000).states


@pytest.mark.timeout(60)
@pytest.mark.parametrize("scope", [RELEASE, TOUCHING], ids=lambda scope: scope.name)
def test_both_claims_are_confirmed_where_nothing_speaks_against_it(scope) -> None:
    found = explore(scope, 5_000)
    assert not found.fault
    assert found.seen["after a confirmation"] > 0
