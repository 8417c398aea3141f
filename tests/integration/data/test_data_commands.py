"""The commands about a node's files, as a user and as a script meet them."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from konkordat.cli.exits import ExitCode
from konkordat.cli.main import main
from konkordat.kernel.ids import NodeName
from konkordat.kernel.policy import Policies
from konkordat.replica.messages import Command
from konkordat.replica.replica import Replica
from konkordat.replica.settings import ReplicaSettings
from konkordat.store.port import CorruptStoreError
from konkordat.store.sqlite import open_sqlite
from konkordat.store.sqlite.connection import FILE_NAME
from konkordat.testing.clock import START_MS
from konkordat.testing.domain import Put, TrialDomain, item

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of a stopped node with two records."""
    path = tmp_path / "zurich"
    store = open_sqlite(path, NodeName("zurich"), START_MS, os.urandom)
    replica = Replica(store, TrialDomain(), Policies(), ReplicaSettings("trial"))
    replica.handle([Command("1", "key:1", Put(item("a"), {"title": "Zürich"}))], START_MS)
    replica.handle([Command("2", "key:1", Put(item("b"), {"title": "Genève"}))], START_MS + 1)
    store.close()
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def last_json(capture: Capture) -> Any:
    return json.loads(capture.readouterr().out.splitlines()[-1])


def test_a_backup_and_a_restore_report_what_they_copied(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    file, other = tmp_path / "b", tmp_path / "other"
    assert run("backup", "--data", data, "--to", file, "--json") == ExitCode.OK
    told = last_json(capsys)
    assert (told["node"], told["batches"], told["records"], told["verified"]) == (
        *("zurich", 2, 2, True),
    )
    assert run("restore", "--from", file, "--data", other) == ExitCode.OK
    assert "begins a new incarnation" in capsys.readouterr().out
    assert run("check", "--data", other) == ExitCode.OK
    assert "Sound" in capsys.readouterr().out


def test_a_damaged_directory_is_named_and_exits_with_1(data: Path, capsys: Capture) -> None:
    connection = apsw.Connection(str(data / FILE_NAME))
    connection.execute("UPDATE records SET fields = replace(fields, 'Zürich', 'Zurich')")
    connection.close()
    assert run("check", "--data", data) == ExitCode.UNMET
    captured = capsys.readouterr()
    assert "record acme/items/a does not match its checksum" in captured.out
    assert "fetches everything from its peers" in captured.err
    assert run("check", "--data", data, "--json") == ExitCode.UNMET
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["sound"] is False
    assert second["error"]["code"] == "damaged"


@pytest.mark.parametrize("flags", [(), ("--in-place", "--from", "b")])
def test_a_restore_is_from_a_file_or_in_place(
    data: Path, capsys: Capture, flags: tuple[str, ...]
) -> None:
    assert run("restore", "--data", data, *flags) == ExitCode.USAGE
    assert "one of the two" in capsys.readouterr().err


def test_what_is_not_there_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    for command in (("backup", "--to", tmp_path / "b"), ("check",), ("restore", "--in-place")):
        assert run(*command, "--data", tmp_path / "nowhere") == ExitCode.FILE
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_adopted_directory_says_what_comes_next(data: Path, capsys: Capture) -> None:
    assert run("restore", "--in-place", "--data", data) == ExitCode.OK
    assert "new incarnation" in capsys.readouterr().out


def test_a_damaged_name_is_damage_and_no_defect(data: Path, capsys: Capture) -> None:
    """A flipped bit in the node's own name ended the command, and the node, as a defect of the program."""
    with closing(apsw.Connection(str(data / FILE_NAME))) as connection:
        broken = "UPDATE meta SET value = CAST(x'7afc72' AS TEXT) WHERE key = 'created_ms'"
        connection.execute(broken)
    with pytest.raises(CorruptStoreError, match="no UTF-8"):
        open_sqlite(data, NodeName("zurich"), START_MS, os.urandom)
    assert run("check", "--data", data) == ExitCode.UNMET
    assert "no UTF-8" in capsys.readouterr().err
