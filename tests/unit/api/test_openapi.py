"""The OpenAPI document: valid, complete, and true of the app that serves it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from litestar.routes import HTTPRoute
from openapi_spec_validator import OpenAPIV31SpecValidator

from konkordat.api.problems import TABLE
from konkordat.schedule.registry import COLLECTIONS
from support.api import Node

HIDDEN = {"/openapi.json", "/docs", "/problems/{code}"}


@pytest.fixture
def document(node: Node) -> dict[str, Any]:
    answer = node.nobody.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()  # type: ignore[arg-type]
    assert document["openapi"].startswith("3.1")


def test_every_route_is_documented_and_every_documented_one_exists(
    node: Node, document: dict[str, Any]
) -> None:
    served = set()
    for route in node.client.app.routes:
        if isinstance(route, HTTPRoute):
            path = route.path_format
            served |= {(method, path) for method in route.methods if method != "OPTIONS"}
    documented = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert {(method, path) for method, path in served if path not in HIDDEN} == documented


def test_bodies_are_typed_for_each_collection(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, spec in COLLECTIONS.items():
        if spec.is_frozen:
            assert document["paths"][f"/v2/{name}/{{id}}"].keys() == {"get"}
            continue
        create = document["paths"][f"/v2/{name}"]["post"]
        body = create["requestBody"]["content"]["application/json"]["schema"]
        assert body == {"$ref": f"#/components/schemas/{spec.body.__name__}"}
        shown = create["responses"]["201"]["content"]["application/json"]["schema"]["$ref"]
        properties = schemas[shown.rpartition("/")[2]]["properties"]
        assert {"id", "version", "updated_by", "created_at"} <= properties.keys()
        patch = document["paths"][f"/v2/{name}/{{id}}"]["patch"]
        assert "application/merge-patch+json" in patch["requestBody"]["content"]


def test_every_operation_has_its_own_id_and_its_problems(document: dict[str, Any]) -> None:
    operations = [op for methods in document["paths"].values() for op in methods.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for operation in operations:
        assert operation["summary"]
        if operation.get("security"):
            assert "401" in operation["responses"]
        for status, reply in operation["responses"].items():
            if int(status) >= 400 and "application/problem+json" in reply.get("content", {}):
                codes = [
                    part.strip("` ") for part in reply["description"].partition(": ")[2].split(",")
                ]
                assert {TABLE[code].status for code in codes} == {int(status)}


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_documentation_page_needs_nothing_from_elsewhere(
    node: Node, document: dict[str, Any]
) -> None:
    page = node.nobody.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    parser = _Links()
    parser.feed(page.text)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in parser.tags}
    targets = {attrs["id"] for _, attrs in parser.tags if attrs.get("id")}
    for tag, attrs in parser.tags:
        if tag == "a":
            href = attrs["href"] or ""
            assert href == "/openapi.json" or href.removeprefix("#") in targets
    for path in document["paths"]:
        assert path in page.text
