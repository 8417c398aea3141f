"""`/v2/keys`: API keys are made, listed and revoked, by the operator for all tenants, by others for their own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from konkordat.api import keys
from konkordat.api.answers import Answer, answer
from konkordat.api.auth import Credential, stored_key
from konkordat.api.call import Call
from konkordat.api.consistency import is_really_missing
from konkordat.api.decoding import decode
from konkordat.api.docs import CONSISTENCY, CURSOR, LIMIT, Doc, Reply
from konkordat.api.front import Method, Route
from konkordat.api.placed import instant
from konkordat.api.problems import Problem, invalid
from konkordat.api.settings import PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX
from konkordat.api.tokens import Cursor, cursor_text, parse_cursor
from konkordat.api.writing import refused
from konkordat.kernel.hlc import ms_of
from konkordat.kernel.ids import Group, RecordId, RecordKey, Tenant
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.replica.messages import Accepted, Command
from konkordat.schedule import fields as f
from konkordat.schedule.claims import value_of
from konkordat.schedule.commands import OpName, WriteCommand, operation
from konkordat.schedule.keys import (
    API_KEYS,
    SYSTEM_COLLECTIONS,
    SYSTEM_TENANT,
    ApiKeyBody,
    api_key,
)

TENANT_PATTERN: Final = r"^[a-z][a-z0-9_-]{0,39}$(?!\n)"
SCANNED_MAX: Final = 5_000  # keys looked at for one page of a tenant's

_encode: Final = msgspec.json.Encoder().encode


class KeyWish(Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made."""

    name: f.Label
    scopes: Annotated[
        tuple[Literal["read", "write", "admin"], ...], Meta(min_length=1, max_length=3)
    ] = ("read", "write")
    tenant: (
        Annotated[str, Meta(pattern=TENANT_PATTERN, description="Only the operator may name one.")]
        | None
    ) = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class KeyShown(Struct, frozen=True, omit_defaults=True):
    """A key, without what would let anybody use it."""

    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    revoked: bool
    created_at: str
    created_by: str
    expires_at: str | None
    key: (
        Annotated[str, Meta(description="The key itself. Shown this once, stored nowhere.")] | None
    ) = None


class KeyPage(Struct, frozen=True):
    """A page of keys."""

    data: tuple[KeyShown, ...]
    next_cursor: str | None
    has_more: bool


_wish: Final = msgspec.json.Decoder(KeyWish)


async def create(call: Call) -> Answer:
    """`POST /v2/keys`."""
    call.take_only()
    wish = decode(_wish, await call.body())
    caller = _caller(call)
    tenant = _tenant_of(wish, caller)
    if (
        wish.expires_at is not None
        and wish.expires_at.timestamp() * 1_000 <= call.front.gate.now_ms()
    ):
        raise invalid("/expires_at", "expires_at has passed already.")
    minted = keys.mint(tenant, os.urandom(keys.ENTROPY_BYTES))
    body = ApiKeyBody(
        hash=minted.hash,
        tenant=tenant,
        scopes=wish.scopes,
        name=wish.name,
        created_by=caller.id,
        expires_at=wish.expires_at.astimezone(UTC) if wish.expires_at else None,
    )
    record = await _write(call, "create", minted.name.id, body)
    made = msgspec.structs.replace(_shown(record), key=minted.text)
    location = (b"location", f"/v2/keys/{made.id}".encode())
    return answer(call, 201, _encode(made), headers=[location])


async def list_(call: Call) -> Answer:
    """`GET /v2/keys`."""
    query = call.take_only("limit", "cursor")
    limit = call.integer("limit", PAGE_ITEMS_DEFAULT, 1, PAGE_ITEMS_MAX)
    after = ""
    if "cursor" in query:
        cursor = parse_cursor(query["cursor"])
        if cursor.collection != API_KEYS:
            raise Problem("bad_token", "The cursor belongs to another list.")
        after = cursor.after
    found, has_more = _page(call, RecordId(after), limit)
    next_ = (
        cursor_text(Cursor(API_KEYS, "", found[-1].key.id, call.front.token()))
        if has_more
        else None
    )
    return answer(call, 200, _encode(KeyPage(tuple(map(_shown, found)), next_, has_more)))


