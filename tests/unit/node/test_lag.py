"""How far behind a peer is, in time."""

from __future__ import annotations

from konkordat.kernel.ids import Origin
from konkordat.node.lag import REMEMBERED_MAX, CommitTimes, lag_ms

ZURICH, GENEVA = Origin("zurich.0"), Origin("geneva.0")


def times() -> CommitTimes:
    made = CommitTimes()
    made.start({ZURICH: 10}, 1_000)
    made.committed({ZURICH: 12}, 2_000)
    made.committed({ZURICH: 13, GENEVA: 1}, 3_000)
    return made


def test_who_has_everything_lacks_nothing() -> None:
    assert times().oldest_missing_ms({ZURICH: 13, GENEVA: 1}) is None
    assert times().oldest_missing_ms({ZURICH: 99, GENEVA: 1}) is None


def test_the_oldest_batch_that_is_lacking_counts() -> None:
    assert times().oldest_missing_ms({ZURICH: 12, GENEVA: 1}) == 3_000
    assert times().oldest_missing_ms({ZURICH: 11, GENEVA: 1}) == 2_000
    assert times().oldest_missing_ms({ZURICH: 10}) == 2_000
    assert times().oldest_missing_ms({ZURICH: 13}) == 3_000


def test_what_was_there_before_the_start_is_as_old_as_the_start() -> None:
    assert times().oldest_missing_ms({ZURICH: 3, GENEVA: 1}) == 1_000
    assert times().oldest_missing_ms({}) == 1_000


def test_memory_is_bounded_and_errs_towards_too_young() -> None:
    made = CommitTimes()
    made.start({}, 0)
    for n in range(1, REMEMBERED_MAX + 101):
        made.committed({ZURICH: n}, n)
    assert made.oldest_missing_ms({ZURICH: 0}) == 101
    assert made.oldest_missing_ms({ZURICH: 2_000}) == 2_001


def test_of_a_living_peer_the_lag_is_as_of_its_last_word() -> None:
    assert lag_ms(3_000, alive=True, heard_ms=2_900, now_ms=5_000) == 0
    assert lag_ms(3_000, alive=True, heard_ms=3_200, now_ms=5_000) == 200


def test_of_a_lost_peer_it_grows() -> None:
    assert lag_ms(3_000, alive=False, heard_ms=2_900, now_ms=5_000) == 2_000
    assert lag_ms(None, alive=False, heard_ms=0, now_ms=5_000) == 0
