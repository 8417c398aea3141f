"""`POST /v2/batch`: many operations in one request, together (`atomic`) or each for itself (`independent`).

Independent operations are handed over together, so they share a commit: this is the fast way to write much.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from konkordat.api.answers import Answer, answer
from konkordat.api.bodies import Conditions, make_operation, written_etags
from konkordat.api.call import Call
from konkordat.api.decoding import decode
from konkordat.api.docs import CONSISTENCY, IDEMPOTENCY, Doc, Reply
from konkordat.api.front import Front, Route
from konkordat.api.idempotency import Repeatable, repeatable
from konkordat.api.problems import FieldError, Problem, invalid
from konkordat.api.ratelimit import OPERATIONS_PER_REQUEST
from konkordat.api.schemas import DroppedSlotShown, ProblemDocument, WarningShown
from konkordat.api.settings import OPERATIONS_MAX, PAGE_BYTES_MAX
from konkordat.api.writing import (
    REASON_CHARS_MAX,
    Caller,
    Options,
    Written,
    make_command,
    problem_json,
    result_json,
    settled,
    shows_outcomes,
    written,
)
from konkordat.replica.messages import Command
from konkordat.schedule.commands import (
    OnConflict,
    Operation,
    OpName,
    ShownOccurrence,
    SkippedOccurrence,
)

# As HTTP has it: PUT makes what is not there. The domain calls that an upsert.
OPS: Final[dict[str, OpName]] = {
    "create": "create",
    "put": "upsert",
    "patch": "patch",
    "delete": "delete",
}


class BatchOperation(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One write of one record."""

    op: Annotated[
        Literal["create", "put", "patch", "delete"],
        Meta(description="`put` creates or replaces; `patch` is a merge patch."),
    ]
    type: Literal[
        "events",
        "venues",
        "rooms",
        "booths",
        "speakers",
        "sessions",
        "series",
        "holds",
        "attendees",
        "registrations",
    ]
    id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    data: msgspec.Raw | UnsetType = UNSET  # left to the decoder of its type
    if_match: Annotated[str, Meta(max_length=200)] | None = None
    if_none_match: Literal["*"] | None = None
    on_conflict: OnConflict = "fail"


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Operations to carry out."""

    operations: Annotated[tuple[BatchOperation, ...], Meta(min_length=1, max_length=OPERATIONS_MAX)]
    mode: Annotated[
        Literal["independent", "atomic"],
        Meta(description="`atomic`: all or nothing. `independent`: each for itself."),
    ] = "independent"
    together: Annotated[
        bool,
        Meta(
            description="Only `atomic`: the places asked for are granted all together or not at all, also where another"
            " node decides; at most 64, of one venue. Without it as far as that is possible."
        ),
    ] = False
    dry_run: bool = False
    override: Annotated[str, Meta(max_length=REASON_CHARS_MAX)] = ""
    include_data: Annotated[
        bool, Meta(description="Give the records back; beyond 4 MiB only their versions.")
    ] = False


class OperationResult(Struct, frozen=True):
    """What one operation came to: the record's version, or a problem."""

    status: int
    type: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    effect: Literal["created", "updated", "deleted", "unchanged"] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    replayed: bool | UnsetType = UNSET
    warnings: tuple[WarningShown, ...] | UnsetType = UNSET
    dropped_slot: DroppedSlotShown | UnsetType = UNSET
    occurrences: tuple[ShownOccurrence, ...] | UnsetType = UNSET
    skipped: tuple[SkippedOccurrence, ...] | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    problem: ProblemDocument | UnsetType = UNSET


class BatchResult(Struct, frozen=True):
    """One result for each operation, in order."""

    results: tuple[OperationResult, ...]


_decoder: Final = msgspec.json.Decoder(BatchRequest)


class Done(msgspec.Struct, frozen=True):
    """What a batch came to."""

    results: list[bytes]  # JSON, one an operation
    refused: int

    def json(self) -> bytes:
        return b"[" + b",".join(self.results) + b"]"