def _page(call: Call, after: RecordId, limit: int) -> tuple[Sequence[Record], bool]:
    """Keys that the caller may see, and whether there may be more."""
    reader, caller = call.front.gate.reader(), _caller(call)
    found: list[Record] = []
    for _ in range(SCANNED_MAX // PAGE_ITEMS_MAX):
        rows = reader.scan(SYSTEM_TENANT, API_KEYS, after, PAGE_ITEMS_MAX)
        for record in rows:
            if len(found) == limit:
                return found, True
            if _may_see(caller, record):
                found.append(record)
        if len(rows) < PAGE_ITEMS_MAX:
            return found, False
        after = rows[-1].key.id
    return found, bool(found)


async def read(call: Call) -> Answer:
    """`GET /v2/keys/{id}`."""
    call.take_only()
    return answer(call, 200, _encode(_shown(await _find(call))))


async def revoke(call: Call) -> Answer:
    """`DELETE /v2/keys/{id}`: for good, everywhere, as soon as it has been replicated."""
    call.take_only()
    record = await _find(call)
    patch = SYSTEM_COLLECTIONS[API_KEYS].patch(revoked=True)
    await _write(call, "patch", record.key.id, patch)
    return answer(call, 204)


async def _find(call: Call) -> Record:
    """The key of the address, if the caller may know of it; of another tenant's nobody learns anything."""
    id, caller = call.params["id"], _caller(call)
    key = api_key(id)
    for again in (True, False):
        record = call.front.gate.reader().load([key]).get(key)
        if record is not None and record.alive and _may_see(caller, record):
            return record
        if again and await is_really_missing(call):
            break
    raise Problem("not_found", f"There is no key {id!r}.")


async def _write(call: Call, op: OpName, id: str, body: Any) -> Record:
    spec = SYSTEM_COLLECTIONS[API_KEYS]
    made = operation(op, API_KEYS, id, body, spec=spec)
    command = Command(
        call.request_id, _caller(call).id, WriteCommand(SYSTEM_TENANT, (made,)), call.trace
    )
    outcome = await call.front.gate.submit(command)
    reader = call.front.gate.reader()
    if isinstance(outcome, Refusal):
        raise refused(outcome, reader)
    key: RecordKey = api_key(id)
    call.front.keyring.forget(key)
    if isinstance(outcome, Accepted) and outcome.records:
        return outcome.records[0]
    return reader.load([key])[key]


def _caller(call: Call) -> Credential:
    assert call.credential is not None, "these routes need a key"
    return call.credential


def _tenant_of(wish: KeyWish, caller: Credential) -> Tenant:
    if not caller.is_operator:
        if wish.tenant not in {None, caller.tenant}:
            raise Problem("scope_missing", "Only the operator makes keys for other tenants.")
        return Tenant(caller.tenant)
    if wish.tenant is None:
        raise invalid("/tenant", "The operator says for which tenant the key is.", "missing_field")
    return Tenant(wish.tenant)


def _may_see(caller: Credential, record: Record) -> bool:
    stored = stored_key(record)
    return stored is not None and (caller.is_operator or stored.credential.tenant == caller.tenant)


def _shown(record: Record) -> KeyShown:
    stored = stored_key(record)
    assert stored is not None, "only whole keys are shown"
    expires_ms = stored.credential.expires_ms
    return KeyShown(
        record.key.id,
        stored.credential.tenant,
        str(_text(record, "name")),
        stored.credential.scopes,
        stored.revoked,
        instant(ms_of(record.born.hlc)),
        str(_text(record, "created_by") or ""),
        None if expires_ms is None else instant(expires_ms),
    )


def _text(record: Record, group: str) -> Any:
    return value_of(record, Group(group))


def key_routes() -> Iterator[Route]:
    """All routes of this module."""

    def route(method: Method, path: str, run: Any, summary: str, **doc: Any) -> Route:
        made = Doc(tag="keys", summary=summary, **doc)
        return Route(method=method, path=path, run=run, needs="admin", doc=made)

    shown = (Reply(200, "The key.", KeyShown),)
    yield route(
        "POST", "/v2/keys", create, "Make an API key", body=KeyWish,
        detail="The answer holds the key; it is shown this once. An administrator makes keys for the own tenant.",
        replies=(Reply(201, "The key, this once.", KeyShown, headers=("Location",)),),
        problems=("invalid",),
    )  # fmt: skip
    yield route(
        "GET", "/v2/keys", list_, "List API keys", fields=(LIMIT, CURSOR, *CONSISTENCY),
        replies=(Reply(200, "A page.", KeyPage),), problems=("bad_token",),
    )  # fmt: skip
    yield route(
        "GET", "/v2/keys/{id:str}", read, "Read an API key", fields=CONSISTENCY, replies=shown,
        problems=("not_found",),
    )  # fmt: skip
    yield route(
        "DELETE", "/v2/keys/{id:str}", revoke, "Revoke an API key",
        detail="For good. It counts at each node as soon as the change is there: in milliseconds, or when the line is"
        " back.",
        fields=CONSISTENCY, replies=(Reply(204, "Revoked."),), problems=("not_found",),
    )  # fmt: skip
