"""The style that a machine can check beyond the linter: sizes, leftovers, docstrings, the lock."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.source import ROOT, SOURCE, is_generated, own_modules

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

# Spelt so that this file passes itself.
LEFTOVERS = re.compile(r"\b(FIX" + r"ME|TO" + r"DO|XX" + r"X)\b")

FOLDERS = ("src", "spec", "tests", "tools", "bench", "examples", "clients")
SUFFIXES = {".py", ".sql", ".proto", ".sh", ".toml"}


def written_files() -> list[Path]:
    """What people wrote here and a machine can hold to a style."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    return sorted(path for path in found if path.suffix in SUFFIXES and not is_generated(path))


def complaints(path: Path, text: str) -> Iterator[str]:
    """What is untidy in a file, one sentence each."""
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{path}: {len(lines)} lines, more than {FILE_LINES_MAX}: is it still one idea?"
    for number, line in enumerate(lines, start=1):
        if "\t" in line:
            yield f"{path}:{number}: a tab"
        if LEFTOVERS.search(line):
            yield f"{path}:{number}: a leftover; do it, or write it where plans are kept"
    if path.suffix == ".py":
        yield from long_functions(path, text)


def long_functions(path: Path, text: str) -> Iterator[str]:
    """Functions over the limit. A docstring does not count: it is there to be read, not followed."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node) else 0)
            if length > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, more than {FUNCTION_LINES_MAX}"


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_and_functions_are_of_a_size_to_be_read() -> None:
    found = written_files()
    assert len(found) > 10, "the folders are not where this test looks"
    untidy = [
        complaint
        for path in found
        for complaint in complaints(path.relative_to(ROOT), path.read_text(encoding="utf-8"))
    ]
    assert untidy == []


def test_every_public_module_says_what_it_is() -> None:
    silent = [
        module.path
        for module in own_modules()
        if not re.search(r"/_[a-z]\w*\.py$", module.path) and not ast.get_docstring(module.tree)
    ]
    assert silent == []


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\n" * (FILE_LINES_MAX + 1),
        "def long():\n" + "    x = 1\n" * FUNCTION_LINES_MAX,
        "class A:\n    async def long(self):\n" + "        x = 1\n" * FUNCTION_LINES_MAX,
        "if x:\n\ty = 1\n",
        "x = 1  # TO" + "DO: two\n",
    ],
)
def test_what_is_untidy_is_found(text: str) -> None:
    assert len(list(complaints(Path("example.py"), text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\n" * FILE_LINES_MAX,
        "def fits():\n" + "    x = 1\n" * (FUNCTION_LINES_MAX - 1),
        "def fits():\n    '''one\n    two'''\n" + "    x = 1\n" * (FUNCTION_LINES_MAX - 1),
        "matodo = 'todos'\n",
    ],
)
def test_what_is_tidy_passes(text: str) -> None:
    assert list(complaints(Path("example.py"), text)) == []


def test_the_generated_messages_are_those_of_the_specification(tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            *("-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'spec'}"),
            *(f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "konkordat.proto"),
        ],
        check=True,
    )
    for generated in tmp_path.iterdir():
        ours = SOURCE / "konkordat" / "wire" / generated.name
        assert ours.read_text() == generated.read_text(), f"{ours}: run make proto"


# The lock ---------------------------------------------------------------------------------------


def names(requirements: list[str]) -> set[str]:
    """Names of distributions, in the one spelling (PEP 503)."""
    bare = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in bare if name}


def locked(file: str) -> dict[str, str]:
    """Name to the text of its entry."""
    text = (ROOT / "requirements" / file).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", text).strip())
    return {next(iter(names([entry]))): entry for entry in entries}


def test_every_dependency_is_locked_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, dev = locked("runtime.txt"), locked("dev.txt")
    assert names(project["dependencies"]) <= runtime.keys(), "run make lock"
    assert names(project["optional-dependencies"]["dev"]) <= dev.keys(), "run make lock"
    for entry in (*runtime.values(), *dev.values()):
        assert re.match(r"\S+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_every_runtime_dependency_is_accounted_for_in_the_architecture() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chapter = (ROOT / "ARCHITECTURE.md").read_text().rpartition("## Dependencies")[2].lower()
    words = re.sub(r"[\s_-]+", "-", chapter)
    assert {name for name in names(project["dependencies"]) if name not in words} == set()


def test_what_is_tested_is_what_runs() -> None:
    dev = locked("dev.txt")
    assert {name: dev.get(name) for name in locked("runtime.txt")} == locked("runtime.txt")


@pytest.mark.parametrize("file", ["runtime.txt", "dev.txt"])
def test_the_lock_names_no_place_to_install_from(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host| @ ", text)
