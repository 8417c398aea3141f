"""What a replica does not take from its peers, and how it gets over it."""

from __future__ import annotations

import pytest

from konkordat.kernel.change import BATCH_CHANGES_MAX, NO_HASH, Batch, Change, Transaction
from konkordat.kernel.digest import EMPTY
from konkordat.kernel.hlc import AHEAD_MS_MAX, Hlc, hlc_at, ms_of
from konkordat.kernel.ids import Group, NodeName, Origin
from konkordat.kernel.refusal import Refusal
from konkordat.replica.admission import (
    BROKEN_HOLD_MS,
    ORIGINS_MAX,
    PENDING_BYTES_MAX,
    OwnHistoryLostError,
)
from konkordat.replica.messages import Accepted, Received, Sent
from konkordat.testing.domain import Put, Remove, item
from konkordat.testing.workbench import Workbench
from konkordat.wire.batches import LIFE_MAX, seal
from konkordat.wire.messages import Heartbeat, Page, Push

A = item("a")
EVIL = Origin("mallory.1")
MALLORY = NodeName("mallory")


def put(title: str) -> Put:
    return Put(A, {"title": title})


def body(
    seq: int,
    previous: bytes = NO_HASH,
    origin: Origin = EVIL,
    hlc: Hlc | None = None,
    value: bytes = b'"x"',
) -> bytes:
    """A batch as a peer of ours might make it by hand."""
    change = Change(A, 1, {Group("title"): value})
    stamp = hlc or hlc_at(1_700_000_000_000, seq)
    return seal(Batch(origin, seq, previous, (Transaction(stamp, (change,)),))).body


@pytest.fixture
def pair() -> Workbench:
    bench = Workbench("zurich", "bern")
    bench.settle()
    return bench


@pytest.fixture
def trio() -> Workbench:
    bench = Workbench("zurich", "bern", "basel")
    bench.settle()
    return bench


# Broken chains ------------------------------------------------------------------------------------


def test_a_batch_that_breaks_the_chain_is_quarantined_and_changes_nothing(pair: Workbench) -> None:
    pair.write("zurich", put("good"))
    pair.deliver_all()
    before = pair["bern"].replica.status(pair.clock.now_ms)
    forged = body(2, previous=bytes(32), origin=pair["zurich"].replica.origin)
    pair.do("bern", Received(MALLORY, Push((forged,))))
    after = pair["bern"].replica.status(pair.clock.now_ms)
    assert list(after.quarantined) == [pair["zurich"].replica.origin]
    assert (after.frontier, after.root, after.hlc) == (before.frontier, before.root, before.hlc)
    assert pair["bern"].values(A) == {"title": "good"}


def test_a_quarantined_origin_is_taken_again_as_soon_as_a_batch_fits(pair: Workbench) -> None:
    forged = body(1, previous=b"\1" * 32, origin=pair["zurich"].replica.origin)
    pair.do("bern", Received(MALLORY, Push((forged,))))
    pair.write("zurich", put("good"))
    pair.deliver_all()
    assert pair["bern"].values(A) == {"title": "good"}
    assert not pair["bern"].replica.status(pair.clock.now_ms).quarantined
    assert pair["bern"].events("origin_released")


def test_what_a_stranger_forges_does_not_keep_us_from_pulling(pair: Workbench) -> None:
    forged = body(1, previous=b"\1" * 32, origin=pair["zurich"].replica.origin)
    pair.do("bern", Received(MALLORY, Push((forged,))))
    pair.write("zurich", put("good"))
    pair.lose()
    pair.settle()
    assert pair["bern"].values(A) == {"title": "good"}


def test_of_a_peer_whose_batches_do_not_fit_nothing_is_asked_for_a_while(trio: Workbench) -> None:
    origin = trio["zurich"].replica.origin
    forged = body(1, previous=b"\1" * 32, origin=origin)
    trio.do("bern", Received(NodeName("zurich"), Push((forged,))))
    trio.write("zurich", put("good"))
    trio.deliver(*trio.take(receiver="basel", kind="Push"))
    trio.lose()
    began = len(trio["bern"].effects)
    trio.settle()
    asked = [e.peer for e in trio["bern"].effects[began:] if isinstance(e, Sent)]
    assert asked == ["basel"]
    assert trio["bern"].values(A) == {"title": "good"}


