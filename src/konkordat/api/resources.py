"""`/v2/{collection}`: create, list, read, replace, patch, delete. One set of handlers, made for each collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from msgspec.structs import replace

from konkordat.api import schemas
from konkordat.api.answers import REVALIDATE, Answer, Header, answer
from konkordat.api.bodies import Conditions, etags, make_operation, written_etags
from konkordat.api.call import Call
from konkordat.api.consistency import is_really_missing
from konkordat.api.docs import (
    CONSISTENCY,
    CURSOR,
    EVENT,
    IDEMPOTENCY,
    IF_MATCH,
    IF_NONE_MATCH,
    LIMIT,
    MERGE_PATCH,
    SESSION,
    VENUE,
    Doc,
    Field,
    Reply,
)
from konkordat.api.front import Method, Route
from konkordat.api.idempotency import Repeatable, repeatable
from konkordat.api.keys import Scope
from konkordat.api.problems import Problem, invalid
from konkordat.api.settings import PAGE_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX
from konkordat.api.tokens import Cursor, Filter, cursor_text, parse_cursor, sync_token
from konkordat.api.views import FORMS, Form, version
from konkordat.api.writing import (
    REASON_CHARS_MAX,
    Caller,
    Options,
    Written,
    make_command,
    remarks_json,
    settled,
    shows_outcomes,
    written,
)
from konkordat.kernel.change import RequestMark
from konkordat.kernel.claim import DecidedClaim
from konkordat.kernel.ids import (
    Collection,
    RecordId,
    RecordKey,
    Tenant,
    record_key,
    valid_record_id,
)
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.replica.messages import Outcome
from konkordat.schedule.commands import OnConflict, Operation
from konkordat.schedule.registry import COLLECTIONS, CollectionSpec
from konkordat.store.port import Reader

SLICE_RECORDS: Final = 50  # of a list, in memory before their size is known
JSON_TYPES: Final = frozenset({"", "application/json"})
PATCH_TYPES: Final = frozenset({"application/merge-patch+json", "application/json"})
ON_CONFLICT: Final[tuple[OnConflict, ...]] = get_args(OnConflict)
# What a collection's records belong to, so that a list can ask for the records of one.
PARENTS: Final[Mapping[str, Field]] = {
    "sessions": EVENT,
    "rooms": VENUE,
    "booths": VENUE,
    "registrations": SESSION,
    "holds": EVENT,
    "series": EVENT,
    "releases": EVENT,
}
# Refusals that only writes of a collection meet.
OWN_PROBLEMS: Final[Mapping[str, tuple[str, ...]]] = {
    "sessions": ("slot_taken", "outside_event", "hold_expired", "seats_below_registered"),
    "series": ("slot_taken", "outside_event", "bad_recurrence", "too_many_occurrences"),
    "holds": ("slot_taken", "outside_event", "bad_expiry"),
    "registrations": (
        *("sold_out", "not_registrable", "beyond_capacity", "already_registered", "not_confirmed"),
    ),
}
WRITE_FIELDS: Final = (
    Field("dry_run", "`true`: say what would happen, write nothing.", bool),
    Field(
        "on_conflict",
        "What to do with a slot that is taken: `fail` (409, the default), `tentative` (write it; it waits for the"
        " place), `without_slot` (write the rest) or `skip_occurrence` (of a series, leave that one out).",
    ),
    Field("override", "Why a rule that may be overridden is; kept in the audit trail."),
)


class Resource:
    """The handlers of one collection."""

    def __init__(self, spec: CollectionSpec) -> None:
        self.type = spec.name
        self.form: Form = FORMS[spec.name]
        self._has_claims = spec.has_claims
        parent = PARENTS.get(spec.name)
        self._parents: tuple[str, ...] = () if parent is None else (parent.name,)

    # Reading -----------------------------------------------------------------------------------

    async def read(self, call: Call) -> Answer:
        call.take_only()
        key = self._key(call)
        record, claims = self._look_up(call, key)
        if record is None and not await is_really_missing(call):
            record, claims = self._look_up(call, key)
        if record is None:
            raise self._missing(key)
        shown = version(record, claims)
        tag = f'"{shown}"'
        headers: list[Header] = [(b"etag", tag.encode())]
        asked = etags(call.header(b"if-none-match"))
        if "*" in asked or tag in [t.removeprefix("W/") for t in asked]:
            return answer(call, 304, headers=headers, cache=REVALIDATE)
        body = self.form.json(record, claims, shown)
        return answer(call, 200, body, headers=headers, cache=REVALIDATE)

    async def list_all(self, call: Call) -> Answer:
        query = call.take_only("limit", "cursor", *self._parents)
        parent = next((query[name] for name in self._parents if name in query), None)
        return answer(call, 200, self.page(call, parent))

    def page(self, call: Call, parent: str | None) -> bytes:
        """One page, of the records of a parent if one is given, as the query's limit and cursor say."""
        limit = call.integer("limit", PAGE_ITEMS_DEFAULT, 1, PAGE_ITEMS_MAX)
        cursor = self._cursor(call, parent, call.query.get("cursor"))
        with call.moment() as reader:
            page, is_last = self._page(reader, Tenant(call.tenant), cursor, limit)
            claims = reader.claims_of([r.key for r in page]) if self._has_claims else {}
        items = b",".join([self.form.json(r, claims.get(r.key, ())) for r in page])
        tail = self._list_tail(cursor, page, is_last=is_last)
        return b'{"data":[' + items + b"]," + tail + b"}"

    def _page(
        self, reader: Reader, tenant: Tenant, cursor: Cursor, limit: int
    ) -> tuple[list[Record], bool]:
        """The records of a page, and whether it is the last. Read in slices: large records end it early."""
        page: list[Record] = []
        after, size = cursor.after, 0
        while len(page) < limit and size < PAGE_BYTES_MAX:
            want = min(SLICE_RECORDS, limit - len(page))
            # One more than wanted tells whether there is more.
            found = reader.scan(
                tenant, Collection(self.type), RecordId(after), want + 1, cursor.parent or None
            )
            page += found[:want]
            if len(found) <= want:
                return page, True
            after = found[want - 1].key.id
            size += sum(len(r.value) for record in found for r in record.fields.values())
        return page, False

    def _cursor(self, call: Call, parent: str | None, text: str | None) -> Cursor:
        if parent is not None and not valid_record_id(parent):
            name = self._parents[0]
            raise invalid(f"?{name}", f"{name} is the id of a record.")
        if text is None:
            return Cursor(self.type, parent or "", "", call.front.token())
        cursor = parse_cursor(text)
        if cursor.collection != self.type or (parent is not None and parent != cursor.parent):
            raise Problem("bad_token", "The cursor belongs to another list.")
        return cursor

    def _list_tail(self, cursor: Cursor, page: list[Record], *, is_last: bool) -> bytes:
        if is_last:
            # What the first page had seen, not the last one: changes made meanwhile come again, none is missed.
            of = dict.fromkeys(self._parents, cursor.parent)
            shown = replace(Filter(types=(self.type,)), **of)
            token = sync_token(shown, cursor.seen)
            return f'"next_cursor":null,"has_more":false,"sync_token":"{token}"'.encode()
        after = cursor_text(Cursor(self.type, cursor.parent, page[-1].key.id, cursor.seen))
        return f'"next_cursor":"{after}","has_more":true'.encode()

    def _look_up(
        self, call: Call, key: RecordKey
    ) -> tuple[Record | None, list[DecidedClaim] | tuple[()]]:
        with call.moment() as reader:
            record = reader.load([key]).get(key)
            if record is None or not record.alive:
                return None, ()
            return record, reader.claims_of([key]).get(key, ()) if self._has_claims else ()

    # Writing -----------------------------------------------------------------------------------

    async def create(self, call: Call) -> Answer:
        body = await self._body(call, JSON_TYPES)
        request = repeatable(call, body)
        id = request.id() if request else call.front.gate.new_id()
        operation = make_operation("create", self.type, id, body, self._conditions(call))
        return await self._write(call, operation, request)

    async def replace(self, call: Call) -> Answer:
        body = await self._body(call, JSON_TYPES)
        operation = make_operation(
            "upsert", self.type, call.params["id"], body, self._conditions(call)
        )
        return await self._write(call, operation, repeatable(call, body))

    async def patch(self, call: Call) -> Answer:
        body = await self._body(call, PATCH_TYPES)
        operation = make_operation(
            "patch", self.type, call.params["id"], body, self._conditions(call)
        )
        return await self._write(call, operation, repeatable(call, body))

    async def delete(self, call: Call) -> Answer:
        id = call.params["id"]
        operation = make_operation("delete", self.type, id, b"", self._conditions(call))
        return await self._write(call, operation, repeatable(call, b""))

    async def _write(self, call: Call, operation: Operation, request: Repeatable | None) -> Answer:
        front = call.front
        options = _options(call)
        # A dry run has no effect that a retry could repeat.
        mark = request.mark() if request and not options.dry_run else None
        with front.running.only_once(request):
            outcome = await self._submit(call, operation, options, mark)
        done = self._written(call, operation, outcome, options)
        if not options.dry_run:
            (done,) = await settled(call, [done])
        front.counts.operations.labels(done.effect or "replayed").inc()
        return self._done(call, operation, done, options)

    def _written(
        self, call: Call, operation: Operation, outcome: Outcome, options: Options
    ) -> Written:
        """What became of it. Raises Problem for a refusal."""
        tenant, gate = call.tenant, call.front.gate
        if not options.dry_run and shows_outcomes(call, tenant, [operation], [outcome]):
            return written(outcome, tenant, [operation], gate)[0]
        with call.moment():
            return written(outcome, tenant, [operation], gate, dry_run=options.dry_run)[0]

    async def _submit(
        self, call: Call, operation: Operation, options: Options, mark: RequestMark | None
    ) -> Outcome:
        gate = call.front.gate
        command = make_command(Caller.of(call), [operation], options, mark)
        outcome = await gate.submit(command)
        missing = isinstance(outcome, Refusal) and outcome.code == "not_found"
        if missing and not await is_really_missing(call):
            # It may have come meanwhile. A refusal wrote nothing, so asking again is safe.
            again = make_command(Caller.of(call), [operation], options, mark)
            outcome = await gate.submit(again)
        return outcome

    def _done(self, call: Call, operation: Operation, done: Written, options: Options) -> Answer:
        headers: list[Header] = []
        if done.is_replayed:
            headers.append((b"idempotency-replayed", b"true"))
        if operation.op == "delete" or done.record is None:
            return answer(call, 204, headers=headers)
        shown = version(done.record, done.claims)
        headers.append((b"etag", f'"{shown}"'.encode()))
        body = self.form.json(done.record, done.claims, shown)
        remarks = remarks_json(done)
        if remarks:
            body = body[:-1] + remarks + b"}"
        if options.dry_run:
            return answer(call, 200, body, headers=headers)
        if done.status == 201:
            headers.append((b"location", f"/v2/{self.type}/{operation.id}".encode()))
        return answer(call, done.status, body, headers=headers)

    # Parts of requests ---------------------------------------------------------------------------

    def _key(self, call: Call) -> RecordKey:
        id = call.params["id"]
        key = record_key(call.tenant, self.type, id)
        if not valid_record_id(id):
            raise self._missing(key)
        return key

    def _missing(self, key: RecordKey) -> Problem:
        return Problem("not_found", f"There is no record {key.id!r} in {self.type}.")

    async def _body(self, call: Call, types: frozenset[str]) -> bytes:
        raw = call.headers.get(b"content-type", b"").decode("latin-1")
        media_type = raw.partition(";")[0].strip().lower()
        if media_type not in types:
            accepted = " or ".join(sorted(filter(None, types)))
            raise Problem("unsupported_media_type", f"Send {accepted}, not {media_type!r}.")
        return await call.body()

    def _conditions(self, call: Call) -> Conditions:
        query = call.query
        on_conflict = next((w for w in ON_CONFLICT if w == query.get("on_conflict", "fail")), None)
        if on_conflict is None:
            raise invalid("?on_conflict", f"on_conflict is one of {', '.join(ON_CONFLICT)}.")
        if not call.headers.keys() & {b"if-match", b"if-none-match"}:
            return Conditions(on_conflict=on_conflict)
        none_match = call.header(b"if-none-match")
        if none_match not in {"", "*"}:
            raise Problem("bad_request", "A write understands only `If-None-Match: *`.")
        if_match = written_etags(call.header(b"if-match"))
        return Conditions(if_match, none_match == "*", on_conflict)


