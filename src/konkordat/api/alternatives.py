"""`GET /v2/sessions/{id}/alternatives`: what stands in a session's way, and what is free instead."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from konkordat.api.answers import Answer, answer
from konkordat.api.call import Call
from konkordat.api.consistency import is_really_missing
from konkordat.api.docs import CONSISTENCY, Doc, Reply
from konkordat.api.front import Route
from konkordat.api.instead import Copy
from konkordat.api.problems import Problem
from konkordat.api.schemas import Conflict
from konkordat.api.writing import conflicts
from konkordat.kernel.ids import RecordKey, Tenant, record_key
from konkordat.schedule.alternatives import free_times
from konkordat.schedule.claims import SEATS, SESSIONS, value_of
from konkordat.schedule.places import CONFLICTS_MAX, EVENT
from konkordat.schedule.slots import plan_of

_encode: Final = msgspec.json.Encoder().encode


class FreeSlots(Struct, frozen=True):
    """What stands in a session's way, and what is free instead."""

    conflicts: tuple[Conflict, ...]
    alternatives: tuple[Any, ...]  # slots: the same place at other times, then other rooms


async def alternatives(call: Call) -> Answer:
    """The handler."""
    call.take_only()
    key = record_key(call.tenant, SESSIONS, call.params["id"])
    shown = _shown(call, key)
    if shown is None and not await is_really_missing(call):
        shown = _shown(call, key)
    if shown is None:
        raise Problem("not_found", f"There is no session {key.id!r}.")
    return answer(call, 200, shown)


def _shown(call: Call, key: RecordKey) -> bytes | None:
    """The answer's body, if there is such a session."""
    with call.moment() as reader:
        record = reader.load([key]).get(key)
        if record is None or not record.alive:
            return None
        plan = plan_of(record)
        if not plan.candidates:
            return _encode({"conflicts": [], "alternatives": []})
        copy = Copy(reader, Tenant(call.tenant), call.front.gate.now_ms())
        asking = copy.asking(key, value_of(record, EVENT))
        wish = copy.book.buffered(plan.candidates[0])
        free = free_times(asking, wish) + copy.rooms(asking, wish, value_of(record, SEATS))
        in_the_way = conflicts(asking.blocking(wish)[:CONFLICTS_MAX], reader)
        return _encode({"conflicts": in_the_way, "alternatives": free})


def alternatives_route() -> Route:
    """The route."""
    return Route(
        method="GET",
        path="/v2/sessions/{id:str}/alternatives",
        run=alternatives,
        needs="read",
        doc=Doc(
            tag="sessions",
            summary="What is free instead of a session's place",
            detail="The same place at other times, and other rooms of enough size at the same time; with what stands"
            " in the way of the place it asks for.",
            fields=CONSISTENCY,
            replies=(Reply(200, "Slots that are free.", FreeSlots),),
            problems=("not_found",),
        ),
    )
