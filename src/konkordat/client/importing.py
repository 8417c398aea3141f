"""Importing a programme: read and planned here, written in batches, decided by the nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from konkordat.client import operations
from konkordat.client.core import Core, Steps
from konkordat.client.errors import ProblemError
from konkordat.client.results import ImportProgress, ImportResult, Item, OperationResult
from konkordat.schedule.interchange.plan import ImportPlan, UpsertOperation

CHUNK_OPERATIONS_MAX: Final = (
    200  # of the API's 500: progress is seen, and one chunk's commit stays short
)
CHUNK_BYTES_MAX: Final = 700_000  # of the API's 1 MiB, which counts bytes after framing
# A programme that was held is imported as it was, however long ago; it is the reason that the audit trail shows.
WHY_OVERRIDDEN: Final = "import of a programme"
OnProgress = Callable[[ImportProgress], None]


def run_import(
    core: Core, plan: ImportPlan, *, dry_run: bool, on_progress: OnProgress | None
) -> Steps[ImportResult]:
    """Write a plan. Every operation is an upsert with an id derived from the programme, so an import that broke off is
    simply run again. Raises ProblemError if a whole batch is refused."""
    total, done = len(plan.operations), 0
    results: list[tuple[UpsertOperation, OperationResult]] = []
    for chunk in _chunks(plan):
        bodies = [_operation(op) for op in chunk]
        answer = yield from operations.batch(
            core, bodies, "independent", {"dry_run": dry_run, "override": WHY_OVERRIDDEN}
        )
        results += zip(chunk, answer.results, strict=True)
        done += len(chunk)
        if on_progress is not None:
            on_progress(ImportProgress(done, total))
    return _result(plan, results)


def _operation(op: UpsertOperation) -> dict[str, Any]:
    return {
        "op": "put",
        "type": op.collection,
        "id": op.id,
        "data": op.data,
        "on_conflict": op.on_conflict,
    }


def _chunks(plan: ImportPlan) -> Iterator[list[UpsertOperation]]:
    """Operations in order, cut by number and size. What others refer to goes first and in a chunk of its own kind."""
    chunk: list[UpsertOperation] = []
    size = 0
    for op in plan.operations:
        bytes_ = len(msgspec.json.encode(op.data)) + 200
        full = len(chunk) >= CHUNK_OPERATIONS_MAX or size + bytes_ > CHUNK_BYTES_MAX
        if chunk and full:
            yield chunk
            chunk, size = [], 0
        chunk.append(op)
        size += bytes_
    if chunk:
        yield chunk


def _result(
    plan: ImportPlan, results: list[tuple[UpsertOperation, OperationResult]]
) -> ImportResult:
    report = plan.report
    titles = {r.session.id: r.session.title for r in report.slots_refused}
    refused: list[Item] = []
    failed: list[Item] = []
    for op, result in results:
        if not result.ok:
            failed.append({"type": op.collection, "id": op.id, "problem": result.problem})
        elif result.dropped_slot is not None:
            dropped = result.dropped_slot
            title = titles.get(op.id) or _title(op)
            refused.append({"session": op.id, "title": title} | dropped)
    return ImportResult(
        event=plan.event_id,
        title=report.title,
        sessions=report.sessions,
        rooms=report.rooms,
        speakers=report.speakers,
        venues=report.venues,
        slots_refused=refused,
        speaker_clashes=msgspec.to_builtins(report.speaker_clashes),
        findings=msgspec.to_builtins(report.findings),
        failed=failed,
    )


def _title(op: UpsertOperation) -> str:
    titles = op.data.get("title")
    return next(iter(titles.values()), "") if isinstance(titles, dict) else ""


def first_failure(result: ImportResult) -> ProblemError | None:
    """The problem of the first operation that was refused, for callers that want an exception."""
    if not result.failed:
        return None
    problem = result.failed[0]["problem"] or {}
    return ProblemError(int(problem.get("status", 500)), problem, None)
