"""Following changes without a WebSocket: pages of changes, server-sent events, and tickets for browsers' streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Annotated, Final

import msgspec

from konkordat.api.answers import JSON, Answer, StreamedAnswer, answer, streamed
from konkordat.api.auth import TICKET_LIFE_MS
from konkordat.api.call import Call
from konkordat.api.changes import changes_since, notes_of
from konkordat.api.consistency import reach
from konkordat.api.docs import CONSISTENCY, EVENT, SINCE, VENUE, Doc, Field, Reply
from konkordat.api.frames import EventFrames
from konkordat.api.front import EXPECTED, Front, Route
from konkordat.api.handshake import check_origin
from konkordat.api.hub import Follower, Hub, Line
from konkordat.api.notes import told
from konkordat.api.problems import Problem, invalid
from konkordat.api.schemas import ChangePage
from konkordat.api.settings import CHANGES_ITEMS_MAX
from konkordat.api.stream import HEARTBEAT_S
from konkordat.api.stream_messages import filter_of
from konkordat.api.tokens import Filter, parse_sync_token, sync_token
from konkordat.kernel.frontier import token as frontier_token
from konkordat.kernel.ids import Origin
from konkordat.schedule.registry import COLLECTIONS

CHANGES_DEFAULT: Final = 200
CHUNK_BYTES: Final = 64 << 10
EVENT_STREAM: Final = b"text/event-stream"
SUB: Final = ""  # an event stream has one subscription, without a name
FILTER_FIELDS: Final = (
    Field("types", "Only these collections, separated by commas."),
    EVENT,
    VENUE,
    Field("room", "Only sessions placed in this room or booth (its id)."),
    Field("fields", "Only changes that touch one of these fields, separated by commas."),
)


class Ticket(msgspec.Struct, frozen=True):
    """A ticket for one stream."""

    ticket: Annotated[str, msgspec.Meta(description="`wss://…/v2/stream?ticket=…`")]
    expires_in_s: int


# Pages ------------------------------------------------------------------------------------------


def changes_of(type_: str | None) -> ChangesHandler:
    """The handler of `…/changes` for one collection, or for all."""
    return ChangesHandler(type_)


class ChangesHandler:
    """`GET …/changes?since=`."""

    def __init__(self, type_: str | None) -> None:
        self._type = type_

    async def __call__(self, call: Call) -> StreamedAnswer:
        names = [
            field.name for field in FILTER_FIELDS if self._type is None or field.name != "types"
        ]
        call.take_only("since", "limit", *names)
        limit = call.integer("limit", CHANGES_DEFAULT, 1, CHANGES_ITEMS_MAX)
        filter_, since = _since(call, call.query.get("since"), self._type)
        await reach(call, since)
        gate = call.front.gate
        page = changes_since(gate.reader(), call.tenant, since, gate.frontier(), limit)
        token = sync_token(filter_, frontier_token(page.seen))
        more = "true" if page.has_more else "false"
        tail = f'],"token":"{token}","has_more":{more}}}'.encode()
        notes = notes_of(gate.reader(), page.touched)
        bodies = (body for note in notes if (body := told(note, filter_)) is not None)
        return streamed(call, _json_chunks(bodies, tail), JSON)


async def _json_chunks(bodies: Iterable[bytes], tail: bytes) -> AsyncIterator[bytes]:
    """The page piece by piece: it may be large, and others have their turn in between."""
    buffer, size = [b'{"data":['], 0
    separator = b"{"
    for body in bodies:
        buffer += (separator, body)
        separator = b",{"
        size += len(body)
        if size >= CHUNK_BYTES:
            yield b"".join(buffer)
            buffer, size = [], 0
            await asyncio.sleep(0)
    yield b"".join([*buffer, tail])


def _since(call: Call, text: str | None, type_: str | None) -> tuple[Filter, dict[Origin, int]]:
    """The filter and the frontier to go on from. A token brings its filter; another one cannot be put on it."""
    query = call.query
    for name in ("types", "event", "venue", "room", "fields"):
        if query.get(name) == "":
            raise invalid(f"?{name}", f"{name} is empty; leave it out to follow everything.")
    types = (type_,) if type_ else _names(query.get("types"))
    for name in types or ():
        if name not in COLLECTIONS:
            raise invalid("?types", f"There is no collection {name!r}.")
    asked = filter_of(
        types, _names(query.get("fields")), {n: query.get(n) for n in ("event", "venue", "room")}
    )
    if text is None:
        raise invalid("?since", "since is a token: of a list's last page, or of any answer.")
    of_token, frontier = parse_sync_token(text)
    if of_token == Filter():
        return asked, frontier
    if asked not in {of_token, Filter(), Filter(types=of_token.types)}:
        raise invalid("?since", "The token belongs to another filter.")
    return of_token, frontier


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(","))


# Server-sent events -------------------------------------------------------------------------------


class Events:
    """`GET /v2/stream/events`: the stream for those who only listen."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, call: Call) -> StreamedAnswer:
        call.take_only("since", *(field.name for field in FILTER_FIELDS))
        check_origin(call)
        assert call.credential is not None
        last = call.headers.get(b"last-event-id", b"").decode("latin-1")
        filter_, since = _since(call, last or call.query.get("since") or call.front.token(), None)
        await reach(call, since)
        line = Line(call.credential, EventFrames())
        self._hub.open(line)
        follower = Follower(line, SUB, filter_, since)
        chunks = self._chunks(call.front, line, follower)
        headers = [
            (b"x-accel-buffering", b"no")
        ]  # proxies that gather answers would hold events back
        return streamed(call, chunks, EVENT_STREAM, headers)

    async def _chunks(self, front: Front, line: Line, follower: Follower) -> AsyncIterator[bytes]:
        try:
            line.say("subscribed", token=follower.token)
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(self._catch_up(front, line, follower)),
                    tasks.create_task(_beat(front, line, follower)),
                ]
                while frames := await line.outbox.get():
                    yield b"".join(frames)
                if line.outbox.is_full and line.farewell is None:
                    front.counts.gaps.inc()
                    line.end(4008, "gap", detail="Events came faster than they were read.")
                for helper in helpers:
                    helper.cancel()
            if line.farewell is not None:
                yield line.farewell
        finally:
            line.outbox.close()
            self._hub.close(line)

    async def _catch_up(self, front: Front, line: Line, follower: Follower) -> None:
        try:
            await self._hub.catch_up(follower)
        except EXPECTED as error:
            line.end(1011, "problem", problem=front.problem_of(error, "").document(""))


