"""Reading: everything the port's Reader asks for, on one connection.

Each call sees the newest committed state, as of its begin. What needs several statements runs them in one read
transaction, which ends with the call: a reader holds up no checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Collection as CollectionOf
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final, TypeVar

import apsw

from konkordat.kernel.change import RequestMark, batch_hash
from konkordat.kernel.claim import ClaimId, ClaimState, DecidedClaim
from konkordat.kernel.digest import KeyRange, Summary
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Collection, Origin, RecordId, RecordKey, Tenant, record_key
from konkordat.kernel.record import Record
from konkordat.store.port import (
    BEFORE_ALL_IDS,
    PAGE_ROWS_MAX,
    AnswerRow,
    CorruptStoreError,
    HistoryRow,
    LogRow,
    RangeSummary,
    Span,
)
from konkordat.store.sqlite import claims, rows
from konkordat.store.sqlite.connection import Bindings, Rows, fetched, reads
from konkordat.store.sqlite.names import Names, by_scope
from konkordat.store.sqlite.plan import SEQ_BITS, position_of
from konkordat.store.sqlite.segments import Segments, read_segments, total
from konkordat.store.sqlite.statements import padded, sql_of_list, sql_of_rows

HISTORY_SLACK: Final = (
    32  # rows read beyond a page, for those that did not arrive in the order of time
)
NO_BOUND: Final = b""  # sorts after every text
T = TypeVar("T")


class Moment:
    """A read transaction as long as the block runs. One for all times: a reader is in one at most, and every request
    needs one."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @reads
    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    @reads
    def __exit__(self, *_error: object) -> None:
        if self._connection.in_transaction:  # some errors of the disk end it by themselves
            self._connection.execute("COMMIT")


