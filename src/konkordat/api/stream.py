"""`/v2/stream`: changes as they commit, and writes, over one WebSocket.

    client                                    server
    hello {client?, window?}                  welcome {node, cluster, token, heartbeat_s}
    subscribe {sub, types?, fields?,          subscribed {sub, token}, change …, caught_up {sub, token}, change …
               filter?, resume_token?}
    unsubscribe {sub}                         unsubscribed {sub}
    ack {count}                               (opens the window by so many changes)
    write {id, operations, mode?, …}          written {id, results, token}
    ping {}                                   pong {}
                                              heartbeat {tokens}   problem {problem, id?, sub?}
                                              gap {} · drain {}    then the connection is closed

A token moves with every change and heartbeat; sent as `resume_token`, to any node, the stream goes on from there.
Every message is checked against the key as it is then, so a revoked one can do nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, assert_never

import msgspec
from litestar import WebSocket
from litestar.handlers import WebsocketRouteHandler

from konkordat.api.auth import Credential, check_scope
from konkordat.api.batch import carry_out, charge
from konkordat.api.call import Call, body_too_large
from konkordat.api.consistency import reach
from konkordat.api.decoding import decode
from konkordat.api.frames import SocketFrames
from konkordat.api.front import EXPECTED, Front
from konkordat.api.handshake import NO_ENTRY, Socket, admit, check_origin, refuse
from konkordat.api.hub import Follower, Hub, Line
from konkordat.api.idempotency import Repeatable, check_key
from konkordat.api.problems import Problem, invalid
from konkordat.api.stream_messages import (
    Ack,
    Hello,
    Message,
    Ping,
    Subscribe,
    Unsubscribe,
    Write,
    decoder,
    filter_of,
)
from konkordat.api.tokens import Filter, parse_sync_token
from konkordat.api.writing import Caller
from konkordat.kernel.frontier import covers

HEARTBEAT_S: Final = (
    15.0  # under the idle timeout of common proxies (60 s), and how late a client learns of silence
)
HELLO_S_MAX: Final = 10.0  # from the opening to `hello`
SEND_S_MAX: Final = 60.0  # a reader that does not take one message in so long is gone
PROLONG_S: Final = (
    1.0  # a timeout a message would cost more than most messages; none gets less by more than this
)
SUBSCRIPTIONS_MAX: Final = 32  # of one connection
WRITES_MAX: Final = 64  # being carried out for one connection; beyond, its messages wait unread
PROTOCOL_ERROR: Final = 4400


class Stream:
    """One connection: a task that reads, one that sends, one that beats, and one for each write or catching up."""

    def __init__(self, front: Front, hub: Hub, call: Call, socket: Socket) -> None:
        assert call.credential is not None
        self._front = front
        self._hub = hub
        self._call = call
        self._socket = socket
        self._credential: Credential = call.credential
        self._line = Line(call.credential, SocketFrames())
        self._followers: dict[str, Follower] = {}
        self._catching_up: dict[str, asyncio.Task[None]] = {}
        self._writes = asyncio.Semaphore(WRITES_MAX)
        self._written = 0

    def open(self) -> None:
        """Take a place among the open streams; `run` gives it back. Raises Problem too_many_streams."""
        self._hub.open(self._line)

    async def run(self) -> None:
        """Accept, and serve until either side closes."""
        try:
            await self._socket.accept()
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                sender = tasks.create_task(self._send())
                helpers = [tasks.create_task(self._receive()), tasks.create_task(self._beat())]
                await sender
                for task in (*helpers, *self._catching_up.values()):
                    task.cancel()
        finally:
            self._hub.close(self._line)

    # Sending -----------------------------------------------------------------------------------

    async def _send(self) -> None:
        """Send what waits until the line ends; then its last words."""
        line, now_s = self._line, asyncio.get_running_loop().time
        try:
            while frames := await line.outbox.get():
                prolong_s = now_s() + PROLONG_S
                async with asyncio.timeout(SEND_S_MAX) as limit:
                    for frame in frames:
                        await self._socket.send_text(frame)
                        if now_s() > prolong_s:
                            limit.reschedule(now_s() + SEND_S_MAX)
                            prolong_s = now_s() + PROLONG_S
            if line.outbox.is_full and line.farewell is None:
                self._front.counts.gaps.inc()
                line.end(
                    4008, "gap", detail="Changes came faster than they were read. Resume by token."
                )
            async with asyncio.timeout(SEND_S_MAX):
                if line.farewell is not None:
                    await self._socket.send_text(line.farewell)
                await self._socket.close(line.close_code)
        except (TimeoutError, OSError):
            line.outbox.close()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                self._front.keyring.check_still_valid(self._credential)
            except Problem as problem:
                self._end(NO_ENTRY, problem)
                return
            tokens = {sub: f.token for sub, f in self._followers.items() if f.is_live}
            self._line.say("heartbeat", tokens=tokens)

    # Receiving ---------------------------------------------------------------------------------

    async def _receive(self) -> None:
        line = self._line
        try:
            async with asyncio.timeout(HELLO_S_MAX):
                text = await self._next()
            if text is not None:
                self._welcome(decode(decoder, text))
            while text is not None and (text := await self._next()) is not None:
                await self._take(text)
        except TimeoutError:
            self._end(PROTOCOL_ERROR, Problem("request_timeout", "There was no `hello`."))
        except EXPECTED as error:
            self._end(PROTOCOL_ERROR, self._front.problem_of(error, self._call.request_id))
        finally:
            line.outbox.close()

    async def _next(self) -> bytes | None:
        """The next message as it came; None at the end. Raises Problem for one beyond the limit."""
        text = await self._socket.receive()
        limit = self._front.settings.body_bytes_max
        if text is not None and len(text) > limit:
            raise body_too_large(limit)
        return text

    def _welcome(self, hello: Message) -> None:
        if not isinstance(hello, Hello):
            raise Problem("bad_request", "A stream begins with `hello`.")
        front = self._front
        if hello.window is not None:
            self._line.outbox.set_window(hello.window)
        # Answers to what came along with the hello pass whatever is not urgent itself.
        self._urgent(
            "welcome",
            node=front.gate.name,
            cluster=front.gate.cluster,
            release=front.settings.release,
            token=front.token(),
            heartbeat_s=HEARTBEAT_S,
            request_id=self._call.request_id,
        )

    async def _take(self, text: bytes) -> None:
        """One message. What cannot be done is answered by a problem, and the stream goes on."""
        about: dict[str, str] = {}
        try:
            self._front.keyring.check_still_valid(self._credential)
            message: Message = decode(decoder, text)
            match message:
                case Ack(count=count):
                    self._line.outbox.open_window(count)
                case Ping():
                    self._urgent("pong")
                case Subscribe(sub=sub):
                    about = {"sub": sub}
                    await self._subscribe(message)
                case Unsubscribe(sub=sub):
                    self._unsubscribe(sub)
                case Write(id=id):
                    about = {"id": id}
                    check_scope(self._credential, "write")
                    await self._writes.acquire()
                    self._tasks.create_task(self._write(message))
                case Hello():
                    raise Problem("bad_request", "`hello` is said once.")
                case _:
                    assert_never(message)
        except EXPECTED as error:
            self._tell(error, about)

    def _tell(self, error: Exception, about: Mapping[str, str]) -> None:
        problem = self._front.problem_of(error, self._call.request_id)
        if problem.status == 401:
            self._end(NO_ENTRY, problem)
        else:
            self._urgent("problem", problem=problem.document(self._call.request_id), **about)

    def _urgent(self, name: str, **fields: Any) -> None:
        self._line.outbox.put_urgent(self._line.frames.message(name, **fields))

    def _end(self, code: int, problem: Problem) -> None:
        self._line.end(code, "problem", problem=problem.document(self._call.request_id))

    # Subscriptions -------------------------------------------------------------------------------

    async def _subscribe(self, wish: Subscribe) -> None:
        check_scope(self._credential, "read")
        if wish.sub in self._followers:
            raise invalid("/sub", f"The subscription {wish.sub!r} exists already.")
        if len(self._followers) >= SUBSCRIPTIONS_MAX:
            raise invalid("/sub", f"A stream has at most {SUBSCRIPTIONS_MAX} subscriptions.")
        filter_ = filter_of(wish.types, wish.fields, msgspec.structs.asdict(wish.filter))
        gate = self._front.gate
        frontier = gate.frontier()
        if wish.resume_token is not None:
            of_token, frontier = parse_sync_token(wish.resume_token)
            if filter_ not in {of_token, Filter()} and of_token != Filter():
                raise invalid("/resume_token", "The token belongs to another filter.")
            filter_ = of_token if of_token != Filter() else filter_
            if not covers(gate.frontier(), frontier):
                await reach(self._call, frontier)
        follower = Follower(self._line, wish.sub, filter_, frontier)
        self._followers[wish.sub] = follower
        self._line.say("subscribed", sub=wish.sub, token=follower.token)
        task = self._tasks.create_task(self._catch_up(follower))
        self._catching_up[wish.sub] = task

    async def _catch_up(self, follower: Follower) -> None:
        try:
            await self._hub.catch_up(follower)
            follower.is_live = True
        except EXPECTED as error:
            self._tell(error, {"sub": follower.sub})
        finally:
            self._catching_up.pop(follower.sub, None)

    def _unsubscribe(self, sub: str) -> None:
        follower = self._followers.pop(sub, None)
        if follower is None:
            raise invalid("/sub", f"There is no subscription {sub!r}.")
        task = self._catching_up.pop(sub, None)
        if task is not None:
            task.cancel()
        self._hub.leave(follower)
        self._line.say("unsubscribed", sub=sub)

    # Writes --------------------------------------------------------------------------------------

    async def _write(self, wish: Write) -> None:
        self._written += 1
        caller = Caller(
            self._credential, f"{self._call.request_id}.{self._written}", self._call.trace
        )
        front = self._front
        try:
            front.limit.take(caller.credential.id, front.gate.now_ms())
            charge(front, caller, len(wish.operations))
            repeat = self._repeatable(wish)
            with front.running.only_once(repeat):
                done = await carry_out(front, caller, wish, repeat)
            results = msgspec.Raw(done.json())
            self._urgent("written", id=wish.id, results=results, token=front.token())
        except EXPECTED as error:
            problem = front.problem_of(error, caller.request_id)
            what = {"stream": wish.id, "operations": len(wish.operations)}
            front.refusals.note(problem, caller.credential, caller.request_id, what)
            self._tell(problem, {"id": wish.id})
        finally:
            self._writes.release()

    def _repeatable(self, wish: Write) -> Repeatable | None:
        if wish.idempotency_key is None:
            return None
        check_key(wish.idempotency_key)
        # What is written, whatever the message is called: a retry has another id.
        body = msgspec.json.encode((wish.mode, wish.operations, wish.override))
        return Repeatable(
            self._credential.id, self._credential.tenant, "WS write", wish.idempotency_key, body
        )


# The way in -------------------------------------------------------------------------------------


def stream_handler(front: Front, hub: Hub) -> WebsocketRouteHandler:
    """The route of the WebSocket."""

    async def stream(socket: WebSocket[Any, Any, Any]) -> None:
        receive, send = socket.receive, socket.send
        await receive()  # websocket.connect
        scope: Any = socket.scope
        call = Call(front, scope | {"method": "GET"}, receive)
        try:
            check_origin(call)
            admit(call)
            served = Stream(front, hub, call, Socket(socket))
            served.open()
        except EXPECTED as error:
            await refuse(scope, send, front.problem_of(error, call.request_id), call.request_id)
            return
        await served.run()

    return WebsocketRouteHandler("/v2/stream", name="stream")(stream)
