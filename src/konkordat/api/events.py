"""`/v2/stream/events`: the stream as server-sent events, for those who only listen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from konkordat.api.answers import NO_STORE, Header, common_headers
from konkordat.api.call import Call
from konkordat.api.consistency import reach
from konkordat.api.frames import EventFrames
from konkordat.api.front import EXPECTED, Front
from konkordat.api.handshake import NO_ENTRY, check_origin
from konkordat.api.hub import Follower, Hub, Line
from konkordat.api.problems import Problem
from konkordat.api.since import FILTER_FIELDS, since_of
from konkordat.api.stream import HEARTBEAT_S, SEND_S_MAX

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

EVENT_STREAM: Final = b"text/event-stream"
SUB: Final = ""  # an event stream has one subscription, without a name


class Events:
    """The handler."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, call: Call) -> EventsAnswer:
        call.take_only("since", *(field.name for field in FILTER_FIELDS))
        check_origin(call)
        assert call.credential is not None
        last = call.headers.get(b"last-event-id", b"").decode("latin-1")
        filter_, since = since_of(call, last or call.query.get("since") or call.front.token(), None)
        await reach(call, since)
        line = Line(call.credential, EventFrames())
        self._hub.open(line)
        headers = common_headers(call, None, NO_STORE)
        # Proxies that gather answers would hold events back.
        headers += [(b"content-type", EVENT_STREAM), (b"x-accel-buffering", b"no")]
        return EventsAnswer(call.front, self._hub, Follower(line, SUB, filter_, since), headers)


class EventsAnswer:
    """An answer that lasts as long as both sides want."""

    status = 200

    def __init__(self, front: Front, hub: Hub, follower: Follower, headers: list[Header]) -> None:
        self._front = front
        self._hub = hub
        self._follower = follower
        self._line = follower.line
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        line = self._line
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.headers})
            line.say("subscribed", token=self._follower.token)
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(self._send(send))
                helpers = [
                    tasks.create_task(work)
                    for work in (self._catch_up(), self._beat(), self._watch(receive))
                ]
                await sender
                for helper in helpers:
                    helper.cancel()
        finally:
            self._hub.close(line)

    async def _send(self, send: Any) -> None:
        line = self._line

        async def send_body(body: bytes, *, more: bool) -> None:
            async with asyncio.timeout(SEND_S_MAX):
                await send({"type": "http.response.body", "body": body, "more_body": more})

        try:
            while frames := await line.outbox.get():
                await send_body(b"".join(frames), more=True)
            if line.outbox.is_full and line.farewell is None:
                self._front.counts.gaps.inc()
                line.end(4008, "gap", detail="Events came faster than they were read.")
            await send_body(line.farewell or b"", more=False)
        except (TimeoutError, OSError):
            line.outbox.close()

    async def _catch_up(self) -> None:
        try:
            await self._hub.catch_up(self._follower)
        except EXPECTED as error:
            problem = self._front.problem_of(error, "")
            self._line.end(1011, "problem", problem=problem.document(""))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                self._front.keyring.check_still_valid(self._line.credential)
            except Problem as problem:
                self._line.end(NO_ENTRY, "problem", problem=problem.document(""))
                return
            self._line.say("heartbeat", token=self._follower.token)

    async def _watch(self, receive: Any) -> None:
        """Notice that the reader has gone, also while there is nothing to send."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._line.outbox.close()
