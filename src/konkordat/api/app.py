"""The application: all routes on one front door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.config.cors import CORSConfig
from prometheus_client import CollectorRegistry

from konkordat.api.alternatives import alternatives_route
from konkordat.api.answers import HTML, Answer, answer
from konkordat.api.audit import audit_route
from konkordat.api.batch import batch_route
from konkordat.api.call import Call
from konkordat.api.cluster import cluster_routes
from konkordat.api.counts import Counts
from konkordat.api.docs import Doc, Reply
from konkordat.api.docs_page import PAGE_POLICY, docs_page
from konkordat.api.following import following_routes
from konkordat.api.free import free_route
from konkordat.api.front import Front, Route, exception_handlers, route_handler, stream_failures
from konkordat.api.gate import Gate
from konkordat.api.history import history_routes
from konkordat.api.hub import Hub
from konkordat.api.key_admin import key_routes
from konkordat.api.occurrences import occurrences_route
from konkordat.api.openapi import document
from konkordat.api.problems import TABLE, Problem
from konkordat.api.programmes import programme_routes
from konkordat.api.proof import proof_route
from konkordat.api.registrations import registration_routes
from konkordat.api.releases import release_routes
from konkordat.api.resources import resource_routes
from konkordat.api.seats import seat_routes
from konkordat.api.settings import ApiSettings
from konkordat.api.stream import stream_handler

EXPOSED: Final = (
    *("Consistency-Token", "ETag", "Idempotency-Replayed", "Location", "Preference-Applied"),
    *("RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"),
)
REQUESTED: Final = (
    *("Authorization", "Consistency-Token", "Content-Type", "Idempotency-Key", "If-Match"),
    *("If-None-Match", "Prefer", "X-Request-Id", "traceparent"),
)


def create_app(
    gate: Gate, settings: ApiSettings, registry: CollectorRegistry | None = None
) -> Litestar:
    """The API of one node. Metrics go into `registry`, which `/metrics` shows."""
    front = Front(gate, settings, Counts(registry or CollectorRegistry()))
    hub = Hub(front)
    routes = all_routes(hub)
    served = [*routes, *_self_description(routes, settings)]
    handlers = [route_handler(front, route) for route in served]

    @asynccontextmanager
    async def following(_: Litestar) -> AsyncIterator[None]:
        """Followers are told as long as the app runs."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(hub.run())
            try:
                yield
            finally:
                hub.drain()
                task.cancel()

    return Litestar(
        [*handlers, stream_handler(front, hub)],
        openapi_config=None,  # made from the same routes by `openapi`, with msgspec's own schemas
        logging_config=None,  # the gate logs
        debug=False,
        exception_handlers=exception_handlers(front),
        after_exception=[stream_failures(front)],
        cors_config=_cors(settings),
        request_max_body_size=settings.body_bytes_max,
        lifespan=[following],
    )


def all_routes(hub: Hub) -> list[Route]:
    """Everything but the documents that describe it."""
    return [
        *resource_routes(),
        *registration_routes(),
        alternatives_route(),
        free_route(),
        occurrences_route(),
        *history_routes(),
        *programme_routes(),
        *release_routes(),
        batch_route(),
        *following_routes(hub),
        audit_route(),
        proof_route(),
        *key_routes(),
        *cluster_routes(),
        *seat_routes(),
    ]


def _self_description(routes: Sequence[Route], settings: ApiSettings) -> list[Route]:
    """The OpenAPI document, the problems by code, and a page for people. Made when somebody first asks: it takes a
    tenth of a second, and most nodes are never asked."""

    @cache
    def described() -> dict[str, Any]:
        return document(routes, settings.release)

    @cache
    def openapi_json() -> bytes:
        return msgspec.json.encode(described())

    @cache
    def page() -> bytes:
        return docs_page(described())

    async def openapi(call: Call) -> Answer:
        return answer(call, 200, openapi_json())

    async def problem(call: Call) -> Answer:
        entry = TABLE.get(call.params["code"])
        if entry is None:
            raise Problem("not_found", "There is no such problem.")
        view = {"code": call.params["code"]} | msgspec.structs.asdict(entry)
        return answer(call, 200, msgspec.json.encode(view))

    hidden = Doc(
        tag="meta", summary="This document", replies=(Reply(200, "JSON."),), is_shown=False
    )
    made = [
        Route(method="GET", path="/openapi.json", run=openapi, needs=None, doc=hidden),
        Route(method="GET", path="/problems/{code:str}", run=problem, needs=None, doc=hidden),
    ]
    if settings.docs:

        async def docs(call: Call) -> Answer:
            call.policy = PAGE_POLICY
            return answer(call, 200, page(), media_type=HTML)

        made.append(Route(method="GET", path="/docs", run=docs, needs=None, doc=hidden))
    return made


def _cors(settings: ApiSettings) -> CORSConfig | None:
    """Browsers may call from the origins that the operator named, and from no other."""
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=list(REQUESTED),
        expose_headers=list(EXPOSED),
        allow_credentials=False,  # keys come in a header; cookies are nothing to us
    )
