"""Every judge is shown a true history, which it must pass, and spoilt ones, in which it must find what is wrong.

A judge that never finds anything looks like proof. These tests are what tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.digest import Summary
from konkordat.kernel.hlc import Hlc, Stamp, hlc_at, ms_of
from konkordat.kernel.ids import Origin, Tenant
from konkordat.testing.checkers import judge
from konkordat.testing.domain import TrialDomain, booking, item
from konkordat.testing.history import (
    Agreed,
    DiskChanged,
    DiskFailed,
    FinalBatch,
    Gauged,
    GaveUp,
    Happening,
    History,
    Read,
    Sight,
    Started,
    Stopped,
    Told,
)
from simulation.stories import (
    ALL,
    BERN,
    BOTH,
    FIRST,
    GONE,
    OF_BERN,
    OF_ZURICH,
    SECOND,
    ZURICH,
    A,
    asked,
    at,
    batch,
    change,
    final,
    final_of,
    is_final,
    is_told,
    is_wrote,
    put_after,
    read,
    replaced,
    seen,
    told,
    true_history,
    us,
    value,
    verdict,
    without,
    wrote,
)


def test_a_true_history_passes_every_judge() -> None:
    assert judge(true_history(), TrialDomain()) == []


# I1 -------------------------------------------------------------------------------------------------


def test_equal_frontiers_with_unequal_digests_are_found() -> None:
    history = change(true_history(), is_wrote("zurich", 2.2), root=Summary(1, 7))
    assert verdict(history) == {"I1"}


def test_a_record_that_is_not_what_the_log_makes_is_found() -> None:
    history = true_history()
    zurich = final_of(history, "zurich")
    wrong = {A: replaced(zurich.records[A], actor="somebody else")}
    assert verdict(change(history, is_final("zurich"), records=wrong)) == {"I1"}


def test_a_record_that_is_missing_is_found() -> None:
    assert "I1" in verdict(change(true_history(), is_final("zurich"), records={}))


def test_a_complaint_of_the_store_is_passed_on() -> None:
    history = change(true_history(), is_final("bern"), complaints=("a hash is wrong",))
    assert verdict(history) == {"I1"}


def test_a_claim_that_nobody_made_is_found() -> None:
    claim_id = ClaimId(booking("b", "tenant-0"), "slot")
    room = Resource(Tenant("tenant-0"), "room-0")
    claim = Claim(claim_id, room, 0, 1, 1, Stamp(at(1), OF_ZURICH))
    claims = {claim_id: DecidedClaim(claim, ClaimState.CONFIRMED)}
    assert verdict(change(true_history(), is_final("bern"), claims=claims)) == {"I1"}


# I2 -------------------------------------------------------------------------------------------------


def test_an_acknowledged_write_that_is_nowhere_is_found() -> None:
    history = true_history()[:-2]
    history += [final(ZURICH, SECOND, GONE), final(BERN, SECOND, GONE)]
    assert "I2" in verdict(history)


def test_an_acknowledged_write_that_one_node_lacks_is_found() -> None:
    history = [*true_history()[:-2], final(ZURICH, FIRST, SECOND, GONE), final(BERN, SECOND, GONE)]
    assert "I2" in verdict(history)


def test_a_write_that_only_a_lost_disk_had_is_excused() -> None:
    lost = DiskChanged(us(3.6), ZURICH, "lost", {}, {OF_BERN: 2})
    history = put_after(true_history()[:-2], is_wrote("zurich", 3.3), lost)
    history += [final(ZURICH, SECOND, GONE), final(BERN, SECOND, GONE)]
    assert "I2" not in verdict(history)


def test_a_write_that_another_disk_had_when_one_was_lost_is_not_excused() -> None:
    lost = DiskChanged(us(3.6), ZURICH, "lost", {}, ALL)
    history = put_after(true_history()[:-2], is_wrote("zurich", 3.3), lost)
    history += [final(ZURICH, SECOND, GONE), final(BERN, SECOND, GONE)]
    assert "I2" in verdict(history)


def test_a_write_that_nobody_asked_for_is_found() -> None:
    ghost = batch(Origin("geneva.1"), 1, 2, "nobody/1", key=item("ghost", "tenant-0"))
    nodes = (final(n, FIRST, SECOND, GONE, ghost) for n in (ZURICH, BERN))
    assert verdict([*true_history()[:-2], *nodes]) == {"I2"}


def test_a_losing_value_that_is_missing_from_the_history_is_found() -> None:
    history = true_history()
    kept = {A: tuple(s for s in final_of(history, "bern").history[A] if s.hlc != at(1))}
    assert "I2" in verdict(change(history, is_final("bern"), history=kept))


# I4 -------------------------------------------------------------------------------------------------


def rows(history: History, spoil: Callable[[list[FinalBatch]], None]) -> History:
    """The history with Zurich's log spoilt."""
    batches = list(final_of(history, "zurich").batches)
    spoil(batches)
    return change(history, is_final("zurich"), batches=tuple(batches))


