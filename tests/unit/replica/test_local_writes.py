"""Commands: each is carried out once, wholly or not at all, and answered when what it wrote is durable."""

from __future__ import annotations

import pytest

from konkordat.kernel.change import BATCH_CHANGES_MAX, TRANSACTION_CHANGES_MAX
from konkordat.kernel.ids import RecordKey, record_key
from konkordat.kernel.refusal import Refusal
from konkordat.replica.messages import (
    Accepted,
    Answered,
    Broadcast,
    Committed,
    Received,
    Replayed,
    Tick,
)
from konkordat.store.port import ANSWER_LIFE_MS
from konkordat.testing.domain import Put, Remove, Together, item
from konkordat.testing.workbench import Workbench
from konkordat.wire.batches import open_body
from konkordat.wire.messages import Push

A = item("a")


def put(title: str, key: RecordKey = A) -> Put:
    return Put(key, {"title": title})


def many(count: int, prefix: str = "i") -> Together:
    return Together(tuple([put("x", item(f"{prefix}{n}")) for n in range(count)]))


@pytest.fixture
def one() -> Workbench:
    return Workbench("zurich")


@pytest.fixture
def pair() -> Workbench:
    bench = Workbench("zurich", "bern")
    bench.settle()
    return bench


# One commit -----------------------------------------------------------------------------------------


def test_commands_of_one_drain_are_one_batch_of_separate_transactions(one: Workbench) -> None:
    one.write_all("zurich", [one.command(put(str(n))) for n in range(5)])
    (body,) = one["zurich"].log()
    stamps = [t.hlc for t in open_body(body).batch.transactions]
    assert len(stamps) == 5
    assert stamps == sorted(set(stamps))


def test_a_command_sees_what_earlier_ones_of_the_same_drain_wrote(one: Workbench) -> None:
    first, second, third = one.write_all(
        "zurich", [one.command(put("a")), one.command(Remove(A)), one.command(Remove(A))]
    )
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert isinstance(third, Refusal)
    assert third.code == "not_found"


def test_what_is_pushed_and_answered_is_already_durable(one: Workbench) -> None:
    seen: list[int] = []
    store = one["zurich"].store
    commit = store.commit
    store.commit = lambda write: (seen.append(len(write.log)), commit(write))[1]  # type: ignore[method-assign]
    effects = one.do("zurich", one.command(put("a")))
    assert seen == [1]
    kinds = [type(e) for e in effects]
    assert kinds.index(Broadcast) < kinds.index(Answered)
    assert kinds.index(Committed) < kinds.index(Answered)


def test_a_drain_that_writes_nothing_commits_nothing(one: Workbench) -> None:
    outcome = one.write("zurich", Remove(A))
    assert isinstance(outcome, Refusal)
    one.do("zurich", Tick())
    assert one["zurich"].log() == []


def test_a_write_that_changes_nothing_is_booked_all_the_same(one: Workbench) -> None:
    one.write("zurich", put("same"))
    one.write("zurich", put("same"))
    assert len(one["zurich"].log()) == 2


def test_local_writes_come_after_the_batches_that_arrived_with_them(pair: Workbench) -> None:
    pair.write("bern", put("theirs"))
    (frame,) = pair.take(kind="Push")
    assert isinstance(frame.message, Push)
    command = pair.command(put("ours"))
    pair.do("zurich", command, Received(frame.sender, frame.message))
    pair.settle()
    assert pair["bern"].values(A) == {"title": "ours"}


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        ((put("z"), put("a")), {"title": "a"}),
        ((put("a"), Put(A, {"room": 1})), {"room": 1, "title": "a"}),
        ((put("a"), Remove(A)), None),
        ((Remove(A), put("a")), {"title": "a"}),
        ((Remove(A), put("a"), Remove(A)), None),
    ],
)
def test_several_writes_of_one_record_in_one_command_happen_in_turn(
    pair: Workbench, parts: tuple[Put | Remove, ...], left: dict[str, object] | None
) -> None:
    pair.write("zurich", Put(A, {"title": "before", "old": 1} if left is None else {"title": "b"}))
    outcome = pair.write("zurich", Together(parts))
    assert isinstance(outcome, Accepted)
    assert len(outcome.records) == 1
    pair.settle()
    assert pair["zurich"].values(A) == pair["bern"].values(A) == left


# Sizes ----------------------------------------------------------------------------------------------


