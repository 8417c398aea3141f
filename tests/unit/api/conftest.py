"""A node with its API, and callers of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.api import Caller, Node, Programme, Table, serving


@pytest.fixture
def table() -> Table:
    """Two nodes that hear of each other only when `deliver` is called."""
    return Table("zurich", "geneva")


@pytest.fixture
def node(table: Table) -> Iterator[Node]:
    with serving(table["zurich"]) as served:
        yield served


@pytest.fixture
def geneva(table: Table) -> Iterator[Node]:
    with serving(table["geneva"]) as served:
        yield served


@pytest.fixture
def acme(node: Node) -> Caller:
    """Somebody of the tenant acme who may read and write."""
    return node.key("acme")


@pytest.fixture
def forum(acme: Caller) -> Programme:
    return Programme(acme)
