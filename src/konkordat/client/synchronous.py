"""The sync client: performs what the sans-I/O core asks for. Its twin is `asynchronous.py`."""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from konkordat.client import operations
from konkordat.client.core import Call, Core, Failure, Pause, Reply, Send, Steps
from konkordat.client.importing import OnProgress, run_import
from konkordat.client.operations import Mode, RosterChange
from konkordat.client.options import BatchOptions, WriteOptions
from konkordat.client.records import Records
from konkordat.client.results import (
    BatchResult,
    ChangesPage,
    ImportResult,
    Item,
    Page,
    StreamItem,
)
from konkordat.client.retry import RetryPolicy
from konkordat.client.shared import (
    CONNECT_S,
    DIRECT,
    TIME_ZONE_DEFAULT,
    TIMEOUT_S,
    counted_in,
    open_reply,
    plan_of,
    proxy_for,
    reply_of,
    stream_refused,
    timeouts,
    tls_context,
)
from konkordat.client.streaming import MESSAGE_BYTES_MAX, QUIET_S, StreamState, Subscription
from konkordat.schedule.interchange.plan import ImportPlan

T = TypeVar("T")


class Client:
    """A cluster, through one or several of its nodes. One thread at a time."""

    def __init__(
        self,
        *urls: str,
        key: str = "",
        ca: Path | None = None,
        timeout_s: float = TIMEOUT_S,
        retry: RetryPolicy | None = None,
        allow_insecure: bool = False,
    ) -> None:
        """`urls`: addresses of nodes, tried in this order. `ca`: certificates (PEM) to trust instead of the system's.

        A key is sent over https and to this machine only, unless `allow_insecure`.
        """
        self._core = Core(urls, key, retry=retry, allow_insecure=allow_insecure)
        self._tls = tls_context(ca)
        self._timeout_s = timeout_s
        self._closed = threading.Event()
        self._sockets: set[ClientConnection] = set()  # of streams that somebody reads
        self._http = httpx.Client(
            verify=self._tls, timeout=timeouts(timeout_s), follow_redirects=False, mounts=DIRECT
        )

        self.events = Records(self, "events")
        self.venues = Records(self, "venues")
        self.rooms = Records(self, "rooms")
        self.booths = Records(self, "booths")
        self.series = Records(self, "series")
        self.holds = Records(self, "holds")
        self.speakers = Records(self, "speakers")
        self.sessions = Records(self, "sessions")
        self.attendees = Records(self, "attendees")
        self.registrations = Records(self, "registrations")

    @property
    def token(self) -> str:
        """The consistency token of what this client has seen; may be set, to see at least what somebody else saw."""
        return self._core.token

    @token.setter
    def token(self, token: str) -> None:
        self._core.token = token

    # Records -----------------------------------------------------------------------------------

    def create(
        self, collection: str, data: Mapping[str, Any], **options: Unpack[WriteOptions]
    ) -> Item:
        """Create a record, with an id of its own or one in `data`. Options: see `WriteOptions`.

        Raises Conflict (a slot is taken: `conflicts` names by what), Invalid (`errors` points at the place).
        """
        return self._run(operations.create(self._core, collection, data, options))

    def get(self, collection: str, id: str, *, wait_s: float | None = None) -> Item:
        """One record. Raises NotFound, which only a node says that has caught up."""
        return self._run(operations.get(self._core, collection, id, wait_s=wait_s))

    def put(
        self, collection: str, id: str, data: Mapping[str, Any], **options: Unpack[WriteOptions]
    ) -> Item:
        """Create or replace. Raises PreconditionFailed, Conflict, Invalid."""
        return self._run(operations.put(self._core, collection, id, data, options))

    def update(
        self, collection: str, id: str, patch: Mapping[str, Any], **options: Unpack[WriteOptions]
    ) -> Item:
        """Change some fields: None clears, a list replaces. Raises NotFound, PreconditionFailed, Conflict, Invalid."""
        return self._run(operations.update(self._core, collection, id, patch, options))

    def delete(self, collection: str, id: str, **options: Unpack[WriteOptions]) -> None:
        """Delete a record. Raises NotFound, PreconditionFailed, Conflict (something still needs it)."""
        self._run(operations.delete(self._core, collection, id, options))

    def page(self, collection: str, **query: str) -> Page:
        """One page of a list; `cursor` and `limit` as the API has them."""
        return self._run(operations.page(self._core, collection, query))

    def list(self, collection: str, **query: str) -> Iterator[Item]:
        """All records of a collection, page by page; filters as the API has them (`event=…`)."""
        cursor: dict[str, str] = {}
        while True:
            page = self.page(collection, **(query | cursor))
            yield from page.data
            if not page.has_more or not page.next_cursor:
                return
            cursor = {"cursor": page.next_cursor}

    def history(self, collection: str, id: str, cursor: str = "") -> Item:
        """Every value ever written to a record, those that lost a merge included, newest first."""
        return self._run(operations.history(self._core, collection, id, cursor))

    def changes(
        self, since: str = "", collection: str = "", limit: int | None = None
    ) -> ChangesPage:
        """What became of records since a token. Raises Gone when it is too old."""
        return self._run(operations.changes(self._core, since, collection, limit))

    def batch(
        self,
        operations_: Sequence[Mapping[str, Any]],
        mode: Mode = "independent",
        **options: Unpack[BatchOptions],
    ) -> BatchResult:
        """Up to 500 operations in one request. Options: see `BatchOptions`.

        With `independent` some may be refused: look at `refused` of the result.
        """
        return self._run(operations.batch(self._core, operations_, mode, options))

    # Whole programmes ----------------------------------------------------------------------------

    def import_programme(
        self,
        source: Path | bytes,
        *,
        name: str = "",
        time_zone: str = TIME_ZONE_DEFAULT,
        region: str | None = None,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ImportResult:
        """Import a programme (frab XML or JSON, iCalendar). Raises ProgrammeError for what cannot be read.

        A session whose slot is taken is kept without it, and reported.
        """
        plan = plan_of(source, name, time_zone, region)
        return self.import_plan(plan, dry_run=dry_run, on_progress=on_progress)

    def import_plan(
        self, plan: ImportPlan, *, dry_run: bool = False, on_progress: OnProgress | None = None
    ) -> ImportResult:
        """The same for a programme that was read and planned before."""
        steps = run_import(self._core, plan, dry_run=dry_run, on_progress=on_progress)
        return self._run(steps)

    def export(self, event: str, format: str = "xml", release: str = "") -> bytes:
        """An event's programme as xml (frab), json (frab) or ics; a release of it, if one is named."""
        return self._run(operations.schedule(self._core, event, format, release))

    def release(
        self, event: str, name: str, comment: str = "", **options: Unpack[WriteOptions]
    ) -> Item:
        """Freeze the programme under a name: the release, and what clashes in it. Raises Conflict if the event has such
        a release. With `dry_run` only what clashes."""
        return self._run(operations.release(self._core, event, name, comment, options))

    def release_diff(self, event: str, before: str, after: str = "now") -> Item:
        """What changed from one release to another, or to the present."""
        return self._run(operations.release_diff(self._core, event, before, after))

    def seats(self, session: str, **query: str) -> Item:
        """How many of a session's seats are taken and left, with a page of its registrations."""
        return self._run(operations.seats(self._core, session, query))

    def alternatives(self, session: str) -> Item:
        """What stands in the way of a session's place, and which slots are free instead."""
        return self._run(operations.alternatives(self._core, session))

    def free(self, **query: str) -> Iterator[Item]:
        """Which rooms and booths are free, and what is booked there: of one `room`, `booth`, `venue` or `event` (ids),
        on a `day`, or from `local_start` on for `duration_minutes`.

        Each has type, id, venue, name, capacity, time_zone, is_free, free (slots, as long as can be), taken.
        """
        cursor: dict[str, str] = {}
        while True:
            page = self._run(operations.free_page(self._core, query | cursor))
            yield from page.data
            if not page.next_cursor:
                return
            cursor = {"cursor": page.next_cursor}

    def series_sessions(self, series: str) -> builtins.list[Item]:
        """The sessions of a series, in order of their times by the rule."""
        return self._run(operations.series_sessions(self._core, series))

    def clashes(self, event: str) -> Item:
        """Soft rules that the programme breaks, such as a speaker in two places."""
        return self._run(operations.clashes(self._core, event))

    # The cluster ----------------------------------------------------------------------------------

    def cluster(self) -> Item:
        """All nodes, as the one that answers sees them."""
        return self._run(operations.cluster(self._core))

    def token_status(self, token: str) -> Item:
        """Which nodes have what a token names."""
        return self._run(operations.token(self._core, token))

    def who_decides(self) -> Iterator[Item]:
        """The seats: who decides for which venue and event, of the own tenant, or of all with the operator's key.

        Each has id, name, home, decide, term, holder, since, handed_over, deciding, has_holder, final_upto, undecided.
        """
        cursor: dict[str, str] = {}
        while True:
            page = self._run(operations.who_decides(self._core, cursor))
            yield from page.data
            if not page.next_cursor:
                return
            cursor = {"cursor": page.next_cursor}

    def seat_timeline(self, seat: str) -> Item:
        """Who held a seat (its id, as `who_decides` gives it), from when to when, latest first. Raises NotFound."""
        return self._run(operations.seat_timeline(self._core, seat))

    def hand_over(
        self, seat: str, to: str, *, accept_loss: bool = False, wait_s: float | None = None
    ) -> Item:
        """Let another member hold a seat (admin); nothing that was decided is void. The seat comes back, with
        `wait_s` once `to` holds it, or as it is when the time is up.

        Raises NotFound, Conflict (`code` says why: not_a_member, already_the_holder, member_silent).
        A seat decided at home is handed over at its holder (ask_the_holder), or with `accept_loss`: what only that one
        knew is lost (may_lose_confirmed).
        """
        return self._run(operations.hand_over(self._core, seat, to, accept_loss, wait_s))

    def roster(self) -> Item:
        """Who votes and may hold seats: version, members, has_majority, conflict, others."""
        return self._run(operations.roster(self._core))

    def change_roster(
        self, change: RosterChange, node: str, *, by: str = "", wait_s: float | None = None
    ) -> Item:
        """Let one node join or leave, or replace it `by` another (operator's key). A seat decides it: `state` is
        `confirmed`, or `tentative` if that was not known within `wait_s`.

        Raises Conflict; `code` says why: no_majority, roster_change_lost, roster_change_running, …
        """
        return self._run(operations.change_roster(self._core, change, node, by, wait_s))

    def create_key(self, **request: Any) -> Item:
        """Make an API key (admin): tenant, scopes, name, expires_at. The secret is in this answer only."""
        return self._run(operations.create_key(self._core, request))

    def keys(self, **query: str) -> Item:
        """List API keys (admin), without secrets."""
        return self._run(operations.list_keys(self._core, query))

    def revoke_key(self, id: str) -> None:
        """Revoke an API key (admin): everywhere within seconds."""
        self._run(operations.revoke_key(self._core, id))

    def request(self, call: Call) -> Reply:
        """Any other request, with the same retries, keys and tokens."""
        return self._run(operations.raw(self._core, call))

    def audit(self, **query: str) -> Iterator[bytes]:
        """The audit trail as NDJSON in order of (hlc, origin), the same bytes from every node; in pieces."""
        yield from self._pieces(operations.audit(self._core, query))

    def log(self) -> Iterator[bytes]:
        """The log itself as NDJSON, each batch with its hash and bytes, for an operator to verify; in pieces."""
        yield from self._pieces(operations.audit(self._core, {}, "batches"))

    def _pieces(self, steps: Steps[Reply]) -> Iterator[bytes]:
        reply = self._run(steps)
        response: httpx.Response = reply.handle
        try:
            yield from response.iter_bytes()
        finally:
            response.close()

    def stream(
        self,
        *,
        types: Sequence[str] = (),
        fields: Sequence[str] = (),
        filter: Mapping[str, str] | None = None,
        since: str = "",
    ) -> Iterator[StreamItem]:
        """Changes as they happen, until the client is closed; first those since a token. Resumes by itself, at another
        node if need be.

        Yields Change; CaughtUp once what follows is live; Gap after an interruption, of which nothing is missing.
        """
        state = StreamState(
            self._core, Subscription(tuple(types), tuple(fields), filter or {}, since)
        )
        while not self._closed.is_set():
            try:
                yield from self._connection(state)
            except (OSError, WebSocketException) as error:
                if self._closed.is_set():
                    return
                stream_refused(error)
                state.lost(str(error) or type(error).__name__)
            self._closed.wait(state.pause_s())

    def _connection(self, state: StreamState) -> Iterator[StreamItem]:
        url = state.url()
        with (
            connect(
                url,
                additional_headers=state.headers(),
                ssl=self._tls if url.startswith("wss") else None,
                max_size=MESSAGE_BYTES_MAX,
                proxy=proxy_for(url),
                open_timeout=CONNECT_S,
            ) as socket,
            counted_in(socket, self._sockets),
        ):
            for text in state.connected():
                socket.send(text, text=True)
            while not state.over and not self._closed.is_set():
                yield from state.received(socket.recv(timeout=QUIET_S))
                for text in state.to_send():
                    socket.send(text, text=True)

    # Performing ------------------------------------------------------------------------------------

    def _run(self, steps: Steps[T]) -> T:
        """Perform what an operation asks for until it has its result."""
        got: Reply | Failure | None = None
        while True:
            try:
                wanted = steps.send(got)
            except StopIteration as done:
                result: T = done.value
                return result
            got = self._perform(wanted)

    def _perform(self, wanted: Send | Pause) -> Reply | Failure | None:
        if isinstance(wanted, Pause):
            time.sleep(wanted.seconds)
            return None
        request = self._http.build_request(
            wanted.method,
            wanted.url,
            headers=dict(wanted.headers),
            content=wanted.body,
            timeout=timeouts(self._timeout_s + wanted.patience_s),
        )
        try:
            response = self._http.send(request, stream=True)
            if wanted.is_streamed and response.is_success:
                return open_reply(response)
            try:
                response.read()
            finally:
                response.close()
        except httpx.HTTPError as error:
            return Failure(str(error) or type(error).__name__)
        return reply_of(response)

    def close(self) -> None:
        """Close all connections, and so end all streams; also those that other threads read."""
        self._closed.set()
        for socket in tuple(self._sockets):
            socket.close()
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
