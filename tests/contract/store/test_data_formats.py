"""Data directories of every released format open, and those of formats to come are refused in plain words.

PROOF: I11 (unknown schema: stop visibly, never guess). The directories are kept in tests/fixtures/data-format-*.
"""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from konkordat.kernel.ids import NodeName
from konkordat.kernel.policy import Policies
from konkordat.replica.messages import Accepted, Answered, Command
from konkordat.replica.replica import Replica
from konkordat.replica.settings import ReplicaSettings
from konkordat.store.port import StoreUnusableError
from konkordat.store.sqlite import open_sqlite
from konkordat.store.sqlite.backup import adopt, back_up, inspect, restore
from konkordat.store.sqlite.connection import FILE_NAME
from konkordat.store.sqlite.opening import DATA_FORMAT
from konkordat.testing.clock import START_MS
from konkordat.testing.crash.flips import content_of, digest_of
from konkordat.testing.crash.run import REPLAY
from konkordat.testing.domain import Put, TrialDomain, item

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
ARCHIVES = sorted(FIXTURES.glob("data-format-*/*.zip"))
A_DAY_MS = 86_400_000


def unpacked(archive: Path, data: Path) -> dict[str, Any]:
    """Make a data directory of an archive; what is known of it."""
    with zipfile.ZipFile(archive) as files:
        files.extractall(data)
    known: dict[str, Any] = json.loads((archive.parent / "expected.json").read_text())[archive.stem]
    return known


def test_the_present_format_is_kept_too() -> None:
    assert {path.parent.name for path in ARCHIVES} == {
        f"data-format-{number}" for number in range(1, DATA_FORMAT + 1)
    }, "run tests/fixtures/make_data_fixture.py"


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_directory_of_a_released_format_opens_with_all_it_has_and_goes_on(
    archive: Path, tmp_path: Path
) -> None:
    known = unpacked(archive, tmp_path)
    store = open_sqlite(tmp_path, NodeName(known["node"]), START_MS, os.urandom, replay=REPLAY)
    with closing(store):
        assert store.check() == []
        assert store.frontier() == known["frontier"]
        content = content_of(store)
        assert len(content["records"]) == known["records"]
        assert digest_of(content) == known["content"]
        replica = Replica(store, TrialDomain(), Policies(), ReplicaSettings("trial"))
        command = Command("1", "key:1", Put(item("new"), {"title": "neu"}))
        effects = replica.handle([command], START_MS + A_DAY_MS)
        assert any(isinstance(e, Answered) and isinstance(e.outcome, Accepted) for e in effects)
        assert store.check() == []


def test_a_directory_of_a_format_to_come_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    known = unpacked(ARCHIVES[-1], data)
    with closing(apsw.Connection(str(data / FILE_NAME))) as connection:
        connection.pragma("user_version", DATA_FORMAT + 1)
    before = (data / FILE_NAME).read_bytes()
    message = f"data format {DATA_FORMAT + 1}, this release knows up to {DATA_FORMAT}"
    for use in (
        lambda: open_sqlite(data, NodeName(known["node"]), START_MS, os.urandom),
        lambda: adopt(data, REPLAY),
        lambda: inspect(data, REPLAY),
        lambda: back_up(data, tmp_path / "b", REPLAY, lambda _done, _total: None),
        lambda: restore(data / FILE_NAME, tmp_path / "new", REPLAY, lambda _done, _total: None),
    ):
        with pytest.raises(StoreUnusableError, match=message):
            use()
    assert (data / FILE_NAME).read_bytes() == before
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "new" / FILE_NAME).exists()
