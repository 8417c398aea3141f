"""Decisions that arrive before the wish that they answer: logs of different nodes come in any order."""

from __future__ import annotations

from functools import partial

import pytest

from konkordat.kernel.claim import ClaimState, Resource
from konkordat.kernel.refusal import Refusal
from konkordat.store.port import Span
from konkordat.testing.domain import Book, Remove, TrialDomain, Wish, booking, capacity_of
from konkordat.testing.workbench import Workbench

ROOM = "room/1"
NAMES = ("bern", "geneva", "zurich")


@pytest.fixture
def table() -> Workbench:
    """Three members; zurich is at home and holds the seat."""
    table = Workbench(*NAMES, domain=partial(TrialDomain, "zurich"), members=NAMES)
    table.settle(500)
    table.write("zurich", capacity_of(ROOM, 1))
    table.settle(500)
    return table


def book(id: str) -> Book:
    return Book(booking(id), ROOM, 0, 10, insists=True)


def states(table: Workbench, name: str, id: str) -> list[ClaimState]:
    claims = table[name].store.claims_of([booking(id)]).get(booking(id), [])
    return [decided.state for decided in claims]


def without_geneva(table: Workbench, passed_ms: int) -> None:
    """Let time pass in which bern hears all that zurich says, and nothing of what geneva wrote."""
    for _ in range(passed_ms // 50):
        table.tick()
        for _ in range(1_000):
            table.lose("geneva", "bern")
            table.lose("bern", "geneva")
            table.lose("zurich", "bern", "Page")  # it would relay
            if not table.flying:
                break
            table.deliver(table.flying.pop(0))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_place_given_to_a_wish_that_is_not_here_yet_is_not_given_again(
    table: Workbench, restarted: bool
) -> None:
    table.write("geneva", book("early"))
    without_geneva(table, 1_000)
    assert states(table, "zurich", "early") == [ClaimState.CONFIRMED]
    assert table["bern"].record(booking("early")) is None, "the wish is still on its way"
    if restarted:
        table["bern"].start()
    table.write("bern", book("late"))
    table.settle(500)
    assert states(table, "bern", "early") == [ClaimState.CONFIRMED]
    for name in NAMES:
        assert states(table, name, "late") == [ClaimState.DISPLACED], name


def test_who_takes_over_knows_places_whose_wish_never_came(table: Workbench) -> None:
    """After a restart it did not, and could have given them again."""
    table.write("geneva", book("early"))
    without_geneva(table, 1_000)
    table["bern"].start()
    without_geneva(table, 200)
    granted = table["bern"].store.claims_on([Span(Resource(booking("early").tenant, ROOM), 0, 10)])
    assert [(d.claim.id.owner, d.state) for d in granted] == [
        (booking("early"), ClaimState.CONFIRMED)
    ]
    refused = table.write("bern", Book(booking("late"), ROOM, 0, 10))
    assert isinstance(refused, Refusal)


def test_what_became_of_a_wish_is_told_when_it_comes_after_its_end(table: Workbench) -> None:
    """What was granted and let go before its record came stayed tentative for ever at that node."""
    table.write("geneva", book("early"))
    without_geneva(table, 1_000)
    instead = Book(booking("second"), ROOM, 0, 10, insists=True, wish=Wish(replaces=("early",)))
    table.write("geneva", instead)
    without_geneva(table, 1_000)
    assert states(table, "zurich", "early") == [ClaimState.RELEASED]
    table.settle(500)
    for name in NAMES:
        assert states(table, name, "early") == [ClaimState.RELEASED], name
        assert states(table, name, "second") == [ClaimState.CONFIRMED], name


def test_a_place_whose_wish_was_taken_back_before_it_came_is_free_again(table: Workbench) -> None:
    table.write("geneva", book("early"))
    without_geneva(table, 1_000)
    table["bern"].start()
    table.write("geneva", Remove(booking("early")))
    table.settle(500)
    table.write("bern", book("late"))
    table.settle(500)
    for name in NAMES:
        assert states(table, name, "early") == [], name
        assert states(table, name, "late") == [ClaimState.CONFIRMED], name
