"""How notes of real clients become a history: every read is tied to the one state of the log that it shows."""

from __future__ import annotations

from typing import Any

import pytest

from konkordat.kernel.change import NO_HASH, Batch, Change, SealedBatch, Transaction
from konkordat.kernel.digest import FINGERPRINT_BYTES, fingerprint
from konkordat.kernel.frontier import Frontier
from konkordat.kernel.hlc import Stamp, ms_of
from konkordat.kernel.ids import Group, node_of, record_key
from konkordat.kernel.record import Record
from konkordat.schedule.times import utc_text
from konkordat.testing.history import Read
from konkordat.testing.oracle import entries_of, records_of
from konkordat.testing.real.clients import UNAVAILABLE, Answer, Look
from konkordat.testing.real.story import told_story
from konkordat.wire.batches import seal
from simulation.stories import OF_BERN, OF_ZURICH, ZURICH, at, final

KEY = record_key("tenant-0", "speakers", "mila")
OK, NOT_FOUND = 200, 404


def written(
    number: int,
    second: int,
    fields: dict[str, str | None],
    life: int = 1,
    previous: bytes = NO_HASH,
) -> SealedBatch:
    """A write of Zurich's."""
    raw = {Group(g): b"null" if v is None else f'"{v}"'.encode() for g, v in fields.items()}
    change = Change(KEY, life, raw)
    transaction = Transaction(at(second), (change,), "key:c", f"cause-{number}")
    return seal(Batch(OF_ZURICH, number, previous, (transaction,)))


FIRST = written(1, 1, {"name": "Mila"})
SECOND = written(2, 2, {"name": "M.", "affiliation": "ETH"}, previous=FIRST.hash)
GONE = written(3, 3, {}, life=2, previous=SECOND.hash)
ALL = (FIRST, SECOND, GONE)


def state_after(*sealed: SealedBatch) -> Record:
    return records_of(entries_of(final(ZURICH, *sealed).batches))[KEY]


def shown(record: Record) -> dict[str, Any]:
    """A record as the API shows it."""
    values = {str(g): r.value.decode().strip('"') for g, r in record.fields.items()}
    return {
        "affiliation": None,
        **values,
        "version": f"{fingerprint(record):0{2 * FINGERPRINT_BYTES}x}",
        "created_at": utc_text(ms_of(record.born.hlc)),
        "updated_at": utc_text(ms_of(record.touched.hlc)),
        "updated_at_node": str(node_of(record.touched.origin)),
    }


def looked(
    what: dict[str, Any],
    status: int = OK,
    token: Frontier | None = None,
    frontier: Frontier | None = None,
) -> Look:
    """The answer to a reader who had that token, by a node that had that much when it answered."""
    return Look(1, "c", "zurich", token or {}, KEY, status, what, frontier or {OF_ZURICH: 1})


def read_of(look: Look, *sealed: SealedBatch) -> Read:
    history, found = told_story([look], [final(ZURICH, *(sealed or ALL))])
    assert found == []
    return next(h for h in history if isinstance(h, Read))


@pytest.mark.parametrize("count", [1, 2])
def test_a_read_is_given_the_stamps_of_the_state_that_it_shows(count: int) -> None:
    state = state_after(*ALL[:count])
    sight = read_of(looked(shown(state))).sight
    assert sight is not None
    assert (sight.life, sight.stamps) == (1, {g: r.stamp for g, r in state.fields.items()})


@pytest.mark.parametrize(
    "spoil",
    [
        {"version": "0" * 32},
        {"name": "Nobody"},
        {"affiliation": "EPFL"},
        {"updated_at_node": "bern"},
    ],
    ids=lambda spoil: next(iter(spoil)),
)
def test_a_read_of_what_the_log_never_made_is_a_finding(spoil: dict[str, str]) -> None:
    look = looked(shown(state_after(FIRST)) | spoil)
    _, found = told_story([look], [final(ZURICH, *ALL)])
    assert [violation.checker for violation in found] == ["I2"]


@pytest.mark.parametrize(
    ("had", "life"),
    [({OF_BERN: 1}, 0), ({OF_ZURICH: 2}, 0), ({OF_ZURICH: 3}, 2)],
    ids=["before it is made", "while it is made", "after it is gone"],
)
def test_nothing_is_shown_of_a_record(had: Frontier, life: int) -> None:
    """What the node has when it answers may be more than it showed."""
    sight = read_of(looked({}, NOT_FOUND, frontier=had)).sight
    assert sight is not None
    assert sight.life == life


def test_nothing_shown_of_a_record_is_what_came_of_it_after_what_the_reader_knew() -> None:
    sight = read_of(looked({}, NOT_FOUND, {OF_ZURICH: 2}, {OF_ZURICH: 2})).sight
    assert sight is not None
    assert sight.life == 2


def test_nothing_shown_of_a_record_that_is_there_is_a_finding() -> None:
    look = looked({}, NOT_FOUND, {OF_ZURICH: 2}, {OF_ZURICH: 2})
    _, found = told_story([look], [final(ZURICH, FIRST, SECOND)])
    assert [violation.checker for violation in found] == ["I2"]


def test_a_node_that_says_that_it_is_behind_shows_nothing() -> None:
    assert read_of(looked({}, UNAVAILABLE)).sight is None


def test_an_acknowledged_write_has_the_stamp_of_the_log_or_one_that_no_log_has() -> None:
    answers = [Answer(1, "c", f"cause-{n}", "zurich", "accepted", {}) for n in (2, 9)]
    history, _ = told_story(answers, [final(ZURICH, *ALL)])
    there, lost = (h.stamp for h in history if hasattr(h, "stamp"))
    assert there == Stamp(at(2), OF_ZURICH)
    assert str(lost.origin).startswith("nowhere")