class SqliteReader:
    """A Reader on a connection of its own. Used by one thread at a time."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._names = Names()
        self._moment = Moment(connection)

    # Records -----------------------------------------------------------------------------------

    @reads
    def load(self, keys: Iterable[RecordKey]) -> dict[RecordKey, Record]:
        return self._records(self._loaded(keys))

    @reads
    def scan(
        self,
        tenant: Tenant,
        collection: Collection,
        after: RecordId = BEFORE_ALL_IDS,
        limit: int = 100,
        parent: str | None = None,
        include_deleted: bool = False,
    ) -> list[Record]:
        scope = self._scope(tenant, collection)
        if scope is None:
            return []
        limit = min(limit, PAGE_ROWS_MAX)
        if parent is None:
            found = self._all("scan", (scope, after, include_deleted, limit))
        else:
            found = self._all("scan_parent", (scope, parent, after, include_deleted, limit))
        keyed = [(RecordKey(tenant, collection, RecordId(row[0])), row) for row in found]
        return list(self._records(keyed).values())

    @reads
    def count(self, tenant: Tenant, collection: Collection, parent: str | None = None) -> int:
        scope = self._scope(tenant, collection)
        if scope is None:
            return 0
        if parent is None:
            return int(self._all("count", (scope,))[0][0])
        return int(self._all("count_parent", (scope, parent))[0][0])

    # Claims ------------------------------------------------------------------------------------

    @reads
    def claims_on(self, spans: Sequence[Span]) -> list[DecidedClaim]:
        found: dict[ClaimId, DecidedClaim] = {}
        for portion in padded([claims.span_row(span) for span in dict.fromkeys(spans)]):
            statement = sql_of_rows("claims_on", len(portion))
            bindings = tuple(chain.from_iterable(portion))
            there = self._connection.execute(statement, bindings).fetchall()
            found.update((claim.claim.id, claim) for claim in self._claims(there))
        return list(found.values())

    @reads
    def taken(self, span: Span, states: CollectionOf[ClaimState]) -> int:
        wanted = tuple([state.value for state in states])
        statement = sql_of_list("taken", len(wanted))
        bindings = (*claims.span_row(span), *wanted)
        found: Rows = self._connection.execute(statement, bindings).fetchall()
        return int(found[0][0])

    @reads
    def claims_of(self, owners: Iterable[RecordKey]) -> dict[RecordKey, list[DecidedClaim]]:
        found: dict[RecordKey, list[DecidedClaim]] = {}
        for scope, ids in by_scope(owners).items():
            number = self._scope(*scope)
            if number is None:
                continue
            for claim in self._claims(self._listed("claims_of", (number,), list(ids))):
                found.setdefault(claim.claim.id.owner, []).append(claim)
        return found

    @reads
    def every_claim(self) -> list[DecidedClaim]:
        return sorted(self._claims(self._all("every_claim")), key=lambda d: d.claim.id)

    # Log, history, answers ---------------------------------------------------------------------

    @reads
    def batches(
        self, origin: Origin, after: int, limit: int = 256, bytes_max: int = 1 << 20
    ) -> list[LogRow]:
        number = self._origin(origin)
        if number is None:
            return []
        wanted = {
            "after": position_of(number, after),
            "last": position_of(number + 1, 0) - 1,
            "limit": max(1, min(limit, PAGE_ROWS_MAX)),
            "bytes_max": bytes_max,
        }
        return [_log_row(origin, row) for row in self._all("batches", wanted)]

    @reads
    def history(
        self, key: RecordKey, limit: int = 100, before: tuple[Hlc, Origin] | None = None
    ) -> list[HistoryRow]:
        limit = min(limit, PAGE_ROWS_MAX)
        found: list[HistoryRow] = []
        for chunk in self._chain(key, limit + HISTORY_SLACK):
            rows_ = [HistoryRow(key, *row[3:]) for row in chunk]
            found += [r for r in rows_ if before is None or (r.hlc, r.origin) < before]
            # A chain is in order of arrival, which is nearly that of time. No row after this chunk is later than:
            bound = chunk[-1][2]
            if sum(row.hlc > bound for row in found) >= limit:
                break
        return sorted(found, key=itemgetter(*range(1, 5)), reverse=True)[:limit]

    def _chain(self, key: RecordKey, rows_: int) -> Iterator[Rows]:
        """A record's rows in history, the last to arrive first, in chunks. Rows are never changed, only added."""
        scope = self._scope(key.tenant, key.collection)
        after = self._all("latest", (scope, key.id))
        at = after[0][0] if after else 0
        while at:
            chunk = self._all("history", (at, rows_))
            if not chunk or chunk[-1][1] >= chunk[-1][0]:
                raise CorruptStoreError(f"the history of {'/'.join(key)} is broken at {at}")
            yield chunk
            at = chunk[-1][1]

    @reads
    def answer(self, key_hashes: Iterable[bytes]) -> dict[bytes, AnswerRow]:
        wanted = list(dict.fromkeys(key_hashes))
        return {
            key_hash: AnswerRow(RequestMark(key_hash, body_hash), Origin(origin), *rest)
            for key_hash, body_hash, origin, *rest in self._listed("answers", (), wanted)
        }

    @reads
    def frontier(self) -> dict[Origin, int]:
        return {Origin(origin): seq for origin, seq in self._all("frontier")}

    def moment(self) -> AbstractContextManager[None]:
        return self._moment

    # Digests -----------------------------------------------------------------------------------

    @reads
    def summary(self, range_: KeyRange) -> Summary:
        with self._snapshot() as segments:
            return total(part.summary for part in self._parts(segments, range_))

    @reads
    def split(self, range_: KeyRange, ways: int) -> list[RangeSummary]:
        with self._snapshot() as segments:
            if len(segments.whole(range_)) < 2:
                return split_rows(range_, list(self._prints(range_)), ways)
            return joined(self._parts(segments, range_), ways)

    @reads
    def fingerprints(self, range_: KeyRange, limit: int) -> list[tuple[RecordKey, Summary]]:
        with self._snapshot():
            return list(islice(self._prints(range_, limit), limit))

    def close(self) -> None:
        self._connection.close()

    # Inside ------------------------------------------------------------------------------------

    def _all(self, name: str, bindings: Bindings = ()) -> Rows:
        return fetched(self._connection, name, bindings)

    def _listed(self, name: str, first: tuple[int, ...], wanted: Sequence[str | bytes]) -> Rows:
        """All rows of a query that ends in a list of what is wanted."""
        found: Rows = []
        for portion in padded(wanted):
            statement = sql_of_list(name, len(portion))
            found += self._connection.execute(statement, (*first, *portion)).fetchall()
        return found

    def _scope(self, tenant: Tenant, collection: Collection) -> int | None:
        """The number of a scope; None if nothing was ever written there."""
        number = self._names.scopes.get((tenant, collection))
        return number if number is not None else self._learn().scopes.get((tenant, collection))

    def _origin(self, origin: Origin) -> int | None:
        number = self._names.origins.get(origin)
        return number if number is not None else self._learn().origins.get(origin)

    def _learn(self) -> Names:
        """Read the names that others committed since the last time."""
        names = self._names
        names.scopes.learn(
            [(number, (Tenant(t), Collection(c))) for number, t, c in self._all("scopes")]
        )
        names.origins.learn([(row[0], Origin(row[1])) for row in self._all("origins")])
        return names

    def _loaded(self, keys: Iterable[RecordKey]) -> list[tuple[RecordKey, rows.Row]]:
        found: list[tuple[RecordKey, rows.Row]] = []
        for scope, ids in by_scope(keys).items():
            number = self._scope(*scope)
            if number is not None:
                there = self._listed("load", (number,), list(ids))
                found += [(ids[row[0]], row) for row in there]
        return found

    def _records(self, keyed: Sequence[tuple[RecordKey, rows.Row]]) -> dict[RecordKey, Record]:
        record_of = rows.record_of
        origins = self._names.origins.names
        return self._named(lambda: {key: record_of(key, row, origins) for key, row in keyed})

    def _claims(self, found: Rows) -> list[DecidedClaim]:
        claim_of = claims.claim_of
        scopes, origins = self._names.scopes.names, self._names.origins.names
        return self._named(lambda: [claim_of(row, scopes, origins) for row in found])

    def _named(self, read: Callable[[], T]) -> T:
        """Turn rows that hold numbers of names into values; numbers that are new are looked up, once."""
        try:
            return read()
        except KeyError:
            self._learn()
        try:
            return read()
        except KeyError as number:
            raise CorruptStoreError(
                f"a row names origin or scope {number}, which is not booked"
            ) from None

    @contextmanager
    def _snapshot(self) -> Iterator[Segments]:
        """One read transaction, the one that is open if there is one, and the segments as of its begin."""
        with nullcontext() if self._connection.in_transaction else self.moment():
            yield read_segments(self._connection)

    def _prints(self, range_: KeyRange, limit: int = -1) -> Iterator[tuple[RecordKey, Summary]]:
        """Key and summary of the records in a range, in order of key."""
        low, high = range_
        upto = high[:2] if high is not None else (NO_BOUND, NO_BOUND)
        for number, tenant, collection in self._all("scopes_between", (*low[:2], *upto)):
            scope = (tenant, collection)
            first = low.id if scope == low[:2] else BEFORE_ALL_IDS
            last = high.id if high is not None and scope == high[:2] else NO_BOUND
            for id, life, print_ in self._all("prints", (number, first, last, limit)):
                sum_ = int.from_bytes(print_, "big")
                summary = Summary(1, sum_, 0, 0) if life % 2 else Summary(0, 0, 1, sum_)
                yield record_key(tenant, collection, id), summary

    def _parts(self, segments: Segments, range_: KeyRange) -> list[RangeSummary]:
        """The range cut at segment bounds: rows are read only of the two parts at its edges."""
        low, high = range_
        whole = segments.whole(range_)
        if not whole:
            return [self._edge(low, high)]
        parts = [RangeSummary(segments.range_of(i), segments[i].summary) for i in whole]
        first, last = parts[0].range.low, parts[-1].range.high
        if low < first:
            parts.insert(0, self._edge(low, first))
        if last is not None and last != high:
            parts.append(self._edge(last, high))
        return parts

    def _edge(self, low: RecordKey, high: RecordKey | None) -> RangeSummary:
        range_ = KeyRange(low, high)
        return RangeSummary(range_, total(summary for _key, summary in self._prints(range_)))


