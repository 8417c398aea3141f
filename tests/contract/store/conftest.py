"""One store of each kind, so that every test of the contract runs against all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from konkordat.store.port import Store
from support.stores import KINDS, Kind, Scribe


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    """A kind of store, with a place for one."""
    made: Kind = request.param(tmp_path)
    return made


@pytest.fixture
def store(kind: Kind) -> Iterator[Store]:
    """An open, empty store. Tests that reopen it close it themselves; closing twice is harmless."""
    opened = kind.open()
    yield opened
    opened.close()


@pytest.fixture
def scribe(store: Store) -> Scribe:
    return Scribe(store)