def test_a_peer_whose_batches_did_not_fit_is_asked_again_in_the_end(pair: Workbench) -> None:
    forged = body(1, previous=b"\1" * 32, origin=pair["zurich"].replica.origin)
    pair.do("bern", Received(NodeName("zurich"), Push((forged,))))
    pair.write("zurich", put("good"))
    pair.lose()
    waited = 0
    while pair["bern"].values(A) is None and waited < 2 * BROKEN_HOLD_MS:
        pair.tick(500)
        pair.deliver_all()
        waited += 500
    assert pair["bern"].values(A) == {"title": "good"}
    assert waited >= BROKEN_HOLD_MS - 500


def test_a_peer_that_tells_two_stories_of_one_batch_is_noticed(pair: Workbench) -> None:
    pair.do("bern", Received(MALLORY, Push((body(1, value=b'"one"'),))))
    pair.do("bern", Received(MALLORY, Push((body(1, value=b'"two"'),))))
    assert "two contents" in pair["bern"].replica.status(pair.clock.now_ms).quarantined[EVIL]
    assert pair["bern"].values(A) == {"title": "one"}


def test_bytes_that_are_no_batch_cost_only_themselves(pair: Workbench) -> None:
    pair.do("bern", Received(MALLORY, Page(1, (b"\xff\xff", body(1)), False)))
    assert pair["bern"].values(A) == {"title": "x"}
    assert len(pair["bern"].events("batch_refused")) == 1


# Stamps from the future -----------------------------------------------------------------------------


def test_a_stamp_too_far_ahead_waits_and_moves_nobodys_clock(pair: Workbench) -> None:
    pair["zurich"].offset_ms = 60_000
    pair.write("zurich", put("tomorrow"))
    pair.deliver_all()
    status = pair["bern"].replica.status(pair.clock.now_ms)
    assert list(status.quarantined) == [pair["zurich"].replica.origin]
    assert pair["bern"].values(A) is None
    outcome = pair.write("bern", put("today"))
    assert isinstance(outcome, Accepted)
    assert ms_of(outcome.stamp.hlc) == pair.clock.now_ms


def test_a_stamp_too_far_ahead_is_taken_when_its_time_has_come(pair: Workbench) -> None:
    pair["zurich"].offset_ms = 5_000
    pair.write("zurich", put("tomorrow"))
    pair.deliver_all()
    pair["zurich"].offset_ms = 0
    waited = pair.settle()
    assert pair["bern"].values(A) == {"title": "tomorrow"}
    assert waited >= 5_000 - AHEAD_MS_MAX
    assert pair["bern"].events("origin_released")
    assert not pair["bern"].replica.status(pair.clock.now_ms).quarantined


def test_an_origin_that_waited_for_a_time_is_released_even_if_nothing_of_it_is_left(
    pair: Workbench,
) -> None:
    pair["zurich"].offset_ms = 5_000
    pair.write("zurich", put("tomorrow"))
    pair.deliver_all()
    del pair.nodes["zurich"]
    for _ in range(110):
        pair.tick()
    assert not pair["bern"].replica.status(pair.clock.now_ms).quarantined


def test_later_batches_of_a_waiting_origin_wait_with_it(pair: Workbench) -> None:
    pair["zurich"].offset_ms = 5_000
    pair.write("zurich", put("ahead"))
    pair.deliver_all()
    pair.write("zurich", Put(item("b"), {"title": "behind it"}))
    pair.deliver_all()
    pair["zurich"].offset_ms = 0
    assert pair["bern"].values(item("b")) is None
    pair.settle()
    assert pair["bern"].values(item("b")) == {"title": "behind it"}


def test_a_stamp_within_the_bound_is_taken_and_later_writes_come_after_it(pair: Workbench) -> None:
    pair["zurich"].offset_ms = AHEAD_MS_MAX - 10
    pair.write("zurich", put("a little ahead"))
    pair.deliver_all()
    outcome = pair.write("bern", put("later"))
    assert isinstance(outcome, Accepted)
    pair.deliver_all()
    assert pair["zurich"].values(A) == pair["bern"].values(A) == {"title": "later"}