def split_rows(
    range_: KeyRange, present: Sequence[tuple[RecordKey, Summary]], ways: int
) -> list[RangeSummary]:
    """A range cut at row keys, given its rows."""
    size = max(1, -(-len(present) // ways))
    pieces = [present[at : at + size] for at in range(0, len(present), size)] or [present]
    lows = [range_.low, *(piece[0][0] for piece in pieces[1:])]
    highs = [*lows[1:], range_.high]
    return [
        RangeSummary(KeyRange(low, high), total(summary for _key, summary in piece))
        for low, high, piece in zip(lows, highs, pieces, strict=True)
    ]


def joined(parts: Sequence[RangeSummary], ways: int) -> list[RangeSummary]:
    """Adjoining parts put together to at most `ways`, about equal in records."""
    records = sum(p.summary.live + p.summary.dead for p in parts)
    groups: list[list[RangeSummary]] = [[]]
    seen = 0
    for part in parts:
        # A new group begins once those before it have their share of the records.
        if groups[-1] and len(groups) < ways and seen * ways >= records * len(groups):
            groups.append([])
        groups[-1].append(part)
        seen += part.summary.live + part.summary.dead
    return [
        RangeSummary(KeyRange(g[0].range.low, g[-1].range.high), total(p.summary for p in g))
        for g in groups
    ]


def _log_row(origin: Origin, row: tuple[Any, ...]) -> LogRow:
    position, hash_, first_hlc, last_hlc, arrived_ms, body = row
    seq = position & (1 << SEQ_BITS) - 1
    if not isinstance(body, bytes) or batch_hash(body) != hash_:
        raise CorruptStoreError(f"batch {seq} of {origin} does not match its hash")
    return LogRow(origin, seq, hash_, first_hlc, last_hlc, body, arrived_ms)
