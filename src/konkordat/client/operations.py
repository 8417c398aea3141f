"""Every operation of the API as a sans-I/O generator; both clients offer exactly these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from konkordat.client.core import MERGE_PATCH, Call, Core, Reply, Steps
from konkordat.client.errors import BadAnswer
from konkordat.client.options import BatchOptions, WriteOptions, write_call
from konkordat.client.results import BatchResult, ChangesPage, Item, Page

Mode = Literal["independent", "atomic"]
RosterChange = Literal["join", "leave", "replace"]
T = TypeVar("T")


def _path(*parts: str) -> str:
    return "/v2/" + "/".join(quote(part, safe="") for part in parts)


def _as(reply: Reply, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(reply.body, type=type_)
    except msgspec.MsgspecError as cause:
        raise BadAnswer(f"{cause}") from cause


# Records -----------------------------------------------------------------------------------------


def create(
    core: Core, collection: str, data: Mapping[str, Any], options: WriteOptions
) -> Steps[Item]:
    """Create a record; the node makes an id if `data` has none. Raises Conflict, Invalid."""
    body = msgspec.json.encode(data)
    return (yield from _item(core, write_call("POST", _path(collection), body, options)))


def get(core: Core, collection: str, id: str, wait_s: float | None = None) -> Steps[Item]:
    """One record. Raises NotFound, once a node that has caught up says so."""
    return (yield from _item(core, Call("GET", _path(collection, id), wait_s=wait_s)))


def put(
    core: Core, collection: str, id: str, data: Mapping[str, Any], options: WriteOptions
) -> Steps[Item]:
    """Create or replace a record."""
    body = msgspec.json.encode(data)
    return (yield from _item(core, write_call("PUT", _path(collection, id), body, options)))


def update(
    core: Core, collection: str, id: str, patch: Mapping[str, Any], options: WriteOptions
) -> Steps[Item]:
    """Change some fields (a JSON merge patch: None clears, a list replaces)."""
    body = msgspec.json.encode(patch)
    call = write_call("PATCH", _path(collection, id), body, options, MERGE_PATCH)
    return (yield from _item(core, call))


def delete(core: Core, collection: str, id: str, options: WriteOptions) -> Steps[None]:
    """Delete a record."""
    yield from core.perform(write_call("DELETE", _path(collection, id), None, options))


def page(core: Core, collection: str, query: Mapping[str, str]) -> Steps[Page]:
    """One page of a list."""
    reply = yield from core.perform(Call("GET", _path(collection), query=query))
    return _as(reply, Page)


def history(core: Core, collection: str, id: str, cursor: str = "") -> Steps[Item]:
    """What was ever written to a record, values that lost a merge included. Newest first."""
    query = {"cursor": cursor} if cursor else {}
    return (yield from _item(core, Call("GET", _path(collection, id, "history"), query=query)))


def changes(
    core: Core, since: str, collection: str = "", limit: int | None = None
) -> Steps[ChangesPage]:
    """What became of records since a token, each as it is now."""
    path = _path(collection, "changes") if collection else _path("changes")
    query = ({"since": since} if since else {}) | ({"limit": str(limit)} if limit else {})
    reply = yield from core.perform(Call("GET", path, query=query))
    return _as(reply, ChangesPage)


def _item(core: Core, call: Call) -> Steps[Item]:
    reply = yield from core.perform(call)
    item = reply.json() if reply.body else {}
    if not isinstance(item, dict):
        raise BadAnswer("an object was expected")
    return item


# Many at once ------------------------------------------------------------------------------------


def batch(
    core: Core, operations: Sequence[Mapping[str, Any]], mode: Mode, options: BatchOptions
) -> Steps[BatchResult]:
    """Up to 500 operations `{op, type, id?, data?, if_match?, on_conflict?}` in one request."""
    body: dict[str, Any] = {"operations": operations, "mode": mode}
    for name in ("dry_run", "include_data", "override", "together"):
        if options.get(name):
            body[name] = options.get(name)
    call = Call(
        "POST",
        "/v2/batch",
        msgspec.json.encode(body),
        idempotency_key=options.get("idempotency_key", ""),
        wait_s=options.get("wait_s"),
    )
    return _as((yield from core.perform(call)), BatchResult)


# Whole documents ----------------------------------------------------------------------------------


def schedule(core: Core, event: str, format: str, release: str = "") -> Steps[bytes]:
    """An event's programme, or a release of it, as xml (frab), json (frab) or ics."""
    query = {"release": release} if release else {}
    path = _path("events", event, f"schedule.{format}")
    reply = yield from core.perform(Call("GET", path, query=query))
    return reply.body