def test_more_than_a_batch_of_changes_in_one_drain_becomes_several_batches(pair: Workbench) -> None:
    commands = [pair.command(many(400, f"c{n}-")) for n in range(6)]
    outcomes = pair.write_all("zurich", commands)
    assert all(isinstance(o, Accepted) for o in outcomes)
    sizes = [
        sum(len(t.changes) for t in open_body(body).batch.transactions)
        for body in pair["zurich"].log()
    ]
    assert sum(sizes) == 2_400
    assert max(sizes) <= BATCH_CHANGES_MAX
    assert len(sizes) == 3
    pair.deliver_all()
    assert pair.agree()


def test_a_transaction_of_the_most_changes_is_taken(one: Workbench) -> None:
    assert isinstance(one.write("zurich", many(TRANSACTION_CHANGES_MAX)), Accepted)


def test_a_transaction_of_too_many_changes_is_refused_whole(one: Workbench) -> None:
    outcome = one.write("zurich", many(TRANSACTION_CHANGES_MAX + 1))
    assert isinstance(outcome, Refusal)
    assert outcome.code == "too_large"
    assert one["zurich"].log() == []


def test_a_transaction_of_too_many_bytes_is_refused_and_the_others_go_on(one: Workbench) -> None:
    big = one.command(put("x" * (3 << 20)))
    before, refused, after = one.write_all(
        "zurich", [one.command(put("a")), big, one.command(put("b"))]
    )
    assert isinstance(refused, Refusal)
    assert refused.code == "too_large"
    assert isinstance(before, Accepted)
    assert isinstance(after, Accepted)


def test_large_transactions_are_cut_into_batches_that_peers_accept(pair: Workbench) -> None:
    commands = [pair.command(put("x" * (900 << 10), item(f"i{n}"))) for n in range(7)]
    pair.write_all("zurich", commands)
    assert len(pair["zurich"].log()) > 2
    pair.settle()
    assert pair["bern"].log(pair["zurich"].replica.origin) == pair["zurich"].log()


@pytest.mark.parametrize(
    "key",
    [
        record_key("Acme", "items", "a"),
        record_key("acme", "no such", "a"),
        record_key("acme", "items", ""),
        record_key("acme", "items", "x" * 256),
        record_key("acme", "items", "a\0"),
        record_key("acme", "items", "\ud800"),
    ],
)
def test_a_key_that_peers_would_refuse_is_refused_at_its_origin(
    one: Workbench, key: RecordKey
) -> None:
    outcome = one.write("zurich", put("x", key))
    assert isinstance(outcome, Refusal)
    assert outcome.code == "unfit"
    assert one["zurich"].log() == []


@pytest.mark.parametrize("group", ["", "a\0", "x" * 256])
def test_a_group_that_peers_would_refuse_is_refused_at_its_origin(
    one: Workbench, group: str
) -> None:
    outcome = one.write("zurich", Put(A, {group: 1}))
    assert isinstance(outcome, Refusal)
    assert outcome.code == "unfit"


def test_a_reason_that_no_wire_can_carry_is_refused(one: Workbench) -> None:
    outcome = one.write("zurich", Together((put("x"),), reason="\ud800"))
    assert isinstance(outcome, Refusal)
    assert outcome.code == "unfit"


# Repeated requests ----------------------------------------------------------------------------------


def test_a_repeated_request_has_one_effect(one: Workbench) -> None:
    first = one.write("zurich", put("a"), key="k")
    again = one.write("zurich", put("a"), key="k")
    assert isinstance(first, Accepted)
    assert isinstance(again, Replayed)
    assert again.keys == (A,)
    assert len(one["zurich"].log()) == 1


def test_a_request_repeated_in_the_same_drain_has_one_effect(one: Workbench) -> None:
    commands = [one.command(put("a"), key="k") for _ in range(3)]
    kinds = [type(o) for o in one.write_all("zurich", commands)]
    assert kinds == [Accepted, Replayed, Replayed]
    assert len(open_body(one["zurich"].log()[0]).batch.transactions) == 1


def test_a_request_repeated_after_a_restart_has_one_effect(one: Workbench) -> None:
    one.write("zurich", put("a"), key="k")
    one["zurich"].start()
    assert isinstance(one.write("zurich", put("a"), key="k"), Replayed)


def test_a_request_repeated_at_another_node_has_one_effect(pair: Workbench) -> None:
    pair.write("zurich", put("a"), key="k")
    pair.deliver_all()
    again = pair.write("bern", put("a"), key="k")
    assert isinstance(again, Replayed)
    assert again.keys == (A,)
    assert pair["bern"].log() == []


def test_a_request_repeated_together_with_the_batch_that_had_its_effect_has_one_effect(
    pair: Workbench,
) -> None:
    pair.write("zurich", put("a"), key="k")
    (frame,) = pair.take(kind="Push")
    again = pair.command(put("a"), key="k")
    effects = pair.do("bern", again, Received(frame.sender, frame.message))
    (answer,) = [e for e in effects if isinstance(e, Answered)]
    assert isinstance(answer.outcome, Replayed)
    assert pair["bern"].log() == []


