"""`…/{id}/history`: every value that was ever written to a record, also those that lost a merge."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from konkordat.api.answers import Answer, answer
from konkordat.api.call import Call
from konkordat.api.consistency import is_really_missing
from konkordat.api.docs import CONSISTENCY, CURSOR, LIMIT, Doc, Reply
from konkordat.api.front import Route
from konkordat.api.placed import instant
from konkordat.api.problems import Problem
from konkordat.api.settings import PAGE_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX
from konkordat.api.tokens import bad_token
from konkordat.api.views import readable
from konkordat.kernel.change import Batch, Change, Transaction
from konkordat.kernel.hlc import Hlc, Stamp, ms_of
from konkordat.kernel.ids import Origin, RecordKey, node_of, record_key, valid_record_id
from konkordat.kernel.record import Record
from konkordat.schedule.registry import COLLECTIONS
from konkordat.store.port import HistoryRow, Reader
from konkordat.wire.batches import open_body

_encode: Final = msgspec.json.Encoder().encode


class Value(Struct, frozen=True, omit_defaults=True):
    """One group as one change wrote it."""

    group: str
    value: Any
    # Which value is shown now: this one, or one that another change wrote.
    is_current: bool
    won_by: Annotated[str, Meta(description="The stamp that is shown instead.")] | None = None


class Entry(Struct, frozen=True):
    """One change of a record."""

    stamp: Annotated[str, Meta(description="Clock and origin; the order of merging.")]
    at: str
    node: str
    origin: str
    seq: Annotated[int, Meta(description="The batch, within its origin.")]
    actor: str
    cause_id: str
    op: Annotated[str, Meta(description="write or delete")]
    values: tuple[Value, ...]
    reason: str | UnsetType = UNSET
    trace: str | UnsetType = UNSET


class HistoryPage(Struct, frozen=True):
    """Changes of a record, newest first."""

    data: tuple[Entry, ...]
    next_cursor: str | None
    has_more: bool


class History:
    """The handler of one collection."""

    def __init__(self, type_: str) -> None:
        self._type = type_

    async def __call__(self, call: Call) -> Answer:
        query = call.take_only("limit", "cursor")
        limit = call.integer("limit", PAGE_ITEMS_DEFAULT, 1, PAGE_ITEMS_MAX)
        before = _parse_cursor(query["cursor"]) if "cursor" in query else None
        id = call.params["id"]
        key = record_key(call.tenant, self._type, id)
        missing = Problem("not_found", f"There is no record {id!r} in {self._type}.")
        if not valid_record_id(id):
            raise missing
        shown = _page_of(call, key, limit, before)
        if shown is None and not await is_really_missing(call):
            shown = _page_of(call, key, limit, before)
        if shown is None:
            raise missing
        return answer(call, 200, _encode(shown))


def _page_of(
    call: Call, key: RecordKey, limit: int, before: tuple[Hlc, Origin] | None
) -> HistoryPage | None:
    """The page, if there is such a record; of a deleted one the history is still there."""
    with call.moment() as reader:
        record = reader.load([key]).get(key)
        return None if record is None else page(reader, record, limit, before)


def page(
    reader: Reader, record: Record, limit: int, before: tuple[Hlc, Origin] | None
) -> HistoryPage:
    """A page of a record's history."""
    rows = reader.history(record.key, limit + 1, before)
    shown = rows[:limit]
    opened: dict[tuple[Origin, int], Batch] = {}
    entries: list[Entry] = []
    size = 0
    for row in shown:
        entry = _entry(reader, record, row, opened)
        entries.append(entry)
        size += sum(len(bytes(value.value)) for value in entry.values)
        if size > PAGE_BYTES_MAX:
            break
    has_more = len(rows) > len(entries)
    cursor = _cursor_text(shown[len(entries) - 1]) if has_more else None
    return HistoryPage(tuple(entries), cursor, has_more)


def _entry(
    reader: Reader, record: Record, row: HistoryRow, opened: dict[tuple[Origin, int], Batch]
) -> Entry:
    batch = opened.get((row.origin, row.seq))
    if batch is None:
        (logged,) = reader.batches(row.origin, row.seq - 1, 1)
        batch = opened[row.origin, row.seq] = open_body(logged.body).batch
    transaction, change = _at(batch, row.position)
    stamp = Stamp(transaction.hlc, row.origin)
    return Entry(
        stamp_text(stamp),
        instant(ms_of(stamp.hlc)),
        node_of(row.origin),
        row.origin,
        row.seq,
        transaction.actor,
        transaction.cause_id,
        "write" if change.life % 2 else "delete",
        tuple([_value(record, change, stamp, g) for g in sorted(change.fields)]),
        transaction.reason or UNSET,
        transaction.trace or UNSET,
    )


def _value(record: Record, change: Change, stamp: Stamp, group: Any) -> Value:
    register = record.fields.get(group)
    is_current = register is not None and change.life == record.life and register.stamp == stamp
    instead = None if is_current or register is None else stamp_text(register.stamp)
    return Value(group, msgspec.Raw(readable(change.fields[group])), is_current, instead)


def _at(batch: Batch, position: int) -> tuple[Transaction, Change]:
    """The change at a position of a batch."""
    for transaction in batch.transactions:
        if position < len(transaction.changes):
            return transaction, transaction.changes[position]
        position -= len(transaction.changes)
    raise AssertionError("history names a change that its batch does not have")


def stamp_text(stamp: Stamp) -> str:
    """A stamp as text: 16 hexadecimal digits of clock, then the origin. Sorts as stamps do."""
    return f"{stamp.hlc:016x}@{stamp.origin}"


def _cursor_text(row: HistoryRow) -> str:
    packed = msgspec.msgpack.encode((row.hlc, row.origin))
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _parse_cursor(text: str) -> tuple[Hlc, Origin]:
    try:
        raw = base64.b64decode(
            text[:200].encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True
        )
        hlc, origin = msgspec.msgpack.decode(raw, type=tuple[int, str])
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, ValueError) as cause:
        raise bad_token("it is not a cursor of a history") from cause
    return Hlc(hlc), Origin(origin)


def history_routes() -> Iterator[Route]:
    """One route a collection."""
    for name in COLLECTIONS:
        yield Route(
            method="GET",
            path=f"/v2/{name}/{{id:str}}/history",
            run=History(name),
            needs="read",
            doc=Doc(
                tag=name,
                summary="Every value that was written",
                detail="Newest first, values that lost a merge and deleted records included.",
                fields=(LIMIT, CURSOR, *CONSISTENCY),
                replies=(Reply(200, "A page.", HistoryPage),),
                problems=("not_found", "bad_token"),
            ),
        )