def release(core: Core, event: str, name: str, comment: str, options: WriteOptions) -> Steps[Item]:
    """Freeze the programme under a name. Raises Conflict if the event has such a release."""
    body = msgspec.json.encode({"name": name, "comment": comment})
    path = _path("events", event, "releases")
    return (yield from _item(core, write_call("POST", path, body, options)))


def release_diff(core: Core, event: str, before: str, after: str) -> Steps[Item]:
    """What changed from one release to another, or to "now"."""
    path = _path("events", event, "releases", before, "diff", after)
    return (yield from _item(core, Call("GET", path)))


def seats(core: Core, session: str, query: Mapping[str, str]) -> Steps[Item]:
    """A session's seats, with a page of its registrations."""
    path = _path("sessions", session, "registrations")
    return (yield from _item(core, Call("GET", path, query=query)))


def audit(core: Core, query: Mapping[str, str], *below: str) -> Steps[Reply]:
    """The audit trail, or what is `below` it, as NDJSON, its body still to be read."""
    call = Call("GET", _path("audit", *below), query=query, is_streamed=True)
    return (yield from core.perform(call))


def alternatives(core: Core, session: str) -> Steps[Item]:
    """What stands in the way of a session's place, and what is free instead."""
    return (yield from _item(core, Call("GET", _path("sessions", session, "alternatives"))))


def free_page(core: Core, query: Mapping[str, str]) -> Steps[Page]:
    """One page of places with what is free there."""
    reply = yield from core.perform(Call("GET", "/v2/free", query=query))
    return _as(reply, Page)


def series_sessions(core: Core, series: str) -> Steps[list[Item]]:
    """The sessions of a series, in order of their times by the rule."""
    page = yield from _item(core, Call("GET", _path("series", series, "sessions")))
    return list(page["data"])


def clashes(core: Core, event: str) -> Steps[Item]:
    """Soft rules that the programme breaks: speakers in two places, rooms too small."""
    return (yield from _item(core, Call("GET", _path("events", event, "clashes"))))


# The cluster --------------------------------------------------------------------------------------


def cluster(core: Core) -> Steps[Item]:
    """All nodes as one of them sees them: frontiers, lag, digests, health."""
    return (yield from _item(core, Call("GET", "/v2/cluster", fresh=False)))


def token(core: Core, text: str) -> Steps[Item]:
    """Which nodes have what a consistency token names."""
    return (yield from _item(core, Call("GET", _path("tokens", text), fresh=False)))


def who_decides(core: Core, query: Mapping[str, str]) -> Steps[Page]:
    """One page of the seats: who decides for which venue and event."""
    reply = yield from core.perform(Call("GET", "/v2/seats", query=query, fresh=False))
    return _as(reply, Page)


def seat_timeline(core: Core, seat: str) -> Steps[Item]:
    """Who held a seat, from when to when, latest first."""
    return (yield from _item(core, Call("GET", _path("seats", seat, "timeline"), fresh=False)))


def hand_over(
    core: Core, seat: str, to: str, accept_loss: bool, wait_s: float | None
) -> Steps[Item]:
    """Let another member hold a seat."""
    wish = {"to": to} | ({"accept_loss": True} if accept_loss else {})
    body = msgspec.json.encode(wish)
    call = Call("POST", _path("seats", seat, "handover"), body, wait_s=wait_s, fresh=False)
    return (yield from _item(core, call))


def roster(core: Core) -> Steps[Item]:
    """Who votes and may hold seats."""
    return (yield from _item(core, Call("GET", "/v2/roster", fresh=False)))


def change_roster(
    core: Core, change: RosterChange, node: str, by: str, wait_s: float | None
) -> Steps[Item]:
    """Let one node join or leave, or replace one by another."""
    wish = {"change": change, "node": node} | ({"by": by} if by else {})
    call = Call("POST", "/v2/roster", msgspec.json.encode(wish), wait_s=wait_s, fresh=False)
    return (yield from _item(core, call))


def create_key(core: Core, request: Mapping[str, Any]) -> Steps[Item]:
    """Make an API key; its secret is in this answer and never again."""
    return (yield from _item(core, Call("POST", "/v2/keys", msgspec.json.encode(request))))


def list_keys(core: Core, query: Mapping[str, str] | None = None) -> Steps[Item]:
    """The keys, without their secrets."""
    return (yield from _item(core, Call("GET", "/v2/keys", query=query or {})))


def revoke_key(core: Core, id: str) -> Steps[None]:
    """Revoke a key, everywhere within seconds."""
    yield from core.perform(Call("DELETE", _path("keys", id)))


def raw(core: Core, call: Call) -> Steps[Reply]:
    """Any other request, with the same retries."""
    return (yield from core.perform(call))
