"""An import in batches: cut by number and size, whole in its report, safe to repeat."""

from __future__ import annotations

import msgspec
import pytest

from konkordat.client.importing import CHUNK_BYTES_MAX, CHUNK_OPERATIONS_MAX, run_import
from konkordat.client.results import ImportProgress
from konkordat.schedule.interchange.plan import ImportPlan, ImportReport, UpsertOperation
from unit.client.driving import Reply, Run, core, reply, trouble


def plan(count: int, text: str = "x") -> ImportPlan:
    report = ImportReport("forum", "Forum", 1, 2, 3, count, count, (), (), ())
    made = [
        UpsertOperation("sessions", f"s{number}", {"title": {"de": text}})
        for number in range(count)
    ]
    return ImportPlan("e1", tuple(made), report)


def results(count: int, **of: dict[str, object]) -> Reply:
    items = [of.get(f"s{n}", {"status": 201, "effect": "created"}) for n in range(count)]
    return reply(200, {"results": items})


def test_operations_are_sent_in_order_in_chunks_that_fit_a_batch() -> None:
    made, clock = core()
    total = 2 * CHUNK_OPERATIONS_MAX + 7
    told: list[ImportProgress] = []
    steps = run_import(made, plan(total), dry_run=False, on_progress=told.append)
    full = results(CHUNK_OPERATIONS_MAX)
    run = Run(clock, steps, full, full, results(7))
    bodies = [msgspec.json.decode(send.body or b"") for send in run.sent]
    ids = [op["id"] for body in bodies for op in body["operations"]]
    assert ids == [f"s{number}" for number in range(total)]
    assert {body["mode"] for body in bodies} == {"independent"}
    assert bodies[0]["operations"][0] == {
        "op": "put",
        "type": "sessions",
        "id": "s0",
        "data": {"title": {"de": "x"}},
        "on_conflict": "without_slot",
    }
    assert [(p.done, p.total) for p in told][-1] == (total, total)
    assert len({send.headers["Idempotency-Key"] for send in run.sent}) == 3


def test_long_texts_make_smaller_chunks_of_at_most_the_size_of_a_batch() -> None:
    made, clock = core()
    sizes: list[int] = []

    def answers(count: int) -> Reply:
        return results(count)

    steps = run_import(made, plan(30, "ü" * 50_000), dry_run=False, on_progress=None)
    # 100 kB a session: 6 of them fit.
    run = Run(clock, steps, *[answers(6)] * 5)
    sizes = [len(send.body or b"") for send in run.sent]
    assert run.error is None
    assert len(sizes) == 5
    assert max(sizes) <= CHUNK_BYTES_MAX + 4_096


def test_slots_that_the_nodes_refused_and_operations_that_failed_are_reported() -> None:
    made, clock = core()
    dropped = {"code": "slot_taken", "detail": "Taken.", "slot": {}, "in_the_way": ["s0"]}
    answer = results(
        3,
        s1={"status": 201, "effect": "created", "dropped_slot": dropped},
        s2={"status": 422, "problem": {"code": "invalid", "status": 422}},
    )
    run = Run(clock, run_import(made, plan(3), dry_run=False, on_progress=None), answer)
    assert run.result.slots_refused[0]["session"] == "s1"
    assert run.result.slots_refused[0]["in_the_way"] == ["s0"]
    assert [failed["id"] for failed in run.result.failed] == ["s2"]
    assert (run.result.sessions, run.result.event) == (3, "e1")


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_says_so(dry_run: bool) -> None:
    made, clock = core()
    steps = run_import(made, plan(1), dry_run=dry_run, on_progress=None)
    run = Run(clock, steps, results(1))
    assert msgspec.json.decode(run.sent[0].body or b"").get("dry_run", False) is dry_run


def test_a_batch_that_is_refused_as_a_whole_ends_the_import() -> None:
    made, clock = core()
    steps = run_import(made, plan(1), dry_run=False, on_progress=None)
    run = Run(clock, steps, trouble(403, "scope_missing"))
    assert run.error is not None
