"""`/v2/audit`: every change of every node, as NDJSON in the order of (clock, origin).

It is byte-identical on every node that has the same changes.

The log is kept by origin and grows by clock within each, so the order comes from merging one reader an origin.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from konkordat.api.answers import StreamedAnswer, streamed
from konkordat.api.call import Call
from konkordat.api.docs import CONSISTENCY, Doc, Field, Reply
from konkordat.api.front import Route
from konkordat.api.placed import instant
from konkordat.api.problems import invalid
from konkordat.api.views import readable
from konkordat.kernel.change import Change, Transaction
from konkordat.kernel.frontier import token as frontier_token
from konkordat.kernel.hlc import Hlc, hlc_at, ms_of
from konkordat.kernel.ids import Origin
from konkordat.store.port import Reader
from konkordat.wire.batches import open_body

NDJSON: Final = b"application/x-ndjson"
ROWS_PER_READ: Final = 64  # a few milliseconds of the event loop
BYTES_PER_READ: Final = 512 << 10
CHUNK_BYTES: Final = 64 << 10

# Sorted keys and no white space: the same change is the same line on every node.
_encode: Final = msgspec.json.Encoder(order="deterministic").encode

Line = tuple[int, str, int, bytes]  # clock, origin, number within the transaction, JSON


class Span(msgspec.Struct, frozen=True):
    """Which changes to export."""

    tenant: str  # "" = of all tenants
    low: Hlc
    high: Hlc  # excluded


async def audit(call: Call) -> StreamedAnswer:
    """The handler. An operator sees all tenants, everybody else their own."""
    call.take_only("since", "until")
    assert call.credential is not None
    tenant = "" if call.credential.is_operator else call.tenant
    span = Span(tenant, _clock(call, "since", 0), _clock(call, "until", (1 << 47) - 1))
    upto = dict(call.front.gate.frontier())
    chunks = in_chunks(lines(call.front.gate.reader(), span, upto))
    # The export is of this frontier, whatever is written while it is read.
    headers = [(b"x-audit-frontier", frontier_token(upto).encode())]
    return streamed(call, chunks, NDJSON, headers)


async def in_chunks(lines_: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Lines by the handful; between two, others have their turn."""
    buffer: list[bytes] = []
    size = 0
    for line in lines_:
        buffer.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield b"".join(buffer)
            buffer, size = [], 0
            await asyncio.sleep(0)
    if buffer:
        yield b"".join(buffer)


def lines(reader: Reader, span: Span, upto: Mapping[Origin, int]) -> Iterator[bytes]:
    """The export up to a frontier, one line a change."""
    sources = [_of_origin(reader, span, origin, upto[origin]) for origin in sorted(upto)]
    for _, _, _, line in heapq.merge(*sources):
        yield line


def _of_origin(reader: Reader, span: Span, origin: Origin, last: int) -> Iterator[Line]:
    """The lines of one origin, in order of its clock."""
    at = 0
    while at < last:
        rows = reader.batches(origin, at, min(ROWS_PER_READ, last - at), BYTES_PER_READ)
        for row in rows:
            at = row.seq
            if row.last_hlc < span.low:
                continue
            if row.first_hlc >= span.high:
                return
            shared: dict[str, object] = {"origin": origin, "seq": row.seq, "batch": row.hash.hex()}
            for transaction in open_body(row.body).batch.transactions:
                if span.low <= transaction.hlc < span.high:
                    yield from _of_transaction(transaction, shared, span.tenant)


def _of_transaction(
    transaction: Transaction, shared: dict[str, object], tenant: str
) -> Iterator[Line]:
    origin = str(shared["origin"])
    for number, change in enumerate(transaction.changes):
        if not tenant or change.key.tenant == tenant:
            line = _encode(_view(transaction, change) | shared) + b"\n"
            yield transaction.hlc, origin, number, line


def _view(transaction: Transaction, change: Change) -> dict[str, object]:
    view: dict[str, object] = {
        "hlc": f"{transaction.hlc:016x}",
        "at": instant(ms_of(transaction.hlc)),
        "actor": transaction.actor,
        "cause_id": transaction.cause_id,
        "tenant": change.key.tenant,
        "type": change.key.collection,
        "id": change.key.id,
        "life": change.life,
        "op": "write" if change.life % 2 else "delete",
        "fields": {g: msgspec.Raw(readable(v)) for g, v in change.fields.items()},
    }
    if transaction.reason:
        view["reason"] = transaction.reason
    if transaction.trace:
        view["trace"] = transaction.trace
    return view


def _clock(call: Call, name: str, default_ms: int) -> Hlc:
    """A time of the query as a clock value."""
    text = call.query.get(name)
    if text is None:
        return hlc_at(default_ms)
    unfit = invalid(f"?{name}", f"{name} is a time such as 2027-06-01T07:00:00Z.")
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a bare + of a query means a space
        ms = int(moment.timestamp() * 1_000)
    except (ValueError, OverflowError) as cause:
        raise unfit from cause
    if moment.tzinfo is None or not 0 <= ms < 1 << 47:
        raise unfit
    return hlc_at(ms)


def audit_route() -> Route:
    """The route."""
    return Route(
        method="GET",
        path="/v2/audit",
        run=audit,
        needs="read",
        doc=Doc(
            tag="audit",
            summary="Export the audit trail",
            detail="One JSON object a line, in the order of (clock, origin): byte-identical on every node that has"
            " the same changes. `batch` is the hash that chains the origin's batches. A key sees its tenant, an"
            " operator all.",
            fields=(
                Field("since", "From this time on (RFC 3339)."),
                Field("until", "Up to this time, excluded (RFC 3339)."),
                *CONSISTENCY,
            ),
            replies=(Reply(200, "The lines.", None, NDJSON.decode(), ("X-Audit-Frontier",)),),
        ),
    )
