"""docs/configuration.md and the example say what the code does."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from konkordat.node import errors
from konkordat.node.config import NodeConfig
from konkordat.node.errors import ExitCode, NodeError
from support.source import ROOT

DOCUMENT = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
NEEDED = {"node.name", "node.data"}


def documented() -> Iterator[tuple[str, str]]:
    """Dotted key and default of every row, in order."""
    table = ""
    for line in DOCUMENT.splitlines():
        if heading := re.match(r"## (?:`\[(\w+)\]`)?", line):
            table = heading[1] or ""
        elif table and (row := re.match(r"\| `(\w+)` \| (.*?) \|", line)):
            yield f"{table}.{row[1]}", row[2].strip("`")


def real() -> Iterator[tuple[str, Any]]:
    config = msgspec.to_builtins(NodeConfig())
    for table, values in config.items():
        for key, default in values.items():
            yield f"{table}.{key}", default


def test_every_key_is_described_with_its_default_and_no_other() -> None:
    told = dict(documented())
    expected = {
        key: "none, needed" if key in NEEDED else json.dumps(default) for key, default in real()
    }
    assert told == expected
    assert list(told) == list(expected)


def test_every_exit_code_is_described() -> None:
    told = {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", DOCUMENT)}
    assert told == {int(code) for code in ExitCode}


def test_the_errors_are_listed_with_their_codes() -> None:
    listed = dict(re.findall(r"[├└]── (\w+) .* (\d+)\n", errors.__doc__ or ""))
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    real_codes = {
        kind.__name__: str(int(kind.exit_code))
        for kind in kinds
        if issubclass(kind, NodeError) and kind is not NodeError
    }
    assert listed == real_codes


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda p: p.name)
def test_the_examples_are_configurations(path: Path) -> None:
    config = msgspec.convert(tomllib.loads(path.read_text()), NodeConfig)
    assert config.node.name == path.stem