async def _beat(front: Front, line: Line, follower: Follower) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        try:
            front.keyring.check_still_valid(line.credential)
        except Problem as problem:
            line.end(4401, "problem", problem=problem.document(""))
            return
        line.say("heartbeat", token=follower.token)


# Tickets ------------------------------------------------------------------------------------------


async def ticket(call: Call) -> Answer:
    """`POST /v2/stream/tickets`."""
    call.take_only()
    assert call.credential is not None
    made = Ticket(call.front.tickets.issue(call.credential), TICKET_LIFE_MS // 1_000)
    return answer(call, 201, msgspec.json.encode(made))


# Routes -------------------------------------------------------------------------------------------


def following_routes(hub: Hub) -> Iterator[Route]:
    """All routes of this module."""
    pages = (Reply(200, "Changes, and the token to go on with.", ChangePage),)
    detail = (
        "Each record that changed is told once, as it is now. A page holds whole batches, so it may hold some more than"
        " `limit`. `delete` is also told of what left the filter. Tokens are good at every node, for REST, SSE and"
        " WebSocket alike, and bring their filter with them."
    )
    limit = Field("limit", "Records a page, about; 1 to 1000, 200 if left out.", int)
    yield Route(
        method="GET", path="/v2/changes", run=changes_of(None), needs="read",
        doc=Doc(
            tag="changes", summary="Changes since a token", detail=detail,
            fields=(SINCE, limit, *FILTER_FIELDS, *CONSISTENCY), replies=pages,
            problems=("bad_token", "token_expired"),
        ),
    )  # fmt: skip
    for name in COLLECTIONS:
        yield Route(
            method="GET", path=f"/v2/{name}/changes", run=changes_of(name), needs="read",
            doc=Doc(
                tag=name, summary=f"Changes of {name} since a token", detail=detail,
                fields=(SINCE, limit, *FILTER_FIELDS[1:], *CONSISTENCY), replies=pages,
                problems=("bad_token", "token_expired"),
            ),
        )  # fmt: skip
    yield Route(
        method="GET", path="/v2/stream/events", run=Events(hub), needs="read",
        doc=Doc(
            tag="changes", summary="Changes as server-sent events",
            detail="Events: `change` (its id is the token), `caught_up`, `heartbeat`, `gap`, `drain`, `problem`. Resume"
            " with `Last-Event-ID`, as browsers do by themselves, or `since`.",
            fields=(msgspec.structs.replace(SINCE, required=False), *FILTER_FIELDS),
            replies=(Reply(200, "Events.", None, EVENT_STREAM.decode()),),
            problems=("bad_token", "too_many_streams", "origin_refused"),
        ),
    )  # fmt: skip
    yield Route(
        method="POST", path="/v2/stream/tickets", run=ticket, needs="read",
        doc=Doc(
            tag="changes", summary="A ticket for a browser's stream",
            detail="Good once, for 30 seconds, at this node: `wss://…/v2/stream?ticket=…`.",
            replies=(Reply(201, "The ticket.", Ticket),),
        ),
    )  # fmt: skip
