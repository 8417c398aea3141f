"""From operations to outcomes: commands for the gate, and what their outcomes look like to clients.

Shared by single requests, batches and streams, so that a write means the same wherever it comes from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, assert_never

import msgspec
from msgspec import structs

from konkordat.api.auth import Credential
from konkordat.api.call import Call, no_schedule
from konkordat.api.ends import as_of
from konkordat.api.gate import Gate
from konkordat.api.instead import free_instead
from konkordat.api.problems import FieldError, Problem
from konkordat.api.views import FORMS, TITLED, claim_view, version
from konkordat.kernel.change import RequestMark
from konkordat.kernel.claim import Claim, ClaimState, DecidedClaim
from konkordat.kernel.ids import RecordKey, Tenant, record_key
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.replica.messages import Accepted, Command, Outcome, Replayed
from konkordat.schedule.claims import claims_of
from konkordat.schedule.commands import Operation, SeriesNote, WriteCommand, WriteNotes
from konkordat.schedule.series import SERIES, sessions_of
from konkordat.store.port import Reader

REASON_CHARS_MAX: Final = 500  # of an override; it stands in the audit trail for ever
STATUS_OF_EFFECT: Final = {"created": 201, "updated": 200, "unchanged": 200, "deleted": 200}

_encode: Final = msgspec.json.Encoder().encode


class Caller(msgspec.Struct, frozen=True):
    """On whose behalf something is written."""

    credential: Credential
    request_id: str
    trace: str

    @classmethod
    def of(cls, call: Call) -> Caller:
        assert call.credential is not None, "writes need a credential"
        return cls(call.credential, call.request_id, call.trace)


class Options(msgspec.Struct, frozen=True):
    """How to write."""

    dry_run: bool = False
    override: str = ""  # why a rule is overridden
    together: bool = False  # the places asked for are granted all together or not at all


def make_command(
    caller: Caller,
    operations: Sequence[Operation],
    options: Options,
    mark: RequestMark | None,
    part: str = "",
) -> Command:
    """One transaction for the gate. Its cause is the request's id, so that logs and audit lead back to it; `part` tells
    the operations of a batch apart."""
    if caller.credential.is_operator:
        raise no_schedule()
    tenant = Tenant(caller.credential.tenant)
    return Command(
        f"{caller.request_id}.{part}" if part else caller.request_id,
        caller.credential.id,
        WriteCommand(tenant, tuple(operations), options.override, options.together),
        caller.trace,
        mark,
        options.dry_run,
    )


class Written(msgspec.Struct, frozen=True):
    """What one operation came to."""

    status: int
    record: Record | None  # as it is now; None if nobody knows it any more
    claims: Sequence[DecidedClaim] = ()
    effect: str = ""  # created, updated, deleted, unchanged; "" of a repeated request
    warnings: tuple[Any, ...] = ()
    dropped_slot: Any = None
    series: SeriesNote | None = None
    is_replayed: bool = False


def written(
    outcome: Outcome,
    tenant: str,
    operations: Sequence[Operation],
    gate: Gate,
    *,
    dry_run: bool = False,
) -> list[Written]:
    """What each operation of a transaction came to. Raises Problem if the transaction was refused."""
    reader = gate.reader()
    match outcome:
        case Accepted():
            if dry_run:
                outcome = structs.replace(outcome, claims=_foreseen(outcome.records, reader))
            claims = as_of(outcome.claims, gate.now_ms())
            return _accepted(outcome, claims, tenant, operations, reader)
        case Replayed():
            return _replayed(tenant, operations, reader)
        case Refusal():
            raise refused(outcome, reader)
        case _:
            assert_never(outcome)


def shows_outcomes(
    call: Call, tenant: str, operations: Sequence[Operation], outcomes: Sequence[Outcome]
) -> bool:
    """Let the consistency token name what these outcomes show, if nothing needs to be read besides. By the time they
    are answered a holder may have decided: whoever follows changes from the token must be told."""
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    there = {record.key for outcome in accepted for record in outcome.records}
    keys = {record_key(tenant, op.collection, op.id) for op in operations}
    if len(accepted) < len(outcomes) or not keys <= there:
        return False
    for outcome in accepted:
        call.shows(outcome.frontier)
    return True


def _accepted(
    outcome: Accepted,
    told: Iterable[DecidedClaim],
    tenant: str,
    operations: Sequence[Operation],
    reader: Reader,
) -> list[Written]:
    records: dict[RecordKey, Record] = {record.key: record for record in outcome.records}
    keys = [record_key(tenant, op.collection, op.id) for op in operations]
    claims = _by_owner(told)
    absent = [key for key in keys if key not in records]
    if absent:  # operations that changed nothing
        records |= reader.load(absent)
        claims |= reader.claims_of(absent)
    notes = outcome.notes if isinstance(outcome.notes, WriteNotes) else WriteNotes()
    result = []
    for number, key in enumerate(keys):
        effect = notes.effects[number] if number < len(notes.effects) else "updated"
        warnings = tuple([w for w in notes.warnings if w.operation == number])
        dropped = next((d for d in notes.dropped_slots if d.operation == number), None)
        result.append(
            Written(
                STATUS_OF_EFFECT[effect],
                records.get(key),
                claims.get(key, ()),
                effect,
                warnings,
                dropped,
                next((s for s in notes.series if s.operation == number), None),
            )
        )
    return result


def _foreseen(records: Sequence[Record], reader: Reader) -> tuple[DecidedClaim, ...]:
    """What the records of a dry run would claim: undecided, but for what stays as it is."""
    present = reader.claims_of([record.key for record in records])
    stand = {(d.claim.id, d.claim.stamp): d for held in present.values() for d in held}
    return tuple(
        [
            stand.get((claim.id, claim.stamp), DecidedClaim(claim, ClaimState.TENTATIVE))
            for record in records
            for claim in claims_of(record)
        ]
    )


def _replayed(tenant: str, operations: Sequence[Operation], reader: Reader) -> list[Written]:
    """A repeated request is answered with what its records are now."""
    keys = [record_key(tenant, op.collection, op.id) for op in operations]
    records, claims = reader.load(keys), reader.claims_of(keys)
    return [
        Written(
            201 if op.op == "create" else 200,
            records.get(key),
            claims.get(key, ()),
            is_replayed=True,
        )
        for op, key in zip(operations, keys, strict=True)
    ]


def _by_owner(claims: Iterable[DecidedClaim]) -> dict[RecordKey, list[DecidedClaim]]:
    owners: dict[RecordKey, list[DecidedClaim]] = {}
    for decided in claims:
        owners.setdefault(decided.claim.id.owner, []).append(decided)
    return owners


# Refusals ---------------------------------------------------------------------------------------


def refused(refusal: Refusal, reader: Reader) -> Problem:
    """A refusal of the domain as a problem, with what stands in the way and what is there now."""
    errors = []
    if refusal.pointer:
        errors.append(FieldError(refusal.code, refusal.pointer, refusal.detail))
    extra: dict[str, Any] = dict(refusal.extra)
    headers: dict[str, str] = {}
    wished = extra.pop("wished", None)
    if wished is not None and refusal.conflicts:
        tenant = refusal.conflicts[0].id.owner.tenant
        extra["alternatives"] = free_instead(reader, tenant, wished)
    if refusal.conflicts:
        extra["conflicts"] = conflicts(refusal.conflicts, reader)
    current = refusal.current
    if current is not None and current.key.collection in FORMS:
        claims = reader.claims_of([current.key]).get(current.key, ())
        extra["current"] = msgspec.Raw(FORMS[current.key.collection].json(current, claims))
        headers["ETag"] = f'"{version(current, claims)}"'
    return Problem(
        refusal.code,
        refusal.detail,
        errors=errors,
        retry_after_ms=refusal.retry_after_ms,
        headers=headers,
        extra=extra,
    )


def conflicts(claims: Sequence[Claim], reader: Reader) -> list[dict[str, Any]]:
    """Claims in the way, with the titles of the sessions that hold them."""
    owners = reader.load([claim.id.owner for claim in claims])
    views = []
    for claim in claims:
        owner = owners.get(claim.id.owner)
        view = claim_view(claim, owner)
        if owner is not None and owner.key.collection in TITLED:
            title = FORMS[owner.key.collection].map_json(owner, "title")
            view["title"] = msgspec.Raw(title)
        views.append(view)
    return views


# JSON -------------------------------------------------------------------------------------------


def result_json(done: Written, type_: str, id: str, *, with_data: bool) -> bytes:
    """What one operation came to, as an element of a batch's `results`."""
    parts = [b'{"status":%d,"type":"%s","id":' % (done.status, type_.encode()), _encode(id)]
    shown = "" if done.record is None else version(done.record, done.claims)
    if shown:
        parts.append(f',"version":"{shown}"'.encode())
    if done.effect:
        parts.append(f',"effect":"{done.effect}"'.encode())
    if done.is_replayed:
        parts.append(b',"replayed":true')
    parts.append(remarks_json(done))
    if with_data and done.record is not None:
        parts += (b',"data":', FORMS[type_].json(done.record, done.claims, shown))
    parts.append(b"}")
    return b"".join(parts)