# Our own past ---------------------------------------------------------------------------------------


def test_a_node_whose_own_batches_come_back_to_it_stops(pair: Workbench) -> None:
    origin = pair["zurich"].replica.origin
    with pytest.raises(OwnHistoryLostError) as raised:
        pair.do("zurich", Received(NodeName("bern"), Push((body(1, origin=origin),))))
    assert (raised.value.origin, raised.value.seq) == (origin, 1)
    assert pair["zurich"].values(A) is None


def test_a_node_learns_from_a_heartbeat_that_its_own_past_is_lost(pair: Workbench) -> None:
    """Or it would go on taking writes, under numbers used before, until the pull comes back."""
    pair.write("zurich", put("then"))
    pair.deliver_all()
    origin = pair["zurich"].replica.origin
    beat = Heartbeat(Origin("bern.1"), {origin: 2}, EMPTY, pair.clock.now_ms, Hlc(1), 1)
    with pytest.raises(OwnHistoryLostError):
        pair.do("zurich", pair.command(put("now")), Received(NodeName("bern"), beat))
    assert pair["zurich"].values(A) == {"title": "then"}


# Bounds ---------------------------------------------------------------------------------------------


def test_pushes_beyond_a_gap_are_kept_up_to_a_limit(pair: Workbench) -> None:
    big = b'"' + b"x" * (1 << 20) + b'"'
    for seq in range(2, 12):
        pair.do("bern", Received(MALLORY, Push((body(seq, value=big),))))
    pending = pair["bern"].replica.status(pair.clock.now_ms).pending_bytes
    assert PENDING_BYTES_MAX - (2 << 20) < pending <= PENDING_BYTES_MAX


def test_a_stranger_cannot_fill_the_bookkeeping_with_origins(pair: Workbench) -> None:
    bodies = [body(1, origin=Origin(f"mallory.{n}")) for n in range(ORIGINS_MAX + 20)]
    for start in range(0, len(bodies), 50):
        pair.do("bern", Received(MALLORY, Push(tuple(bodies[start : start + 50]))))
    assert len(pair["bern"].replica.status(pair.clock.now_ms).frontier) == ORIGINS_MAX
    assert pair["bern"].events("too_many_origins")


def test_a_stranger_cannot_fill_the_quarantine(pair: Workbench) -> None:
    for n in range(ORIGINS_MAX + 20):
        forged = body(1, previous=b"\1" * 32, origin=Origin(f"mallory.{n}"))
        pair.do("bern", Received(MALLORY, Push((forged,))))
    assert len(pair["bern"].replica.status(pair.clock.now_ms).quarantined) == ORIGINS_MAX


def test_a_batch_over_the_number_of_changes_is_refused(pair: Workbench) -> None:
    changes = tuple([Change(item(f"i{n}"), 1, {}) for n in range(BATCH_CHANGES_MAX + 1)])
    batch = Batch(EVIL, 1, NO_HASH, (Transaction(hlc_at(1), changes),))
    pair.do("bern", Received(MALLORY, Push((seal(batch).body,))))
    assert pair["bern"].events("batch_refused")
    assert EVIL not in pair["bern"].replica.status(pair.clock.now_ms).frontier


def test_a_life_that_nothing_can_follow_is_not_followed(pair: Workbench) -> None:
    """Or this node would make a batch that all others refuse, and they would get nothing of it any more."""
    change = Change(A, LIFE_MAX - 1, {Group("title"): b'"x"'})
    batch = Batch(EVIL, 1, NO_HASH, (Transaction(hlc_at(1_700_000_000_000), (change,)),))
    pair.do("bern", Received(MALLORY, Push((seal(batch).body,))))
    outcome = pair.write("bern", Remove(A))
    assert isinstance(outcome, Refusal)
    assert outcome.code == "unfit"
    pair.write("bern", Put(item("b"), {"title": "b"}))
    pair.settle()
    assert pair["zurich"].values(item("b")) == {"title": "b"}
