"""Merging is a join: whatever order, repetition or grouping changes arrive in, the record is the same (row S0-4)."""

from __future__ import annotations

from functools import reduce
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from konkordat.kernel.change import Change
from konkordat.kernel.digest import fingerprint
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Collection, Group, Origin
from konkordat.kernel.merge import apply, join, lift, next_life
from konkordat.kernel.policy import LWW, Policies, Register
from konkordat.kernel.record import Record
from laws.kernel.strategies import (
    LWW_ONLY,
    Write,
    records,
    related_records,
    reordered,
    repeated,
    stamped_changes,
)
from support.effort import full

pytestmark = pytest.mark.row("S0-4")

# Takes the general way through the policy table instead of the short one for `lww`.
THROUGH_TABLE = Policies({(Collection("sessions"), Group("state")): LWW})


def state(writes: list[Write], policies: Policies = LWW_ONLY) -> Record:
    """The record after these changes, in this order."""
    record: Record | None = None
    for change, stamp, actor in writes:
        record = apply(record, change, stamp, actor, policies)
    assert record is not None
    return record


def oracle(writes: list[Write]) -> tuple[int, dict[str, bytes]]:
    """The dumb twin: keep the longest life, sort its changes by stamp, let the last one win each group."""
    life = max(change.life for change, _, _ in writes)
    shown: dict[str, bytes] = {}
    for change, _, _ in sorted(writes, key=lambda w: w[1]):
        if change.life == life and life % 2:
            shown |= change.fields
    return life, shown


@full()
@given(reordered())
def test_any_order_of_changes_gives_the_same_record(both: tuple[list[Write], list[Write]]) -> None:
    assert state(both[0]) == state(both[1])


@full()
@given(repeated())
def test_a_change_that_arrives_again_changes_nothing(both: tuple[list[Write], list[Write]]) -> None:
    writes, again = both
    assert state(writes + again) == state(writes)


@given(stamped_changes())
def test_the_record_is_what_the_sorted_changes_say(writes: list[Write]) -> None:
    record = state(writes)
    assert (record.life, {g: r.value for g, r in record.fields.items()}) == oracle(writes)


@given(stamped_changes())
def test_applying_a_change_is_joining_the_record_that_consists_of_it(writes: list[Write]) -> None:
    lifted = [lift(change, stamp, actor) for change, stamp, actor in writes]
    assert state(writes) == reduce(lambda a, b: join(a, b, LWW_ONLY), lifted)


@given(stamped_changes())
def test_the_short_way_and_the_policy_table_agree(writes: list[Write]) -> None:
    assert state(writes) == state(writes, THROUGH_TABLE)


@full()
@given(related_records(2))
def test_joining_records_is_commutative(pair: tuple[Record, Record]) -> None:
    a, b = pair
    assert join(a, b, LWW_ONLY) == join(b, a, LWW_ONLY)


@full()
@given(related_records(3))
def test_joining_records_is_associative(three: tuple[Record, Record, Record]) -> None:
    a, b, c = three
    left = join(join(a, b, LWW_ONLY), c, LWW_ONLY)
    assert left == join(a, join(b, c, LWW_ONLY), LWW_ONLY)


@given(records())
def test_joining_a_record_with_itself_is_the_record(record: Record) -> None:
    assert join(record, record, LWW_ONLY) == record


@given(related_records(2))
def test_a_join_is_an_upper_bound_of_both(pair: tuple[Record, Record]) -> None:
    top = join(*pair, LWW_ONLY)
    assert join(top, pair[0], LWW_ONLY) == top
    assert join(top, pair[1], LWW_ONLY) == top


@given(stamped_changes(), st.data())
def test_states_exchanged_in_any_halves_end_equal(writes: list[Write], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(writes)))
    zurich, geneva = state(writes[:cut]), state(writes[cut - 1 :])
    assert join(zurich, geneva, LWW_ONLY) == state(writes)


@given(related_records(2))
def test_equal_fingerprints_mean_equal_records_and_the_other_way_round(
    pair: tuple[Record, Record],
) -> None:
    assert (fingerprint(pair[0]) == fingerprint(pair[1])) == (pair[0] == pair[1])


REGISTERS = [
    Register(Stamp(hlc, Origin(origin)), value)
    for hlc in (1, 2, 3)
    for origin in ("a.1", "b.1")
    for value in (b"1", b"2", b"3")
]


def test_last_writer_wins_is_a_join_even_where_a_peer_gives_one_stamp_two_values() -> None:
    """All there are: 5 832 of three registers."""
    for a, b in product(REGISTERS, repeat=2):
        assert LWW.join(a, b) == LWW.join(b, a)
        for c in REGISTERS:
            assert LWW.join(LWW.join(a, b), c) == LWW.join(a, LWW.join(b, c))
    assert all(LWW.join(a, a) == a for a in REGISTERS)


# Life -----------------------------------------------------------------------------------------


@given(stamped_changes())
def test_a_deleted_record_has_no_fields(writes: list[Write]) -> None:
    record = state(writes)
    assert record.alive or not record.fields


@given(stamped_changes())
def test_no_field_of_an_earlier_life_shows(writes: list[Write]) -> None:
    record = state(writes)
    of_this_life = {stamp for change, stamp, _ in writes if change.life == record.life}
    assert {r.stamp for r in record.fields.values()} <= of_this_life
    assert record.born == min(of_this_life)
    assert record.touched == max(of_this_life)


@given(records(), st.sampled_from([Stamp(1 << 40, Origin("late.1"))]))
def test_an_edit_of_the_life_that_was_deleted_does_not_bring_the_record_back(
    record: Record, late: Stamp
) -> None:
    assume(record.life > 1)
    edit = Change(record.key, record.life - 1, {Group("state"): b'"late"'})
    assert apply(record, edit, late, "", LWW_ONLY) == record


@given(records())
def test_a_record_made_anew_starts_empty(record: Record) -> None:
    stamp = Stamp(1 << 40, Origin("zurich.1"))
    gone = apply(record, Change(record.key, next_life(record, True)), stamp, "", LWW_ONLY)
    later = Stamp(stamp.hlc + 1, stamp.origin)
    anew = Change(record.key, next_life(gone, False), {Group("state"): b'"new"'})
    made = apply(gone, anew, later, "", LWW_ONLY)
    assert made.alive
    assert dict(made.fields) == {Group("state"): Register(later, b'"new"')}
    assert made.born == later


@given(st.none() | records(), st.booleans())
def test_a_local_write_always_takes_effect_on_the_life_it_saw(
    record: Record | None, deletes: bool
) -> None:
    life = next_life(record, deletes)
    assert life >= 1
    assert (life % 2 == 0) == deletes
    assert record is None or life >= record.life