def remarks_json(done: Written) -> bytes:
    """`,"warnings":[…],"dropped_slot":{…}` where there are any, to be put into an object."""
    parts = b""
    if done.warnings:
        views = [
            {"code": w.code, "detail": w.detail, "pointer": w.pointer, "others": w.others}
            | ({"speaker": w.speaker} if w.speaker else {})
            for w in done.warnings
        ]
        parts += b',"warnings":' + _encode(views)
    if done.dropped_slot is not None:
        dropped = done.dropped_slot
        view = {
            "code": dropped.code,
            "detail": dropped.detail,
            "slot": dropped.slot,
            "in_the_way": dropped.in_the_way,
        }
        parts += b',"dropped_slot":' + _encode(view)
    if done.series is not None:
        parts += b',"occurrences":' + _encode(done.series.occurrences)
        if done.series.skipped:
            parts += b',"skipped":' + _encode(done.series.skipped)
    return parts


def problem_json(problem: Problem, request_id: str) -> bytes:
    """A refused operation as an element of a batch's `results`."""
    return b'{"status":%d,"problem":' % problem.status + problem.encode(request_id) + b"}"


# Waiting for decisions ----------------------------------------------------------------------------


async def settled(call: Call, done: Sequence[Written]) -> Sequence[Written]:
    """What a write came to, once its claims are decided: as it is then, if the caller prefers to wait (`Prefer:
    wait=N`) and something is tentative; else as it is."""
    if call.wait_s is None:
        return done
    reader = call.front.gate.reader()
    claims_waited_for = [d for one in done for d in (*one.claims, *_of_sessions(one, reader))]
    open_ = [d.claim.id for d in claims_waited_for if d.state is ClaimState.TENTATIVE]
    if not open_:
        return done
    left_s = call.wait_until_s - asyncio.get_running_loop().time()
    await call.front.gate.decided(open_, left_s)
    # Record and claims of one moment: others may have changed the record meanwhile.
    keys = [one.record.key for one in done if one.record is not None and one.claims]
    with call.moment() as reader:
        records, claims = reader.load(keys), reader.claims_of(keys)
    return [
        structs.replace(
            one,
            record=records.get(one.record.key, one.record),
            claims=claims.get(one.record.key, ()),
        )
        if one.record is not None and one.claims
        else one
        for one in done
    ]


def _of_sessions(one: Written, reader: Reader) -> list[DecidedClaim]:
    """What the sessions of a series claim: it has no claims of its own."""
    if one.record is None or one.record.key.collection != SERIES or not one.record.alive:
        return []
    owned = reader.claims_of(sessions_of(one.record))
    return [decided for claims in owned.values() for decided in claims]