def test_a_log_row_that_was_altered_is_found() -> None:
    def spoil(batches: list[FinalBatch]) -> None:
        batches[0] = replaced(batches[0], body=batches[0].body.replace(b"two", b"twO"))

    assert "I4" in verdict(rows(true_history(), spoil))


def test_a_log_row_that_was_altered_along_with_its_hash_is_found() -> None:
    forged = batch(OF_BERN, 1, 2, "c/2", "forged")

    def spoil(batches: list[FinalBatch]) -> None:
        batches[0] = replaced(batches[0], body=forged.body, hash=forged.hash)

    assert "I4" in verdict(rows(true_history(), spoil))


def test_a_log_row_that_was_dropped_is_found() -> None:
    assert "I4" in verdict(rows(true_history(), lambda batches: batches.pop(0) and None))


def test_log_rows_that_were_swapped_are_found() -> None:
    def spoil(batches: list[FinalBatch]) -> None:
        batches[0], batches[1] = batches[1], batches[0]

    assert "I4" in verdict(rows(true_history(), spoil))


def test_a_log_that_was_cut_short_is_found() -> None:
    assert "I4" in verdict(rows(true_history(), lambda batches: batches.pop() and None))


def test_a_last_row_that_was_replaced_is_found_by_comparing_nodes() -> None:
    """No later hash vouches for the end of a chain: only the other copies do."""
    other = batch(OF_BERN, 2, 3, "c/3", life=2, previous=SECOND.hash, request=b"q" * 16)
    history = [*true_history()[:-1], final(BERN, FIRST, SECOND, other)]
    assert "I4" in verdict(history)


def test_a_change_that_was_applied_twice_is_found() -> None:
    history = true_history()
    stamps = final_of(history, "bern").history[A]
    twice = {A: (*stamps, stamps[0])}
    assert verdict(change(history, is_final("bern"), history=twice)) == {"I4"}


# I5 -------------------------------------------------------------------------------------------------


def test_a_read_that_is_older_than_the_clients_own_write_is_found() -> None:
    stale = seen(A, Stamp(at(1), OF_ZURICH), text="one")
    history = change(true_history(), lambda h: isinstance(h, Read), sight=stale)
    assert verdict(history) == {"I5"}


def test_a_read_that_goes_backwards_is_found() -> None:
    stale = read("d", 2.7, ZURICH, seen(A, Stamp(at(1), OF_ZURICH), text="one"), BOTH, BOTH)
    fresh = read("d", 2.6, ZURICH, seen(A, Stamp(at(2), OF_BERN), text="two"), {}, BOTH)
    history = put_after(true_history(), is_wrote("zurich", 2.2), stale)
    assert verdict(put_after(history, is_wrote("zurich", 2.2), fresh)) == {"I5"}


def test_an_answer_from_a_node_that_is_behind_the_token_is_found() -> None:
    history = change(true_history(), lambda h: isinstance(h, Read), frontier={OF_ZURICH: 1})
    assert verdict(history) == {"I5"}


def test_a_session_that_was_begun_anew_may_read_older_things() -> None:
    stale = read("c", 3.6, ZURICH, seen(A, Stamp(at(2), OF_BERN), text="two"), {}, BOTH)
    assert verdict(put_after(true_history(), is_wrote("zurich", 3.3), stale)) == set()


