"""Digests add up: what a range holds decides its summary, never the order or the way it came."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel.change import Change
from konkordat.kernel.digest import EMPTY, EVERYTHING, KeyRange, Summary, fingerprint, summary_of
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import record_key
from konkordat.kernel.merge import lift
from konkordat.kernel.record import Record
from laws.kernel.strategies import record_from, stamped_changes
from support.effort import share

sums = st.integers(0, (1 << 128) - 1)
summaries = st.builds(Summary, st.integers(0, 1 << 40), sums, st.integers(0, 1 << 40), sums)


@share(0.1)
@given(summaries, summaries, summaries)
def test_adding_is_commutative_and_associative_and_taking_away_undoes_it(
    a: Summary, b: Summary, c: Summary
) -> None:
    assert a.plus(b) == b.plus(a)
    assert a.plus(b).plus(c) == a.plus(b.plus(c))
    assert a.plus(EMPTY) == a
    assert a.plus(b).minus(b) == a


@st.composite
def tables(draw: st.DrawFn) -> list[Record]:
    ids = draw(st.lists(st.uuids().map(str), unique=True, max_size=6))
    made = []
    for id_ in ids:
        key = record_key("acme", "sessions", id_)
        made.append(record_from(draw, draw(stamped_changes(max_size=3, key=key))))
    return made


@share(0.1)
@given(tables(), st.randoms(use_true_random=False))
def test_the_sum_over_a_table_does_not_depend_on_order(
    table: list[Record], dice: random.Random
) -> None:
    total = EMPTY
    for record in table:
        total = total.plus(summary_of(record))
    dice.shuffle(table)
    again = EMPTY
    for record in table:
        again = again.plus(summary_of(record))
    assert total == again
    assert total.live + total.dead == len(table)
    assert total.text() == again.text()


@share(0.1)
@given(tables(), st.data())
def test_replacing_a_record_is_taking_the_old_away_and_adding_the_new(
    table: list[Record], data: st.DataObject
) -> None:
    if not table:
        return
    total = EMPTY
    for record in table:
        total = total.plus(summary_of(record))
    at = data.draw(st.integers(0, len(table) - 1))
    new = record_from(data.draw, data.draw(stamped_changes(max_size=3, key=table[at].key)))
    kept_up = total.minus(summary_of(table[at])).plus(summary_of(new))
    anew = EMPTY
    for record in [*table[:at], new, *table[at + 1 :]]:
        anew = anew.plus(summary_of(record))
    assert kept_up == anew


@share(0.1)
@given(stamped_changes(max_size=1))
def test_the_living_and_the_dead_are_counted_apart(
    writes: list[tuple[Change, Stamp, str]],
) -> None:
    record = lift(*writes[0])
    one = summary_of(record)
    assert (one.live, one.dead) == ((1, 0) if record.alive else (0, 1))
    assert fingerprint(record) in (one.live_sum, one.dead_sum)
    assert summary_of(None) == EMPTY


@share(0.1)
@given(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3))
def test_two_ranges_that_meet_hold_each_key_once(low: str, cut: str, id_: str) -> None:
    key = record_key("acme", "sessions", id_)
    at = record_key("acme", "sessions", cut)
    left, right = KeyRange(EVERYTHING.low, at), KeyRange(at, None)
    assert (key in left) + (key in right) == 1
    assert key in EVERYTHING
    assert low not in EVERYTHING
