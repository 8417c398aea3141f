"""Fan-out: one reader of the node's feed tells all followers. A change is encoded once, whoever follows it.

feed ─ hub ─┬─ line (a WebSocket) ─┬─ follower "mine"    filter, token
            │                      └─ follower "rooms"
            └─ line (SSE) ────────── follower
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from konkordat.api.changes import Touched, changes_since, decided_owners, notes_of
from konkordat.api.ends import as_of
from konkordat.api.frames import Frames
from konkordat.api.gate import FeedGap, NodeStopped, Overloaded
from konkordat.api.notes import Note, note_of, told
from konkordat.api.outbox import Outbox
from konkordat.api.problems import Problem
from konkordat.api.tokens import Filter
from konkordat.api.undecided import Undecided
from konkordat.kernel.frontier import covers
from konkordat.kernel.frontier import token as frontier_token
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.replica.messages import Committed
from konkordat.schedule.claims import QUANTITY, REGISTRATIONS
from konkordat.schedule.slots import SLOT

if TYPE_CHECKING:
    from konkordat.api.auth import Credential
    from konkordat.api.front import Front

ROOM_EVERY: Final = (
    64  # notes between two looks at the queue; fewer than what it holds below its low water
)
CATCH_UP_ITEMS: Final = 500  # records read from the log at once, between looks at the queue
RETRY_S: Final = 0.5  # after a fault; others may follow at once
DRAIN_RETRY_MS: Final = 500  # clients that are sent away spread their return over about this


class Line:
    """An open connection."""

    def __init__(self, credential: Credential, frames: Frames, window: int | None = None) -> None:
        self.credential = credential
        self.frames = frames
        self.outbox = Outbox(window)
        self.farewell: bytes | None = None  # the last message, sent whatever else waits
        self.close_code = 1000

    def say(self, name: str, **fields: object) -> None:
        """Queue a message in its place among the changes."""
        self.outbox.put(self.frames.message(name, **fields))

    def end(self, close_code: int, name: str, **fields: object) -> None:
        """Close the connection with a last message."""
        if self.farewell is None:
            self.farewell = self.frames.message(name, **fields)
            self.close_code = close_code
            self.outbox.close()


class Follower:
    """One subscription of a line."""

    def __init__(
        self, line: Line, sub: str, filter_: Filter, frontier: Mapping[Origin, int]
    ) -> None:
        self.line = line
        self.sub = sub
        self.filter = filter_
        self._prefix = f"{text}." if (text := filter_.text()) else ""
        # What has been told. While catching up it grows by pages of the log; then by commits.
        self.seen: Mapping[Origin, int] = dict(frontier)
        self.token = self._prefix + frontier_token(frontier)
        self.is_live = False
        self._may_repeat = True  # commits that catching up has covered may still come from the feed

    def follow(self, committed: Committed, notes: Iterable[Note], frontier_text: str) -> None:
        """Tell what a commit changed, if it is news."""
        if self._may_repeat:
            if covers(self.seen, committed.frontier):
                return
            self._may_repeat = False
        self.tell(notes, committed.frontier, frontier_text)

    def tell(self, notes: Iterable[Note], frontier: Mapping[Origin, int], text: str) -> None:
        """Queue the matching notes. All but the last carry the token before, so who breaks off gets all again."""
        last: bytes | None = None
        for note in notes:
            if (body := told(note, self.filter)) is not None:
                self._put(last)
                last = body
        self._move_on(last, frontier, text)

    async def tell_slowly(
        self, notes: Iterable[Note], frontier: Mapping[Origin, int], text: str
    ) -> None:
        """The same for more notes than the queue may hold: it goes on as the reader takes them."""
        last: bytes | None = None
        for number, note in enumerate(notes, 1):
            if (body := told(note, self.filter)) is not None:
                self._put(last)
                last = body
            if number % ROOM_EVERY == 0:
                await asyncio.sleep(0)
                if not await self.line.outbox.room():
                    return
        self._move_on(last, frontier, text)

    def _put(self, body: bytes | None) -> None:
        if body is not None:
            frame = self.line.frames.change(self.sub, self.token, body)
            self.line.outbox.put(frame, counts=True)

    def _move_on(self, last: bytes | None, frontier: Mapping[Origin, int], text: str) -> None:
        self.seen = frontier
        self.token = self._prefix + text
        self._put(last)


class Hub:
    """All followers of this node."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._followers: dict[str, set[Follower]] = {}  # by tenant
        self._lines: dict[Line, None] = {}
        self._per_credential: dict[str, int] = {}
        self._undecided = Undecided()

    # Lines -------------------------------------------------------------------------------------

    def open(self, line: Line) -> None:
        """Raises Problem too_many_streams."""
        settings, id = self._front.settings, line.credential.id
        own = self._per_credential.get(id, 0)
        if len(self._lines) >= settings.streams_max or own >= settings.streams_per_credential_max:
            detail = f"{len(self._lines)} streams are open here, {own} of them by this key."
            raise Problem("too_many_streams", detail, retry_after_ms=5_000)
        self._per_credential[id] = own + 1
        self._lines[line] = None
        self._front.counts.streams.inc()

    def close(self, line: Line) -> None:
        """The connection is gone, and its followers with it."""
        if line not in self._lines:
            return
        del self._lines[line]
        self._front.counts.streams.dec()
        left = self._per_credential[line.credential.id] - 1
        self._per_credential[line.credential.id] = left
        if not left:
            del self._per_credential[line.credential.id]
        tenant = line.credential.tenant
        rest = {f for f in self._followers.get(tenant, ()) if f.line is not line}
        self._followers[tenant] = rest
        if not rest:
            del self._followers[tenant]

    def leave(self, follower: Follower) -> None:
        self._followers.get(follower.line.credential.tenant, set()).discard(follower)

    async def catch_up(self, follower: Follower) -> None:
        """Tell what the log holds since the follower's token, at the reader's pace; from then on it follows live."""
        gate, line = self._front.gate, follower.line
        while await line.outbox.room():
            now = gate.frontier()
            tenant = line.credential.tenant
            page = changes_since(gate.reader(), tenant, follower.seen, now, CATCH_UP_ITEMS)
            notes, text = notes_of(gate.reader(), page.touched), frontier_token(page.seen)
            if page.has_more or len(page.touched) > ROOM_EVERY:
                await follower.tell_slowly(notes, page.seen, text)
                continue
            # Nothing awaits from the look at the frontier to the end, so no commit is missed.
            follower.tell(notes, page.seen, text)
            self._followers.setdefault(tenant, set()).add(follower)
            line.say("caught_up", sub=follower.sub, token=follower.token)
            return

    # The feed ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the node until it stops. A change that cannot be shown, which is a fault of ours, ends no node: it is
        logged in full, and everybody resumes after it."""
        while True:
            following = asyncio.create_task(self._follow())
            try:
                await asyncio.wait([following])
            finally:
                following.cancel()
            error = following.exception()
            if error is None:
                return
            self._front.gate.log("error", "api_feed_failed", exc_info=error)
            self._gap_all()
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        while True:
            try:
                async with self._front.gate.feed() as feed:
                    self._front.keyring.forget_all()
                    self._undecided.forget()
                    async for committed in feed:
                        self._publish(committed)
                return
            except FeedGap:
                self._front.gate.log("warning", "api_feed_gap", streams=len(self._lines))
                self._gap_all()
            except Overloaded as error:
                await asyncio.sleep(error.retry_after_ms / 1_000)
            except NodeStopped:
                self.drain()
                return

    def drain(self) -> None:
        """The node stops: send everybody elsewhere."""
        for line in list(self._lines):
            line.end(1012, "drain", retry_after_ms=DRAIN_RETRY_MS)

    def _publish(self, committed: Committed) -> None:
        self._heed_keys(committed)
        if not self._followers:
            self._undecided.forget()
            return
        self._undecided.take(committed)
        text = ""
        for tenant, followers in list(self._followers.items()):
            notes = self._notes(committed, tenant)
            text = text or frontier_token(committed.frontier)
            for follower in list(followers):
                follower.follow(committed, notes, text)
                if follower.line.outbox.is_full:
                    self._gap(follower.line)
            self._front.counts.changes.inc(len(notes) * len(followers))

    def _gap_all(self) -> None:
        for line in list(self._lines):
            self._gap(line)

    def _gap(self, line: Line) -> None:
        """The line's reader is too slow: tell it so, and close."""
        if line.farewell is None:
            self._front.counts.gaps.inc()
            line.end(
                4008, "gap", detail="Changes came faster than they were read. Resume by token."
            )

    def _heed_keys(self, committed: Committed) -> None:
        """A key that was revoked closes what it has opened."""
        keyring = self._front.keyring
        touched = [entry.key.id for entry in committed.entries if keyring.forget(entry.key)]
        if not touched:
            return
        for line in [line for line in self._lines if line.credential.id in touched]:
            try:
                keyring.check_still_valid(line.credential)
            except Problem as problem:
                line.end(4401, "problem", problem=problem.document(""))

    def _notes(self, committed: Committed, tenant: str) -> list[Note]:
        """What a tenant's followers are told about a commit: each record once, in the order of the commit."""
        touched: dict[RecordKey, Touched] = {}
        records = {}
        for entry in committed.entries:
            if entry.key.tenant == tenant:
                known = touched.setdefault(entry.key, Touched(set(), set()))
                known.groups.update(entry.groups)
                known.stamps.add(entry.stamp)
                records[entry.key] = entry.record
        decided = [key for key in decided_owners(committed.claims) if key.tenant == tenant]
        gate = self._front.gate
        states = self._undecided.states(committed, records, decided, gate.reader())
        now_ms = gate.now_ms()
        notes = []
        for key, state in states.items():
            known = touched.get(key, Touched(set(), set()))
            decision = {QUANTITY if key.collection == REGISTRATIONS else SLOT}
            groups = known.groups | decision if key in decided else known.groups
            is_birth = known.is_birth(state.record)
            note = note_of(
                state.record, groups, is_birth, as_of(state.claims, now_ms), state.version
            )
            if note is not None:
                notes.append(note)
        return notes
