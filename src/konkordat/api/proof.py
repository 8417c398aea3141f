"""`/v2/audit/batches`: the log itself as NDJSON: the bytes that hashes are over, so that anybody can verify the chains.

Lines are in the order of (first clock, origin), hence the same bytes on every node that has the same batches. For
operators alone: a batch holds what all tenants wrote.
"""

from __future__ import annotations

import base64
import heapq
from collections.abc import Iterator, Mapping

import msgspec

from konkordat.api.answers import StreamedAnswer, streamed
from konkordat.api.audit import BYTES_PER_READ, NDJSON, ROWS_PER_READ, in_chunks
from konkordat.api.call import Call
from konkordat.api.docs import CONSISTENCY, Doc, Reply
from konkordat.api.front import Route
from konkordat.api.problems import Problem
from konkordat.kernel.frontier import token as frontier_token
from konkordat.kernel.ids import Origin
from konkordat.store.port import LogRow, Reader

_encode = msgspec.json.Encoder(order="deterministic").encode


async def batches(call: Call) -> StreamedAnswer:
    """The handler."""
    call.take_only()
    assert call.credential is not None
    if not call.credential.is_operator:
        raise Problem(
            "scope_missing", "Batches hold what all tenants wrote: this needs the operator's key."
        )
    upto = dict(call.front.gate.frontier())
    chunks = in_chunks(lines(call.front.gate.reader(), upto))
    headers = [(b"x-audit-frontier", frontier_token(upto).encode())]
    return streamed(call, chunks, NDJSON, headers)


def lines(reader: Reader, upto: Mapping[Origin, int]) -> Iterator[bytes]:
    """Every batch up to a frontier, one line each."""
    sources = [_of_origin(reader, origin, upto[origin]) for origin in sorted(upto)]
    for row in heapq.merge(*sources, key=lambda row: (row.first_hlc, row.origin)):
        body = base64.b64encode(row.body).decode()
        view = {"origin": row.origin, "seq": row.seq, "hash": row.hash.hex(), "body": body}
        yield _encode(view) + b"\n"


def _of_origin(reader: Reader, origin: Origin, last: int) -> Iterator[LogRow]:
    at = 0
    while at < last:
        rows = reader.batches(origin, at, min(ROWS_PER_READ, last - at), BYTES_PER_READ)
        yield from rows
        at = rows[-1].seq


def proof_route() -> Route:
    """The route."""
    return Route(
        method="GET",
        path="/v2/audit/batches",
        run=batches,
        needs="admin",
        doc=Doc(
            tag="audit",
            summary="Export the log, to be verified",
            detail="One JSON object a line: `origin`, `seq`, `hash`, and `body`, the batch in protobuf (base64) as its"
            " origin encoded it. `hash` is BLAKE2b-256 of the body, personalised `konkordat.batch`; the body holds the"
            " hash of the batch before it. `konkordat audit --verify` checks all of it. For the operator's key alone.",
            fields=CONSISTENCY,
            replies=(Reply(200, "The lines.", None, NDJSON.decode(), ("X-Audit-Frontier",)),),
        ),
    )