# I6 -------------------------------------------------------------------------------------------------


def test_a_value_of_another_tenant_is_found() -> None:
    sight = Sight(A, 1, {"title": Stamp(at(2), OF_BERN)}, {"title": value("tenant-1", "secret")})
    history = change(true_history(), lambda h: isinstance(h, Read), sight=sight)
    assert verdict(history) == {"I6"}


def test_a_key_of_another_tenant_is_found() -> None:
    foreign = Sight(item("a", "tenant-1"), 1)
    refused = Told(us(3.7), "c", "c/4", ZURICH, "refused:conflict", None, (foreign,))
    history = put_after(true_history(), is_wrote("zurich", 3.3), refused)
    assert verdict(history) == {"I6"}


# I7 -------------------------------------------------------------------------------------------------


def repeated(second_knew: bool, key: Any = A) -> History:
    """Bern carries out the request of c/1 once more, knowing of the first effect or not."""
    again = batch(OF_BERN, 1, 2, "c/2", "one", key=key, request=b"r" * 16)
    had = [FIRST] if second_knew else []
    commits: list[Happening] = [wrote(BERN, 2, [again], had)]
    if second_knew:
        commits.insert(0, wrote(BERN, 1.5, [FIRST]))
    return [
        Started(us(0), ZURICH, OF_ZURICH, Hlc(0), {}, final(ZURICH).root),
        Started(us(0), BERN, OF_BERN, Hlc(0), {}, final(BERN).root),
        asked("c", 1, "c/1", request="c/order-1"),
        wrote(ZURICH, 1, [FIRST]),
        asked("c", 2, "c/2", BERN, key=key, request="c/order-1"),
        *commits,
        final(ZURICH, FIRST, again),
        final(BERN, FIRST, again),
    ]


def test_a_second_effect_by_a_node_that_had_the_first_is_found() -> None:
    assert verdict(repeated(second_knew=True)) == {"I7"}


def test_two_effects_of_nodes_that_did_not_know_of_each_other_pass_if_they_are_the_same() -> None:
    assert verdict(repeated(second_knew=False)) == set()


def test_two_effects_of_one_request_on_different_records_are_found() -> None:
    assert verdict(repeated(second_knew=False, key=item("b", "tenant-0"))) == {"I7"}


def test_two_clients_requests_that_are_taken_for_one_are_found() -> None:
    history = repeated(second_knew=False)
    history[4] = asked("d", 2, "c/2", BERN, request="d/order-1")
    assert verdict(history) == {"I7"}


# I8 -------------------------------------------------------------------------------------------------


def test_a_deleted_record_that_is_seen_again_is_found() -> None:
    alive = seen(A, Stamp(at(2), OF_BERN), text="two")
    history = change(
        true_history(),
        lambda h: isinstance(h, Read) and h.at_us == us(3.5),
        sight=alive,
    )
    assert "I8" in verdict(history)


def test_a_node_on_which_a_record_goes_back_to_an_earlier_life_is_found() -> None:
    history = change(true_history(), is_wrote("zurich", 2.2), lives={A: 3})
    assert verdict(history) == {"I8"}


def test_a_deleted_record_that_is_there_in_the_end_is_found() -> None:
    history = true_history()
    back = final(ZURICH, FIRST, SECOND).records
    assert "I8" in verdict(change(history, is_final("zurich"), records=back))


# I9 -------------------------------------------------------------------------------------------------


def test_a_clock_that_was_not_kept_over_a_restart_is_found() -> None:
    stopped = Stopped(us(2.3), ZURICH, "killed")
    again = Started(us(2.4), ZURICH, OF_ZURICH, Hlc(0), BOTH, final(ZURICH, FIRST, SECOND).root)
    history = put_after(true_history(), is_wrote("zurich", 2.2), again)
    history = put_after(history, is_wrote("zurich", 2.2), stopped)
    assert "I9" in verdict(history)


def test_a_clock_that_a_refused_batch_moved_is_found() -> None:
    history = change(true_history(), is_wrote("bern", 3), hlc=at(3_600))
    assert "I9" in verdict(history)