def test_a_key_used_for_another_request_is_refused(pair: Workbench) -> None:
    pair.write("zurich", put("a"), key="k")
    pair.deliver_all()
    for name in ("zurich", "bern"):
        outcome = pair.write(name, put("b"), key="k")
        assert isinstance(outcome, Refusal)
        assert outcome.code == "idempotency_key_reused"


def test_a_request_is_forgotten_after_a_day(one: Workbench) -> None:
    one.write("zurich", put("a"), key="k")
    for _ in range(2):
        one.clock.advance(ANSWER_LIFE_MS // 2 + 60_000)
        for _ in range(70):
            one.tick(1_000)
        one.write("zurich", put("b"))
    assert isinstance(one.write("zurich", put("a"), key="k"), Accepted)


def test_a_clock_that_leaps_forward_does_not_make_a_node_forget_requests(pair: Workbench) -> None:
    pair.write("zurich", put("a"), key="k")
    pair.settle()
    pair["zurich"].offset_ms = 25 * 3_600_000
    pair.write("bern", put("b"))
    for _ in range(100):
        pair.tick(1_000)
        pair.deliver_all()
        pair.write("bern", put("c"))
    assert isinstance(pair.write("zurich", put("a"), key="k"), Replayed)


def test_a_request_of_a_node_whose_clock_is_far_behind_is_remembered_all_the_same(
    pair: Workbench,
) -> None:
    pair["bern"].offset_ms = -25 * 3_600_000
    pair.write("bern", put("a"), key="k")
    pair.deliver_all()
    del pair.nodes["bern"]
    for _ in range(70):
        pair.tick(1_000)
    pair.write("zurich", put("b"))
    assert isinstance(pair.write("zurich", put("a"), key="k"), Replayed)


def test_a_refused_request_may_be_repeated_and_then_succeed(one: Workbench) -> None:
    refused = one.write("zurich", Remove(A), key="k")
    assert isinstance(refused, Refusal)
    one.write("zurich", put("a"))
    assert isinstance(one.write("zurich", Remove(A), key="k"), Accepted)


# Dry runs, fences, stopping -------------------------------------------------------------------------


def test_a_dry_run_answers_and_writes_nothing(one: Workbench) -> None:
    one.write("zurich", put("before"))
    outcome = one.write("zurich", put("after"), dry_run=True, key="k")
    assert isinstance(outcome, Accepted)
    (record,) = outcome.records
    assert record.fields["title"].value == b'"after"'
    assert one["zurich"].values(A) == {"title": "before"}
    assert len(one["zurich"].log()) == 1
    assert isinstance(one.write("zurich", put("after"), key="k"), Accepted)


def test_a_dry_run_is_refused_as_the_real_run_would_be(one: Workbench) -> None:
    assert isinstance(one.write("zurich", Remove(A), dry_run=True), Refusal)


def test_a_node_that_is_far_ahead_of_the_majority_refuses_writes() -> None:
    bench = Workbench("zurich", "bern", "basel", "geneva")
    bench.settle(1_000)
    bench["zurich"].offset_ms = 5_000
    for _ in range(20):
        bench.tick()
        bench.deliver_all()
    outcome = bench.write("zurich", put("x"))
    assert isinstance(outcome, Refusal)
    assert outcome.code == "clock_fenced"
    assert outcome.retry_after_ms
    assert isinstance(bench.write("bern", put("x")), Accepted)
    assert bench["zurich"].events("clock_fenced")


def test_a_node_alone_trusts_its_own_clock(pair: Workbench) -> None:
    pair["zurich"].offset_ms = 3_600_000
    assert isinstance(pair.write("zurich", put("x")), Accepted)


def test_a_stopping_node_refuses_writes_and_says_goodbye(pair: Workbench) -> None:
    (goodbye,) = pair["zurich"].replica.stop()
    assert isinstance(goodbye, Broadcast)
    outcome = pair.write("zurich", put("x"))
    assert isinstance(outcome, Refusal)
    assert outcome.code == "stopping"


def test_stamps_grow_when_the_clock_stands_still_or_was_ahead_before_a_restart(
    one: Workbench,
) -> None:
    stamps = []
    for offset in (0, 3_600_000, 0, 0):
        one["zurich"].offset_ms = offset
        one["zurich"].start()
        outcome = one.write("zurich", put("x"))
        assert isinstance(outcome, Accepted)
        stamps.append(outcome.stamp.hlc)
    assert stamps == sorted(set(stamps))
