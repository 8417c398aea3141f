"""The front door: every request comes through `serve`, which admits it, runs its route and turns what happens into an
answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Final, Literal, Protocol

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from konkordat.api.answers import problem_answer
from konkordat.api.auth import Keyring, Tickets, check_scope
from konkordat.api.call import Call
from konkordat.api.consistency import note_preference, see_what_caller_saw
from konkordat.api.counts import Counts
from konkordat.api.docs import Doc
from konkordat.api.gate import Gate, NodeStopped, Overloaded
from konkordat.api.idempotency import Running
from konkordat.api.keys import Scope
from konkordat.api.problems import Problem
from konkordat.api.ratelimit import RateLimit
from konkordat.api.refusals import Refusals
from konkordat.api.settings import ApiSettings
from konkordat.api.tokens import TokenOfNow
from konkordat.kernel.ids import Origin
from konkordat.store.port import StoreError

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Made(Protocol):
    """What a route comes to: an ASGI application with a status."""

    @property
    def status(self) -> int: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


Run = Callable[[Call], Awaitable[Made]]

# Whatever else is raised goes to Litestar, and comes back to `exception_handlers`.
EXPECTED: Final = (Problem, Overloaded, NodeStopped, StoreError)
STATUS_PROBLEMS: Final = {404: "no_route", 405: "method_not_allowed", 413: "body_too_large"}


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint: where it is, who may use it, what it does, how it is documented."""

    method: Method
    path: str  # `/v2/rooms/{id:str}`
    run: Run
    needs: Scope | None  # None: no key asked for
    doc: Doc


class Front:
    """What all requests of one app share."""

    def __init__(self, gate: Gate, settings: ApiSettings, counts: Counts) -> None:
        self.gate = gate
        self.settings = settings
        self.counts = counts
        self.keyring = Keyring(gate, settings.admin_key_hash)
        self.tickets = Tickets(gate)
        self.limit = RateLimit(settings.rate_per_s, settings.rate_burst)
        self.running = Running()
        self.refusals = Refusals(gate, counts)
        self._token = TokenOfNow()
        self._token_of_seen = TokenOfNow()

    def token(self) -> str:
        """The consistency token of what the feed has told by now: where to follow on from."""
        return self._token.text(self.gate.frontier())

    def token_of(self, shown: Mapping[Origin, int] | None) -> str:
        """The consistency token of an answer that shows this frontier; None: of all that it may have read until now.

        A commit is there to be read a moment before the loop hears of it. Whoever was shown it must be told so, or the
        next node may show them what was before.
        """
        if shown is not None:
            return self._token_of_seen.text(shown)
        try:
            shown = self.gate.reader().frontier()
        except (
            StoreError
        ):  # it has shown nobody anything either; what is wrong is told by whoever needs it
            shown = self.gate.frontier()
        return self._token_of_seen.text(shown)

    async def serve(self, route: Route, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer one request."""
        started = perf_counter()
        call = Call(self, request.scope, request.receive)
        try:
            if route.needs is not None:
                self.admit(call, route.needs)
            note_preference(call)
            await see_what_caller_saw(call)
            made: Made = await route.run(call)
        except EXPECTED as error:
            problem = self.problem_of(error, call.request_id)
            if route.needs in ("write", "admin"):
                self._note(call, route, problem)
            made = problem_answer(call, problem)
        self.counts.answered(route.method, route.path, made.status, perf_counter() - started)
        return made

    def _note(self, call: Call, route: Route, problem: Problem) -> None:
        what = {"method": route.method, "path": call.path} | dict(call.order)
        is_order = route.doc.tag == "seats"
        self.refusals.note(problem, call.credential, call.request_id, what, is_order=is_order)

    def admit(self, call: Call, needed: Scope) -> None:
        """Check key, scope and rate. Raises Problem."""
        credential = self.keyring.authenticate(call)
        call.credential = credential
        check_scope(credential, needed)
        left = self.limit.take(credential.id, self.gate.now_ms())
        call.headers_out += (left, self.limit.policy)

    def problem_of(self, error: Exception, request_id: str) -> Problem:
        """What to tell about an error. What nobody foresaw is logged in full and told as nothing but an id."""
        match error:
            case Problem():
                return error
            case Overloaded(retry_after_ms=ms):
                return Problem("overloaded", "The node's queue is full.", retry_after_ms=ms)
            case NodeStopped():
                detail = "The node is stopping. Whether a write took effect is not known."
                return Problem("stopping", detail, retry_after_ms=1_000)
            case StoreError():
                self.gate.log("error", "store_failed", request_id=request_id, error=str(error))
                detail = "The node's store failed. Whether a write took effect is not known."
                return Problem("store_failed", detail, retry_after_ms=5_000)
            case _:
                self.gate.log("error", "request_failed", request_id=request_id, exc_info=error)
                return Problem("internal_error", "The request could not be carried out.")


def route_handler(front: Front, route: Route) -> HTTPRouteHandler:
    """A route as Litestar knows it."""

    async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
        return await front.serve(route, request)

    # The answer says its own status; 200 only keeps Litestar from expecting no body.
    return HTTPRouteHandler(
        route.path, http_method=route.method, status_code=200, name=f"{route.method} {route.path}"
    )(handle)


def exception_handlers(front: Front) -> dict[Any, Any]:
    """For what is raised before or around our routes: unknown addresses, wrong methods, bad hosts."""

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        call = Call(front, request.scope, request.receive)
        made = problem_answer(call, _framework_problem(front, call, error))
        front.counts.answered(call.method, "", made.status, 0.0)
        headers = {k.decode(): v.decode("latin-1") for k, v in made.headers}
        media_type = headers.pop("content-type")
        del headers["content-length"]  # Litestar counts for itself
        return Response(made.body, status_code=made.status, headers=headers, media_type=media_type)

    return {Exception: handle, HTTPException: handle}


def stream_failures(front: Front) -> Callable[[Exception, Any], Awaitable[None]]:
    """Logs what ends a WebSocket unforeseen; of requests `exception_handlers` does so."""

    async def log(error: Exception, scope: Any) -> None:
        if scope["type"] == "websocket" and not isinstance(error, HTTPException):
            front.gate.log("error", "stream_failed", exc_info=error)

    return log


def _framework_problem(front: Front, call: Call, error: Exception) -> Problem:
    if not isinstance(error, HTTPException) or error.status_code >= 500:
        return front.problem_of(error, call.request_id)
    code = STATUS_PROBLEMS.get(error.status_code, "bad_request")
    headers = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
    detail = {
        "no_route": "There is nothing at this address.",
        "method_not_allowed": f"{call.method} does not exist at this address.",
    }.get(code, "The request is malformed.")
    return Problem(code, detail, headers=headers)
