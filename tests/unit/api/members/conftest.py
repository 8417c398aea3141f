"""Three members of a roster, each with its API, that hear of each other only when `deliver` is called. Bern decides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.api import Caller, Programme, Table, serving

NAMES = ("zurich", "geneva", "bern")


@pytest.fixture
def table() -> Table:
    return Table(*NAMES, members=NAMES)


@pytest.fixture
def acme(table: Table) -> Iterator[Caller]:
    """Somebody who may read and write, at zurich."""
    with serving(table["zurich"]) as served:
        yield served.key("acme")


@pytest.fixture
def forum(acme: Caller, table: Table) -> Programme:
    """A programme that all three know."""
    made = Programme(acme)
    table.deliver()
    return made
