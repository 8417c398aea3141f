"""What a node gives its peers: batches of logs in pages and pushes, states of records. Reads only, and bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from konkordat.kernel.ids import Origin, RecordKey
from konkordat.kernel.record import Record
from konkordat.protocol.comparison import FETCH_MAX
from konkordat.store.port import Reader
from konkordat.wire.messages import Page, Pull, Push

SERVE_BYTES_MAX: Final = 1 << 20  # a page, whatever was asked for
SERVE_ROWS_MAX: Final = 512  # batches in a page
STATES_BYTES_MAX: Final = 3 << 20  # of values in one message: below a frame with keys and stamps
PUSH_BYTES_MAX: Final = 512 << 10  # beyond this a commit is not pushed in one frame


class ServedStates(NamedTuple):
    """Records that fit one message, and records that would not even alone."""

    records: tuple[Record, ...]
    too_large: tuple[RecordKey, ...]


def pushes(bodies: Iterable[bytes], now_ms: int) -> Iterator[Push]:
    """Batches of ours as pushes, in their order."""
    group: list[bytes] = []
    size = 0
    for body in bodies:
        if group and size + len(body) > PUSH_BYTES_MAX:
            yield Push(tuple(group), now_ms)
            group, size = [], 0
        group.append(body)
        size += len(body)
    if group:
        yield Push(tuple(group), now_ms)


def page_for(pull: Pull, store: Reader, frontier: Mapping[Origin, int]) -> Page:
    """A page of what a peer lacks, each origin in sequence."""
    room = min(pull.bytes_max, SERVE_BYTES_MAX)
    rows = SERVE_ROWS_MAX
    bodies: list[bytes] = []
    more = False
    for origin, after in pull.wants:
        if room <= 0 or rows <= 0:
            more = True
            break
        page = store.batches(origin, after, rows, room)
        bodies += [row.body for row in page]
        room -= sum(len(row.body) for row in page)
        rows -= len(page)
        more = more or (bool(page) and page[-1].seq < frontier.get(origin, 0))
    return Page(pull.id, tuple(bodies), more)


def states_of(keys: Sequence[RecordKey], store: Reader) -> ServedStates:
    """The records asked for, as many as fit; the next comparison finds the others."""
    room = STATES_BYTES_MAX
    records: list[Record] = []
    too_large: list[RecordKey] = []
    for key, record in sorted(store.load(keys[:FETCH_MAX]).items()):
        size = sum(len(r.value) + 128 for r in record.fields.values())
        if size > STATES_BYTES_MAX:
            too_large.append(key)
        elif size <= room:
            room -= size
            records.append(record)
    return ServedStates(tuple(records), tuple(too_large))
