"""Bern and St. Gallen change the same schedule at the same time: the higher logical timestamp is applied (seed 000)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from konkordat.kernel import canonical
from konkordat.kernel.change import Change
from konkordat.kernel.digest import fingerprint
from konkordat.kernel.hlc import Stamp, hlc_at, observe, tick
from konkordat.kernel.ids import Group, NodeName, make_origin, record_key
from konkordat.kernel.merge import apply
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record

LWW = Policies()
NOON = 1_811_764_800_000
KEYNOTE = record_key("acme", "sessions", "0190aaaa-0000-7000-8000-000000000001")
BERN = make_origin(NodeName("bern"), NOON - 9_000, b"\x11" * 5)
ST_GALLEN = make_origin(NodeName("st-gallen"), NOON - 5_000, b"\x22" * 5)
SLOT, TITLE = Group("slot"), Group("title.de")

Write = tuple[Stamp, Change]


def wrote(stamp: Stamp, **groups: str) -> Write:
    fields = {Group(g.replace("_", ".")): canonical.encode(v) for g, v in groups.items()}
    return stamp, Change(KEYNOTE, 1, fields)


def delivered(writes: Sequence[Write]) -> Record:
    """The keynote at a node that these writes reached, in this order."""
    record: Record | None = None
    for stamp, change in writes:
        record = apply(record, change, stamp, f"node:{stamp.origin}", LWW)
    assert record is not None
    return record


MADE = wrote(Stamp(hlc_at(NOON - 1_000), BERN), slot="Saal 1, 10:00", title_de="Eröffnung")


@pytest.mark.row("S0-14")
@pytest.mark.row("S0-12")
def test_both_nodes_apply_the_update_with_the_higher_logical_timestamp() -> None:
    bern = wrote(Stamp(hlc_at(NOON, 0), BERN), slot="Saal 2, 10:00")
    st_gallen = wrote(Stamp(hlc_at(NOON, 1), ST_GALLEN), slot="Saal 3, 10:00")

    at_bern = delivered([MADE, bern, st_gallen])
    at_st_gallen = delivered([MADE, st_gallen, bern])

    assert at_bern == at_st_gallen
    assert at_bern.fields[SLOT].value == canonical.encode("Saal 3, 10:00")
    assert at_bern.fields[SLOT].stamp == st_gallen[0]
    assert fingerprint(at_bern) == fingerprint(at_st_gallen)


@pytest.mark.row("S0-14")
@pytest.mark.row("S0-13")
def test_the_same_millisecond_and_counter_is_decided_by_the_node_in_both_delivery_orders() -> None:
    bern = wrote(Stamp(hlc_at(NOON, 7), BERN), slot="Saal 2, 10:00")
    st_gallen = wrote(Stamp(hlc_at(NOON, 7), ST_GALLEN), slot="Saal 3, 10:00")

    orders = ([MADE, bern, st_gallen], [MADE, st_gallen, bern], [st_gallen, MADE, bern, MADE])
    states = [delivered(order) for order in orders]

    assert states[0] == states[1] == states[2]
    assert states[0].fields[SLOT].value == canonical.encode("Saal 3, 10:00")


@pytest.mark.row("S0-11")
def test_edits_of_different_fields_at_the_same_time_are_both_kept() -> None:
    bern = wrote(Stamp(hlc_at(NOON), BERN), slot="Saal 2, 10:00")
    st_gallen = wrote(Stamp(hlc_at(NOON), ST_GALLEN), title_de="Begrüssung")

    at_bern, at_st_gallen = delivered([MADE, bern, st_gallen]), delivered([MADE, st_gallen, bern])

    assert at_bern == at_st_gallen
    assert at_bern.fields[SLOT].value == canonical.encode("Saal 2, 10:00")
    assert at_bern.fields[TITLE].value == canonical.encode("Begrüssung")


@pytest.mark.row("S0-12")
def test_a_node_with_a_slow_wall_clock_still_wins_with_what_it_writes_after_having_seen() -> None:
    seen = Stamp(hlc_at(NOON), BERN)
    slow_wall_clock = NOON - 400
    answer = Stamp(tick(observe(hlc_at(slow_wall_clock), seen.hlc), slow_wall_clock), ST_GALLEN)

    state = delivered([MADE, wrote(answer, slot="Saal 3"), wrote(seen, slot="Saal 2")])

    assert state.fields[SLOT].value == canonical.encode("Saal 3")


@pytest.mark.row("S0-12")
def test_a_remote_change_keeps_the_stamp_of_its_origin() -> None:
    remote = wrote(Stamp(hlc_at(NOON - 60_000), BERN), title_de="Eröffnung")
    state = delivered([wrote(Stamp(hlc_at(NOON), ST_GALLEN), slot="Saal 3"), remote])
    assert state.fields[TITLE].stamp == remote[0]
    assert state.born == remote[0]
    assert state.touched.origin == ST_GALLEN


def test_room_and_time_never_mix() -> None:
    bern = wrote(Stamp(hlc_at(NOON), BERN), slot="Saal 2, 10:00")
    st_gallen = wrote(Stamp(hlc_at(NOON), ST_GALLEN), slot="Saal 1, 14:00")
    chosen = {canonical.encode("Saal 2, 10:00"), canonical.encode("Saal 1, 14:00")}
    assert delivered([bern, st_gallen]).fields[SLOT].value in chosen
