"""The OpenAPI 3.1 document, made from the routes and from the very types that decode requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from konkordat.api.docs import JSON, Doc, Field, Reply
from konkordat.api.front import Route
from konkordat.api.problems import MEDIA_TYPE, TABLE
from konkordat.api.schemas import ProblemDocument

REF: Final = "#/components/schemas/{name}"
# What every route may answer, and what every route that asks for a key may answer besides.
ALWAYS: Final = ("bad_request", "internal_error")
WITH_KEY: Final = (
    *("unauthenticated", "key_revoked", "key_expired", "scope_missing", "rate_limited"),
    *(
        "invalid",
        "not_yet_consistent",
    ),  # a query parameter that does not exist is invalid everywhere
)
WITH_BODY: Final = (
    "bad_json",
    "too_deep",
    "body_too_large",
    "request_timeout",
    "unsupported_media_type",
)
WRITES: Final = ("overloaded", "stopping", "store_failed", "clock_fenced")
INTRODUCTION: Final = """\
One programme, kept by several nodes, each of which reads and writes on its own.

* **Errors** are RFC 9457 problems with a stable `code`; all codes are in `docs/errors.md`.
* **Retries**: send an `Idempotency-Key` with each write, and repeat it, at any node.
* **Read your writes**: send the `Consistency-Token` of any answer back, to any node.
* **Within /v2 only additions are made**: new endpoints, optional parameters, fields of answers, problem codes and
  change types. Ignore what you do not know.
"""


def document(routes: Sequence[Route], release: str) -> dict[str, Any]:
    """The whole document, JSON-ready."""
    shown = [route for route in routes if route.doc.is_shown]
    types = _types(shown)
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    by_type = dict(zip(map(_identity, types), schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in shown:
        path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Konkordat",
            "version": release,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.doc.tag for route in shown)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key: `kk_…`"}
            },
        },
    }


def _types(routes: Iterable[Route]) -> list[Any]:
    types: list[Any] = [ProblemDocument]
    for route in routes:
        types += [field.type for field in route.doc.fields]
        types += [
            t for t in (route.doc.body, *(r.type for r in route.doc.replies)) if t is not None
        ]
    return list({_identity(type_): type_ for type_ in types}.values())


def _identity(type_: Any) -> int:
    """Types are told apart by what they are, not by equality: `list[X] == list[X]` builds two objects."""
    return hash(type_)


def _operation(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    doc = route.doc
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": doc.summary,
        "tags": [doc.tag],
        "responses": _replies(doc, schemas) | _problems(route),
    }
    if doc.detail:
        operation["description"] = doc.detail
    parameters = [_path_parameter(name) for name in re.findall(r"{(\w+):\w+}", route.path)]
    parameters += [_parameter(field, schemas) for field in doc.fields]
    if parameters:
        operation["parameters"] = parameters
    if doc.body is not None:
        content = {doc.body_type: {"schema": schemas[_identity(doc.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.needs is not None:
        operation["security"] = [{"key": []}]
        operation["x-scope"] = route.needs
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", re.sub(r":\w+", "", route.path.removeprefix("/v2")))
    return "_".join([route.method.lower(), *words])


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _parameter(field: Field, schemas: dict[int, Any]) -> dict[str, Any]:
    return {
        "name": field.name,
        "in": field.where,
        "description": field.detail,
        "required": field.required,
        "schema": schemas[_identity(field.type)],
    }


def _replies(doc: Doc, schemas: dict[int, Any]) -> dict[str, Any]:
    replies: dict[str, Any] = {}
    for reply in doc.replies:
        replies[str(reply.status)] = _reply(reply, schemas)
    return replies


def _reply(reply: Reply, schemas: dict[int, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": reply.detail}
    names = ("Consistency-Token", "X-Request-Id", *reply.headers)
    shown["headers"] = {name: {"schema": {"type": "string"}} for name in names}
    if reply.status in {101, 204, 304}:
        return shown
    # Formats of others are described elsewhere: JSON of any shape, or text.
    other: dict[str, Any] = {} if reply.media_type == JSON else {"type": "string"}
    schema = other if reply.type is None else schemas[_identity(reply.type)]
    shown["content"] = {reply.media_type: {"schema": schema}}
    return shown


def _problems(route: Route) -> dict[str, Any]:
    codes = [*route.doc.problems, *ALWAYS]
    if route.needs is not None:
        codes += WITH_KEY
    if route.doc.body is not None:
        codes += WITH_BODY
    if route.method != "GET" and route.needs is not None:
        codes += WRITES
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(TABLE[code].status, []).append(code)
    return {
        str(status): {
            "description": f"{HTTPStatus(status).phrase}: " + ", ".join(f"`{c}`" for c in codes),
            "content": {MEDIA_TYPE: {"schema": {"$ref": REF.format(name="ProblemDocument")}}},
        }
        for status, codes in sorted(by_status.items())
    }
