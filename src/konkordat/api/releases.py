"""`/v2/events/{id}/releases`: make a frozen copy of a programme, list them, compare them, and serve one.

The content is written first, in parts that fit a transaction each, then the release that names them: a release that is
there is whole, and what is left of one that failed half-way is never shown and taken up by the next attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from konkordat.api import schemas
from konkordat.api.answers import REVALIDATE, Answer, answer
from konkordat.api.call import Call
from konkordat.api.decoding import decode
from konkordat.api.docs import CONSISTENCY, CURSOR, IDEMPOTENCY, LIMIT, Doc, Field, Reply
from konkordat.api.front import Route
from konkordat.api.frozen import (
    CONTENT,
    DIGEST,
    PARTS,
    RELEASES_MAX,
    content_of,
    find,
    part_key,
)
from konkordat.api.idempotency import Repeatable, repeatable
from konkordat.api.problems import Problem, invalid
from konkordat.api.programmes import (
    Clashes,
    Snapshot,
    clashes_of,
    event_of,
    plain,
    revision,
    snapshot,
)
from konkordat.api.resources import Resource
from konkordat.api.views import FORMS, version
from konkordat.api.writing import Caller, Options, make_command, refused, settled, written
from konkordat.kernel import canonical
from konkordat.kernel.ids import Group, RecordKey, record_key
from konkordat.kernel.refusal import Refusal
from konkordat.schedule import fields as f
from konkordat.schedule.claims import EVENT, NAME, RELEASE_PARTS, RELEASES
from konkordat.schedule.commands import Operation
from konkordat.schedule.registry import COLLECTIONS
from konkordat.schedule.releases import (
    RELEASE_NAME_PATTERN,
    RESERVED_NAME,
    Entry,
    Part,
    ReleaseDiff,
    difference,
    digest_of,
    entry_of,
    pack,
    unpack,
)

WRITTEN_AT_ONCE_BYTES: Final = 1 << 20  # of parts in one transaction, which may hold 2 MiB
_LIST: Final = Resource(COLLECTIONS[RELEASES])
_encode: Final = msgspec.json.Encoder().encode


class ReleaseWish(Struct, frozen=True, forbid_unknown_fields=True):
    """A release to be made."""

    name: Annotated[str, Meta(pattern=RELEASE_NAME_PATTERN, examples=["1.0"])]
    comment: Annotated[str, Meta(max_length=f.TITLE_CHARS_MAX)] = ""


class ReleaseMade(Struct, frozen=True):
    """A release, and what clashes in it. Nothing of that hinders a release; a dry run shows it beforehand."""

    release: schemas.shown(COLLECTIONS[RELEASES]) | None  # type: ignore[valid-type] # made from the body
    clashes: Clashes


_wish_decoder: Final = msgspec.json.Decoder(ReleaseWish)


# Making -------------------------------------------------------------------------------------------


async def make(call: Call) -> Answer:
    """`POST`: freeze the programme as this node has it."""
    query = call.take_only("dry_run")
    if query.get("dry_run", "false") not in {"true", "false"}:
        raise invalid("?dry_run", "dry_run is true or false.")
    dry_run = query.get("dry_run") == "true"
    raw = await call.body()
    wish = decode(_wish_decoder, raw)
    request = None if dry_run else repeatable(call, raw)
    with call.front.running.only_once(request):
        found = await snapshot(call)
        _check_room(call, found)
        parts = await asyncio.to_thread(_packed, found)
        if not dry_run:
            await _write_parts(call, found.event.key, parts)
        body, status = await _write_release(call, found, wish, parts, request, dry_run=dry_run)
    clashes = _encode(clashes_of(call.front.gate, found))
    return answer(call, status, b'{"release":' + body + b',"clashes":' + clashes + b"}")


def _check_room(call: Call, found: Snapshot) -> None:
    key = found.event.key
    if call.front.gate.reader().count(key.tenant, RELEASES, key.id) >= RELEASES_MAX:
        raise Problem("too_large", f"The event has {RELEASES_MAX} releases, as many as it may.")


def _packed(found: Snapshot) -> list[Part]:
    records = (found.event, *found.others, *found.sessions)
    return pack(
        entry_of(r.key.collection, plain(r, found.claims.get(r.key, ())), revision(r))
        for r in records
    )


async def _write_parts(call: Call, event: RecordKey, parts: Sequence[Part]) -> None:
    """Keep what the release will name. Parts that are there already are not written again."""
    caller, gate = Caller.of(call), call.front.gate
    for number, group in enumerate(_transactions(parts)):
        operations = [_part_operation(event, part) for part in group]
        command = make_command(caller, operations, Options(), None, f"parts{number}")
        outcome = await gate.submit(command)
        if isinstance(outcome, Refusal):
            raise refused(outcome, gate.reader())


def _transactions(parts: Iterable[Part]) -> Iterator[list[Part]]:
    group: list[Part] = []
    size = 0
    for part in parts:
        if group and size + len(part.content) > WRITTEN_AT_ONCE_BYTES:
            yield group
            group, size = [], 0
        group.append(part)
        size += len(part.content)
    if group:
        yield group


def _part_operation(event: RecordKey, part: Part) -> Operation:
    groups = {EVENT: canonical.encode(event.id), CONTENT: part.content}
    return Operation("upsert", RELEASE_PARTS, part_key(event.tenant, part.id).id, groups)


async def _write_release(
    call: Call,
    found: Snapshot,
    wish: ReleaseWish,
    parts: Sequence[Part],
    request: Repeatable | None,
    *,
    dry_run: bool,
) -> tuple[bytes, int]:
    """The release as it is shown, and the status of the answer."""
    gate = call.front.gate
    id = request.id() if request else gate.new_id()
    values = {
        EVENT: found.event.key.id,
        NAME: wish.name,
        Group("comment"): wish.comment,
        Group("sessions"): len(found.sessions),
        DIGEST: digest_of(parts),
        PARTS: [part.id for part in parts],
    }
    groups = {group: canonical.encode(value) for group, value in values.items()}
    operation = Operation("create", RELEASES, record_key("", RELEASES, id).id, groups)
    mark = request.mark() if request else None
    command = make_command(Caller.of(call), [operation], Options(dry_run), mark)
    (done,) = written(await gate.submit(command), call.tenant, [operation], gate)
    if done.is_replayed:
        call.headers_out.append((b"idempotency-replayed", b"true"))
    if dry_run:
        return b"null", 200
    (done,) = await settled(call, [done])
    if done.record is None:
        return b"null", 200
    return FORMS[RELEASES].json(done.record, done.claims, version(done.record, done.claims)), 201


# Reading ------------------------------------------------------------------------------------------


async def list_all(call: Call) -> Answer:
    """`GET`: an event's releases, oldest first."""
    call.take_only("limit", "cursor")
    event = await event_of(call)
    return answer(call, 200, _LIST.page(call, event.key.id))


