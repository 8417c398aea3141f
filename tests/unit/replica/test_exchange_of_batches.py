"""Two and three replicas exchange batches through the real codec: what is written at one is at all, whatever happens on
the way, and never twice."""

from __future__ import annotations

import pytest

from konkordat.replica.messages import Accepted, Journaled, PeerLeft
from konkordat.testing.domain import Put, Remove, item
from konkordat.testing.workbench import Workbench

A = item("a")


def put(title: str) -> Put:
    return Put(A, {"title": title})


@pytest.fixture
def pair() -> Workbench:
    """Zurich and Bern, which know each other."""
    bench = Workbench("zurich", "bern")
    bench.settle()
    return bench


@pytest.fixture
def trio() -> Workbench:
    bench = Workbench("zurich", "bern", "basel")
    bench.settle()
    return bench


def test_a_write_is_pushed_and_readable_at_the_peer(pair: Workbench) -> None:
    outcome = pair.write("zurich", put("Opening"))
    assert isinstance(outcome, Accepted)
    assert [frame.kind for frame in pair.flying] == ["Push"]
    pair.deliver_all()
    assert pair["bern"].values(A) == {"title": "Opening"}
    assert pair.agree()


def test_the_answer_names_the_state_in_which_the_write_is_contained(pair: Workbench) -> None:
    outcome = pair.write("zurich", put("Opening"))
    assert isinstance(outcome, Accepted)
    assert outcome.frontier == {pair["zurich"].replica.origin: 1}
    assert [r.key for r in outcome.records] == [A]


def test_a_lost_push_is_pulled(pair: Workbench) -> None:
    pair.write("zurich", put("Opening"))
    assert pair.lose(kind="Push") == 1
    pair.settle()
    assert pair["bern"].values(A) == {"title": "Opening"}


def test_a_push_beyond_a_gap_waits_until_the_gap_is_pulled(pair: Workbench) -> None:
    pair.write("zurich", put("one"))
    pair.lose(kind="Push")
    pair.write("zurich", put("two"))
    pair.deliver(*pair.take(kind="Push"))
    assert pair["bern"].values(A) is None
    assert pair["bern"].replica.status(pair.clock.now_ms).pending_bytes > 0
    pair.deliver_all()
    assert pair["bern"].values(A) == {"title": "two"}
    assert pair["bern"].replica.status(pair.clock.now_ms).pending_bytes == 0


def test_batches_that_arrive_backwards_are_applied_in_sequence(pair: Workbench) -> None:
    for number in range(5):
        pair.write("zurich", put(str(number)))
    pair.deliver(*reversed(pair.take(kind="Push")))
    assert pair["bern"].values(A) == {"title": "4"}
    assert pair["bern"].log(pair["zurich"].replica.origin) == pair["zurich"].log()


def test_a_batch_that_arrives_twice_has_one_effect(pair: Workbench) -> None:
    pair.write("zurich", put("one"))
    (frame,) = pair.take(kind="Push")
    pair.deliver(frame, frame)
    pair.deliver_together(frame, frame)
    assert len(pair["bern"].feed()) == 1
    assert pair.agree()


def test_a_batch_that_arrives_twice_in_one_drain_has_one_effect(pair: Workbench) -> None:
    pair.write("zurich", put("one"))
    (frame,) = pair.take(kind="Push")
    pair.deliver_together(frame, frame)
    (committed,) = pair["bern"].feed()
    assert len(committed.entries) == 1


def test_any_peer_serves_the_batches_of_a_node_that_is_gone(trio: Workbench) -> None:
    trio.write("zurich", put("from afar"))
    trio.deliver(*trio.take(receiver="bern", kind="Push"))
    trio.lose()
    gone = trio.nodes.pop("zurich")
    for name in ("bern", "basel"):
        trio.do(name, PeerLeft(gone.name))
    trio.settle()
    assert trio["basel"].values(A) == {"title": "from afar"}
    assert trio["basel"].log(gone.replica.origin) == gone.log()


def test_both_sides_of_a_cut_go_on_and_agree_afterwards(pair: Workbench) -> None:
    pair.write("zurich", Put(A, {"title": "Zürich", "room": "1"}))
    pair.write("bern", Put(A, {"title": "Bern", "track": "x"}))
    pair.lose()
    pair.settle()
    values = pair["bern"].values(A)
    assert values == pair["zurich"].values(A)
    assert values is not None
    assert values["room"] == "1"
    assert values["track"] == "x"


def test_equal_hybrid_times_are_decided_alike_by_the_origin(pair: Workbench) -> None:
    first = pair.write("zurich", put("Zürich"))
    second = pair.write("bern", put("Bern"))
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.stamp.hlc == second.stamp.hlc
    pair.deliver_all()
    assert pair.agree()
    assert pair["bern"].values(A) == pair["zurich"].values(A) == {"title": "Zürich"}


def test_a_deleted_record_stays_deleted_when_an_older_edit_arrives(pair: Workbench) -> None:
    pair.write("zurich", put("one"))
    pair.deliver_all()
    pair.write("bern", put("late edit"))
    late = pair.take(kind="Push")
    pair.clock.advance(1)
    pair.write("zurich", Remove(A))
    pair.deliver_all()
    pair.deliver(*late)
    pair.settle()
    assert pair["bern"].values(A) is None
    assert pair["zurich"].values(A) is None


def test_a_long_absence_is_caught_up_with(pair: Workbench) -> None:
    for number in range(1_200):
        pair.write("zurich", Put(item(f"i{number}"), {"title": "x" * 400}))
        pair.lose()
    pair.settle()
    assert pair["bern"].log(pair["zurich"].replica.origin) == pair["zurich"].log()


def test_a_restarted_node_goes_on_where_its_disk_stopped(pair: Workbench) -> None:
    pair.write("zurich", put("one"))
    pair.deliver_all()
    origin = pair["zurich"].replica.origin
    pair["zurich"].start()
    outcome = pair.write("zurich", put("two"))
    assert isinstance(outcome, Accepted)
    assert outcome.frontier == {origin: 2}
    pair.settle()
    assert pair["bern"].values(A) == {"title": "two"}


def test_every_node_journals_whom_it_hears(pair: Workbench) -> None:
    (event,) = pair["bern"].events("peer_heard")
    assert isinstance(event, Journaled)
    assert event.fields["peer"] == "zurich"