def test_a_stamp_from_the_future_that_was_taken_is_found() -> None:
    history = change(true_history(), is_wrote("zurich", 2.2), now_ms=ms_of(at(2)) - 501)
    assert verdict(history) == {"I9"}


def test_a_stamp_that_does_not_come_after_what_its_node_has_seen_is_found() -> None:
    late = batch(OF_BERN, 1, 0, "c/2", "two")
    had = wrote(BERN, 1.5, [FIRST])
    history: History = [
        Started(us(0), BERN, OF_BERN, Hlc(0), {}, final(BERN).root),
        had,
        replaced(wrote(BERN, 2, [late], [FIRST]), hlc=had.hlc),
    ]
    assert verdict(history) == {"I9"}


def test_a_stamp_far_ahead_of_its_own_nodes_clock_is_found() -> None:
    ahead = batch(OF_BERN, 1, 60, "c/2", "two")
    history: History = [
        Started(us(0), BERN, OF_BERN, Hlc(0), {}, final(BERN).root),
        replaced(wrote(BERN, 2, [ahead]), hlc=hlc_at(ms_of(at(60)))),
    ]
    assert verdict(history) == {"I9"}


# I10, I11, I12 --------------------------------------------------------------------------------------


def test_no_agreement_in_time_is_found() -> None:
    history = [
        GaveUp(h.at_us, "zurich lacks 7") if isinstance(h, Agreed) else h for h in true_history()
    ]
    assert verdict(history) == {"I10"}


def test_a_run_in_which_nobody_looked_for_agreement_is_found() -> None:
    history = without(true_history(), lambda h: isinstance(h, Agreed))
    assert verdict(history) == {"I10"}


def test_a_queue_over_its_bound_is_found() -> None:
    assert verdict([*true_history(), Gauged(BERN, "inbox", 11, 10)]) == {"I10"}


def test_a_node_that_goes_on_after_its_disk_failed_is_found() -> None:
    failed = DiskFailed(us(2.15), ZURICH, "after error")
    history = put_after(true_history(), is_told("c/2"), failed)
    assert verdict(history) == {"I11"}


def test_a_node_that_stops_when_its_disk_fails_passes() -> None:
    history = [*true_history(), DiskFailed(us(6), ZURICH, "x"), Stopped(us(6), ZURICH, "y")]
    assert verdict(history) == set()


def test_a_node_that_does_not_stop_when_its_disk_fails_is_found() -> None:
    assert verdict([*true_history(), DiskFailed(us(6), ZURICH, "x")]) == {"I11"}


def test_a_node_that_breaks_is_found() -> None:
    assert verdict([*true_history(), Stopped(us(6), ZURICH, "KeyError: 'x'", True)]) == {"I11"}


def test_an_origin_that_is_held_back_for_no_fault_of_a_stranger_is_found() -> None:
    held = {OF_BERN: "batch 3 breaks the hash chain"}
    history = change(true_history(), is_final("zurich"), quarantined=held)
    assert verdict(history) == {"I12"}
    forged = asked("mallory", 1, "forged", body=OF_BERN, kind="forged")
    assert verdict([forged, *history]) == set()


def test_an_origin_that_one_node_takes_and_another_refuses_is_found() -> None:
    odd = batch(Origin("mallory.1"), 1, 2, "mallory/1", key=item("odd", "tenant-0"))
    history = true_history()[:-2]
    history.insert(0, asked("mallory", 2, "mallory/1", key=item("odd", "tenant-0"), kind="poison"))
    history += [final(ZURICH, FIRST, SECOND, GONE, odd), final(BERN, FIRST, SECOND, GONE)]
    assert verdict(history) == {"I12"}


@pytest.mark.parametrize("kind", ["rehearse"])
def test_a_rehearsal_need_leave_nothing(kind: str) -> None:
    ghost = batch(OF_ZURICH, 2, 4, "c/9", key=item("z", "tenant-0"), previous=FIRST.hash)
    history = true_history()
    history.insert(0, asked("c", 4, "c/9", key=item("z", "tenant-0"), kind=kind))
    history.insert(1, told("c", 4.1, "c/9", ghost))
    assert verdict(history) == set()
