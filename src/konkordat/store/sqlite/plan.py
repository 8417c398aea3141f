"""What a commit writes, as rows, before anything is written. No SQL runs here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from konkordat.kernel.change import NO_HASH
from konkordat.kernel.claim import ClaimId, DecidedClaim
from konkordat.kernel.digest import EMPTY, FINGERPRINT_BYTES
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.store.port import AnswerRow, HistoryRow, LogRow, RecordWrite, WriteSet
from konkordat.store.sqlite import claims
from konkordat.store.sqlite.connection import Rows
from konkordat.store.sqlite.names import Names
from konkordat.store.sqlite.rows import checksum, packed

SEQ_BITS: Final = 40  # of a log position; a trillion batches of each of eight million origins


class Known(NamedTuple):
    """What a commit must know of a record that is there: where its row is, and what the indexes say of it."""

    number: int
    parent: str
    life: int
    latest: int  # its newest row in history


class Head(NamedTuple):
    """Where an origin's log ends."""

    seq: int
    hash: bytes


NO_HEAD: Final = Head(0, NO_HASH)


def position_of(origin: int, seq: int) -> int:
    """Where a batch stands in the table `log`."""
    return origin << SEQ_BITS | seq


class HistoryRows(NamedTuple):
    rows: Rows
    latest: dict[RecordKey, int]  # number of the newest row, of each record that has new ones
    bound: int


def history_rows(
    history: Sequence[HistoryRow],
    known: Mapping[RecordKey, Known],
    origins: Mapping[Origin, int],
    last: int,
    bound: int,
) -> HistoryRows:
    """Rows for `put_history`, numbered after `last`. `bound` is the highest clock value in the history so far."""
    rows: Rows = []
    latest: dict[RecordKey, int] = {}
    for number, (key, hlc, origin, seq, position) in enumerate(history, last + 1):
        previous = latest.get(key, 0)
        if not previous and key in known:
            previous = known[key].latest
        latest[key] = number
        bound = max(bound, hlc)
        rows.append((number, previous, hlc, origins[origin], seq, position, bound))
    return HistoryRows(rows, latest, bound)


class RecordRows(NamedTuple):
    put: Rows  # new, or with the life and parent they had
    moved: Rows  # whose index entries change too
    booked: Rows  # parameters of `put_latest`: not written, but with new rows in history
    last: int  # number of the last new record


def record_rows(
    writes: Sequence[RecordWrite],
    names: Names,
    known: Mapping[RecordKey, Known],
    latest: Mapping[RecordKey, int],
    last: int,
) -> RecordRows:
    """Rows for `put_records` and `move_records`, in the order of the table. New records are numbered after `last`."""
    origins, scopes = names.origins, names.scopes
    put: Rows = []
    moved: Rows = []
    booked = dict(latest)
    for write in writes:
        record, after, parent = write.record, write.after, write.parent
        key, life, actor, touched = record.key, record.life, record.actor, record.touched.hlc
        stamps, fields = packed(record, origins)
        print_ = (after.live_sum if after.live else after.dead_sum).to_bytes(
            FINGERPRINT_BYTES, "big"
        )
        rows = put
        if write.before == EMPTY:
            last += 1
            number, newest = last, 0
        else:
            number, old_parent, old_life, newest = known[key]
            if old_life != life or old_parent != parent:
                rows = moved
        newest = booked.pop(key, newest)
        check = checksum(key, parent, life, touched, actor, print_, stamps, fields)
        tenant, collection, id = key
        scope = scopes[(tenant, collection)]
        rows.append(
            (number, scope, id, parent, life, touched, actor, newest, print_, check, stamps, fields)
        )
    put.sort()
    return RecordRows(put, moved, [(at, known[key].number) for key, at in booked.items()], last)


def log_rows(log: Sequence[LogRow], origins: Mapping[Origin, int]) -> Rows:
    """Rows for `put_log`."""
    return [
        (
            position_of(origins[row.origin], row.seq),
            row.hash,
            row.first_hlc,
            row.last_hlc,
            row.arrived_ms,
            row.body,
        )
        for row in log
    ]


def answer_rows(answers: Sequence[AnswerRow], origins: Mapping[Origin, int]) -> Rows:
    """Rows for `put_answers`."""
    return [
        (
            row.mark.key_hash,
            row.mark.body_hash,
            origins[row.origin],
            row.seq,
            row.position,
            row.at_ms,
        )
        for row in answers
    ]


def claim_rows(decided: Sequence[DecidedClaim], names: Names) -> Rows:
    """Rows for `put_claims`."""
    return [claims.row_of(claim, names.scopes, names.origins) for claim in decided]


def gone_rows(gone: Sequence[ClaimId], names: Names) -> Rows:
    """Parameters of `drop_claim`."""
    return [
        (names.scopes[(owner.tenant, owner.collection)], owner.id, part) for owner, part in gone
    ]


def heads_after(write: WriteSet, heads: Mapping[Origin, Head]) -> dict[Origin, Head]:
    """Where the logs of the origins in this write will end."""
    result: dict[Origin, Head] = {}
    for row in write.log:
        seq = (result.get(row.origin) or heads.get(row.origin, NO_HEAD)).seq
        assert row.seq == seq + 1, f"batch {row.seq} of {row.origin} does not follow {seq}"
        result[row.origin] = Head(row.seq, row.hash)
    return result


def origin_rows(
    moved: Mapping[Origin, Head],
    heads: Mapping[Origin, Head],
    names: Names,
    own: Origin,
    clock: int,
) -> Rows:
    """Rows for `put_origins`: whose log moved, who is new, and, so that the clock has a place, at least our own."""
    origins = names.origins
    written = dict.fromkeys([*moved, *origins.fresh]) or {own: None}
    return [(origins[o], o, *(moved.get(o) or heads.get(o, NO_HEAD)), clock) for o in written]