async def batch(call: Call) -> Answer:
    """The handler."""
    call.take_only()
    body = await call.body()
    request = decode(_decoder, body)
    charge(call.front, Caller.of(call), len(request.operations))
    repeat = repeatable(call, body)
    with call.front.running.only_once(repeat):
        done = await carry_out(call.front, Caller.of(call), request, repeat, call)
    # Never 200 with refusals in it: whoever looks at the status alone must not take it for done.
    status = 207 if done.refused else 200
    return answer(call, status, b'{"results":' + done.json() + b"}")


def charge(front: Front, caller: Caller, operations: int) -> None:
    """Count a batch's operations against the rate, besides the request itself. Raises Problem rate_limited."""
    cost = operations / OPERATIONS_PER_REQUEST
    if cost > 1:
        front.limit.take(caller.credential.id, front.gate.now_ms(), cost - 1)


async def carry_out(
    front: Front,
    caller: Caller,
    request: BatchRequest,
    repeat: Repeatable | None,
    waiting: Call | None = None,
) -> Done:
    """Write, and wait for decisions if the call that is `waiting` prefers to. Raises Problem where nothing was
    written: an atomic batch that is refused, an overloaded node."""
    if request.dry_run:
        repeat = None  # it has no effect that a retry could repeat
    if request.together and request.mode != "atomic":
        raise invalid("/together", "Only the operations of an atomic batch go together.")
    if request.mode == "atomic":
        return await _atomic(front, caller, request, repeat, waiting)
    return await _independent(front, caller, request, repeat, waiting)


# Together ---------------------------------------------------------------------------------------


async def _atomic(
    front: Front,
    caller: Caller,
    request: BatchRequest,
    repeat: Repeatable | None,
    waiting: Call | None,
) -> Done:
    operations = [
        _operation(front, op, repeat, number) for number, op in enumerate(request.operations)
    ]
    mark = repeat.mark() if repeat else None
    outcome = await front.gate.submit(make_command(caller, operations, _options(request), mark))
    tenant = caller.credential.tenant
    try:
        done: Sequence[Written] = written(
            outcome, tenant, operations, front.gate, dry_run=request.dry_run
        )
    except Problem as problem:
        raise _pointing_into_batch(problem) from problem
    if waiting is not None and not request.dry_run:
        shows_outcomes(waiting, tenant, operations, [outcome])
        done = await settled(waiting, done)
    results: list[bytes] = []
    size = 0
    for one, op in zip(done, operations, strict=True):
        with_data = request.include_data and size < PAGE_BYTES_MAX
        results.append(result_json(one, op.collection, op.id, with_data=with_data))
        size += len(results[-1])
    front.counts.operations.labels("written").inc(len(results))
    return Done(results, 0)


def _pointing_into_batch(problem: Problem) -> Problem:
    """The domain points into an operation's body; the client sent a batch."""
    number = problem.extra.get("operation", 0)
    problem.errors = tuple(
        FieldError(e.code, f"/operations/{number}/data{e.pointer}", e.detail)
        for e in problem.errors
    )
    return problem


# Each for itself --------------------------------------------------------------------------------


async def _independent(
    front: Front,
    caller: Caller,
    request: BatchRequest,
    repeat: Repeatable | None,
    waiting: Call | None,
) -> Done:
    results: list[bytes | None] = [None] * len(request.operations)
    tell = partial(_refused, front, caller, request)
    ready: list[tuple[int, Operation, Command]] = []
    for number, op in enumerate(request.operations):
        try:
            operation = _operation(front, op, repeat, number)
        except Problem as problem:
            results[number] = tell(problem, number)
            continue
        part = str(number)
        mark = repeat.mark(part) if repeat else None
        command = make_command(caller, [operation], _options(request), mark, part)
        ready.append((number, operation, command))
    refused = len(request.operations) - len(ready)
    came_to = await _submit(front, caller, ready, waiting, dry_run=request.dry_run)
    if waiting is not None and not request.dry_run:
        came_to = await _settled(waiting, came_to)
    size = 0
    for (number, operation, _), result in zip(ready, came_to, strict=True):
        if isinstance(result, Problem):
            refused += 1
            results[number] = tell(result, number)
            continue
        with_data = request.include_data and size < PAGE_BYTES_MAX
        shown = result_json(result, operation.collection, operation.id, with_data=with_data)
        size += len(shown)
        results[number] = shown
    front.counts.operations.labels("refused").inc(refused)
    front.counts.operations.labels("written").inc(len(results) - refused)
    assert all(result is not None for result in results)
    return Done([result for result in results if result is not None], refused)