async def read(call: Call) -> Answer:
    """`GET` of one, by name or id."""
    call.take_only()
    event = await event_of(call)
    with call.moment() as reader:
        record = find(reader, event.key, call.params["release"])
        claims = reader.claims_of([record.key]).get(record.key, ())
    return answer(call, 200, FORMS[RELEASES].json(record, claims), cache=REVALIDATE)


async def diff(call: Call) -> Answer:
    """`GET`: what changed from one release to another, or to the present."""
    call.take_only()
    event = await event_of(call)
    reader = call.front.gate.reader()
    before = content_of(reader, find(reader, event.key, call.params["before"]))
    if call.params["after"] == RESERVED_NAME:
        found = await snapshot(call)
        after = await asyncio.to_thread(_entries_now, found)
    else:
        after = content_of(reader, find(reader, event.key, call.params["after"]))
    return answer(call, 200, await asyncio.to_thread(_difference, before, after))


def _entries_now(found: Snapshot) -> list[Entry]:
    return unpack(part.content for part in _packed(found))


def _difference(before: Sequence[Entry], after: Sequence[Entry]) -> bytes:
    return _encode(difference(before, after))


# Routes -------------------------------------------------------------------------------------------


def release_routes() -> Iterator[Route]:
    """All routes of this module."""
    many, one = "/v2/events/{id:str}/releases", "/v2/events/{id:str}/releases/{release:str}"
    shown = schemas.shown(COLLECTIONS[RELEASES])
    yield Route(
        method="POST", path=many, run=make, needs="write",
        doc=Doc(
            tag="releases", summary="Freeze the programme as a release",
            detail="A copy under a name, which never changes. Clashes are listed and hinder nothing; with"
            " `dry_run=true` they are all that happens.",
            fields=(
                IDEMPOTENCY, Field("dry_run", "`true`: say what would happen, write nothing.", bool),
                *CONSISTENCY,
            ),
            body=ReleaseWish,
            replies=(
                Reply(201, "Made.", ReleaseMade), Reply(200, "A dry run.", ReleaseMade),
            ),
            problems=(
                *("not_found", "release_exists", "too_large", "idempotency_key_reused"),
                "request_running",
            ),
        ),
    )  # fmt: skip
    yield Route(
        method="GET", path=many, run=list_all, needs="read",
        doc=Doc(
            tag="releases", summary="The releases of an event, oldest first",
            fields=(LIMIT, CURSOR, *CONSISTENCY),
            replies=(Reply(200, "A page.", schemas.page_of(COLLECTIONS[RELEASES])),),
            problems=("not_found", "bad_token"),
        ),
    )  # fmt: skip
    yield Route(
        method="GET", path=one, run=read, needs="read",
        doc=Doc(
            tag="releases", summary="A release, by name or id", fields=CONSISTENCY,
            replies=(Reply(200, "The release.", shown),), problems=("not_found",),
        ),
    )  # fmt: skip
    yield Route(
        method="GET", path="/v2/events/{id:str}/releases/{before:str}/diff/{after:str}", run=diff,
        needs="read",
        doc=Doc(
            tag="releases", summary="What changed from one release to another",
            detail="`now` stands for the programme as it is.", fields=CONSISTENCY,
            replies=(Reply(200, "What was added, removed and changed.", ReleaseDiff),),
            problems=("not_found", "too_large"),
        ),
    )  # fmt: skip