def _options(call: Call) -> Options:
    query = call.take_only("dry_run", "on_conflict", "override")
    if not query:
        return Options()
    dry_run = query.get("dry_run", "false")
    if dry_run not in {"true", "false"}:
        raise invalid("?dry_run", "dry_run is true or false.")
    override = query.get("override", "")
    if len(override) > REASON_CHARS_MAX or ("override" in query and not override.strip()):
        raise invalid("?override", f"override is a reason of 1 to {REASON_CHARS_MAX} characters.")
    return Options(dry_run == "true", override)


# Routes -----------------------------------------------------------------------------------------


def resource_routes() -> Iterator[Route]:
    """All routes of all collections."""
    for spec in COLLECTIONS.values():
        # What never changes has a way of its own to be made (releases.py).
        for route in _routes(spec, Resource(spec)):
            if route.method == "GET" or not spec.is_frozen:
                yield route


def _routes(spec: CollectionSpec, resource: Resource) -> Iterator[Route]:
    name, one = spec.name, schemas.singular(spec)
    shown = schemas.shown(spec)
    many, single = f"/v2/{name}", f"/v2/{name}/{{id:str}}"
    written_reply = (Reply(200, "Written.", shown, headers=("ETag",)),)
    created_reply = (Reply(201, "Created.", shown, headers=("ETag", "Location")),)
    there_reply = (Reply(200, "It was there already, the same; or a dry run.", shown),)
    writes = ("invalid", "unknown_reference", "idempotency_key_reused", "request_running")
    conditional = (*writes, "precondition_failed")
    slots = OWN_PROBLEMS.get(name, ())
    listed = (PARENTS[name],) if name in PARENTS else ()

    def route(method: Method, path: str, run: str, summary: str, **doc: Any) -> Route:
        needs: Scope = "read" if method == "GET" else "write"
        made = Doc(tag=name, summary=summary, **doc)
        return Route(method=method, path=path, run=getattr(resource, run), needs=needs, doc=made)

    yield route(
        "POST", many, "create", f"Create {one}",
        fields=(IDEMPOTENCY, *WRITE_FIELDS, *CONSISTENCY), body=spec.body,
        replies=created_reply + there_reply, problems=(*writes, *slots, "already_exists"),
    )  # fmt: skip
    yield route(
        "GET", many, "list_all", f"List {name}, in order of id",
        detail="The last page has a `sync_token`: changes since the first page, for `…/changes` or the stream.",
        fields=(*listed, LIMIT, CURSOR, *CONSISTENCY),
        replies=(Reply(200, "A page.", schemas.page_of(spec)),), problems=("bad_token",),
    )  # fmt: skip
    yield route(
        "GET", single, "read", f"Read {one}",
        fields=(IF_NONE_MATCH, *CONSISTENCY),
        replies=(Reply(200, "The record.", shown, headers=("ETag",)), Reply(304, "Unchanged.")),
        problems=("not_found",),
    )  # fmt: skip
    yield route(
        "PUT", single, "replace", f"Create or replace {one}",
        detail="What the body leaves out is cleared. `If-None-Match: *` only creates.",
        fields=(IF_MATCH, IDEMPOTENCY, *WRITE_FIELDS, *CONSISTENCY), body=spec.body,
        replies=written_reply + created_reply, problems=(*conditional, *slots),
    )  # fmt: skip
    yield route(
        "PATCH", single, "patch", f"Change {one}",
        detail="A merge patch (RFC 7396): left out is unchanged, null clears, a list replaces.",
        fields=(IF_MATCH, IDEMPOTENCY, *WRITE_FIELDS, *CONSISTENCY), body=spec.patch,
        body_type=MERGE_PATCH, replies=written_reply,
        problems=(*conditional, *slots, "not_found", "unsupported_media_type"),
    )  # fmt: skip
    yield route(
        "DELETE", single, "delete", f"Delete {one}",
        fields=(IF_MATCH, IDEMPOTENCY, *CONSISTENCY), replies=(Reply(204, "Deleted."),),
        problems=("not_found", "in_use", "precondition_failed"),
    )  # fmt: skip
