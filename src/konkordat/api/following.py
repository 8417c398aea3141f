"""Following changes without a WebSocket: pages of changes, and the routes of events and tickets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Annotated, Final

import msgspec

from konkordat.api.answers import JSON, Answer, StreamedAnswer, answer, streamed
from konkordat.api.auth import TICKET_LIFE_MS
from konkordat.api.call import Call
from konkordat.api.changes import changes_since, notes_of
from konkordat.api.consistency import reach
from konkordat.api.docs import CONSISTENCY, SINCE, Doc, Field, Reply
from konkordat.api.events import EVENT_STREAM, Events
from konkordat.api.front import Route
from konkordat.api.hub import Hub
from konkordat.api.notes import told
from konkordat.api.schemas import ChangePage
from konkordat.api.settings import CHANGES_ITEMS_MAX
from konkordat.api.since import FILTER_FIELDS, since_of
from konkordat.api.tokens import sync_token
from konkordat.kernel.frontier import token as frontier_token
from konkordat.schedule.registry import COLLECTIONS

CHANGES_DEFAULT: Final = 200
CHUNK_BYTES: Final = 64 << 10


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
        filter_, since = since_of(call, call.query.get("since"), self._type)
        await reach(call, since)
        gate = call.front.gate
        page = changes_since(gate.reader(), call.tenant, since, gate.frontier(), limit)
        token = sync_token(filter_, frontier_token(page.seen))
        more = "true" if page.has_more else "false"
        tail = f'],"token":"{token}","has_more":{more}}}'.encode()
        notes = notes_of(gate.reader(), page.touched)
        bodies = (body for note in notes if (body := told(note, filter_)) is not None)
        return streamed(call, _json_chunks(bodies, tail), JSON)


async def _json_chunks(bodies: Iterable[bytes], tail: bytes) -> AsyncGenerator[bytes, None]:
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