def _refused(
    front: Front, caller: Caller, request: BatchRequest, problem: Problem, number: int
) -> bytes:
    """A refused operation as an element of `results`; it is noted like a request of its own."""
    if not request.dry_run:
        op = request.operations[number]
        what = {"op": op.op, "type": op.type, "operation": number}
        front.refusals.note(problem, caller.credential, caller.request_id, what)
    return problem_json(problem, caller.request_id)


async def _submit(
    front: Front,
    caller: Caller,
    ready: Sequence[tuple[int, Operation, Command]],
    waiting: Call | None,
    *,
    dry_run: bool,
) -> list[Written | Problem]:
    """What each operation came to."""
    outcomes = await front.gate.submit_many([command for _, _, command in ready])
    tenant = caller.credential.tenant
    if waiting is not None and not dry_run:
        shows_outcomes(waiting, tenant, [operation for _, operation, _ in ready], outcomes)
    came_to: list[Written | Problem] = []
    for (_, operation, _), outcome in zip(ready, outcomes, strict=True):
        try:
            came_to += written(outcome, tenant, [operation], front.gate, dry_run=dry_run)
        except Problem as problem:
            came_to.append(problem)
    return came_to


async def _settled(waiting: Call, came_to: Sequence[Written | Problem]) -> list[Written | Problem]:
    """The same once all claims are decided, or as long as the caller prefers to wait."""
    done = iter(await settled(waiting, [one for one in came_to if isinstance(one, Written)]))
    return [next(done) if isinstance(one, Written) else one for one in came_to]


# Parts ------------------------------------------------------------------------------------------


def _operation(
    front: Front, op: BatchOperation, repeat: Repeatable | None, number: int
) -> Operation:
    pointer = f"/operations/{number}"
    if op.op == "create":
        id = op.id or (repeat.id(str(number)) if repeat else front.gate.new_id())
    elif op.id is None:
        detail = f"The operation {op.op!r} needs the id of a record."
        raise Problem(
            "invalid", detail, errors=[FieldError("missing_field", f"{pointer}/id", detail)]
        )
    else:
        id = op.id
    raw = b"" if op.data is UNSET else bytes(op.data)
    if bool(raw) == (op.op == "delete"):
        detail = "A delete has no data." if raw else f"The operation {op.op!r} needs data."
        code = "unknown_field" if raw else "missing_field"
        raise Problem("invalid", detail, errors=[FieldError(code, f"{pointer}/data", detail)])
    conditions = Conditions(
        written_etags(op.if_match or ""), op.if_none_match is not None, op.on_conflict
    )
    return make_operation(OPS[op.op], op.type, id, raw, conditions, f"{pointer}/data")


def _options(request: BatchRequest) -> Options:
    return Options(request.dry_run, request.override, request.together)


def batch_route() -> Route:
    """The route."""
    doc = Doc(
        tag="batch",
        summary="Write many records",
        detail=f"At most {OPERATIONS_MAX} operations and 1 MiB. `atomic` is one transaction: all or nothing, and its"
        " operations may refer to each other in any order. `independent` operations succeed or fail each for itself.",
        fields=(IDEMPOTENCY, *CONSISTENCY),
        body=BatchRequest,
        replies=(
            Reply(200, "All were carried out.", BatchResult),
            Reply(207, "Some were refused; see their `problem`.", BatchResult),
        ),
        problems=(
            *("invalid", "unknown_reference", "slot_taken", "precondition_failed", "not_found"),
            *("sold_out", "not_registrable", "beyond_capacity", "already_registered"),
            *("already_exists", "idempotency_key_reused", "request_running", "too_large"),
        ),
    )
    return Route(method="POST", path="/v2/batch", run=batch, needs="write", doc=doc)
