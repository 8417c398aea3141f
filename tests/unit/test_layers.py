"""The table of layers in ARCHITECTURE.md holds, and what should be pure is.

The table is the rule: this file only reads it. Each check is also shown to be able to fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import pytest

from support.source import PACKAGE, ROOT, Module, imports, own_modules, reached_names

# What a machine is given it must not take: time, randomness, threads, sockets, environment, logs.
# Named by the packages that are simulated; the simulator is only worth its seeds if this holds.
PURE = ("kernel", "wire", "protocol", "replica", "schedule")

AMBIENT_MODULES = (
    *("asyncio", "concurrent", "multiprocessing", "queue", "sched", "subprocess", "threading"),
    *("http.client", "http.server", "select", "selectors", "signal", "socket", "socketserver"),
    *("ssl", "urllib.request", "random", "secrets", "time", "logging", "getpass"),
    *("sqlite3", "tempfile", "pathlib.Path"),
    *("apsw", "httpx", "litestar", "prometheus_client", "psycopg", "structlog", "uvicorn"),
    *("uvloop", "websockets", "zenoh"),
)
AMBIENT_NAMES = frozenset(
    {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "importlib.import_module",
        "input",
        "open",
        "os.environ",
        "os.getenv",
        "os.getpid",
        "os.urandom",
        "platform.node",
        "print",
        "uuid.getnode",
        "uuid.uuid1",
        "uuid.uuid4",
        "uuid.uuid6",
        "uuid.uuid7",
    }
)

# Nowhere, pure or not: it can swallow a cancellation on Python 3.11.
BANNED_EVERYWHERE = frozenset({"asyncio.wait_for"})


@dataclass(frozen=True)
class Row:
    """One row of the table: a package or module, how high it stands, what it may import of ours."""

    package: str
    layer: int
    may_import: tuple[str, ...]


def read_table(document: str) -> dict[str, Row]:
    """The rows between the markers, by package. Names are what stands in backticks."""
    between = re.search(r"<!-- layers -->\n(.*?)<!-- /layers -->", document, re.DOTALL)
    assert between, "ARCHITECTURE.md has no table between <!-- layers --> and <!-- /layers -->"
    rows = {}
    for line in between[1].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) < 3 or not (layer := re.match(r"L(\d+)", cells[1])):
            continue
        for package in re.findall(r"`([\w.]+)`", cells[0]):
            assert package not in rows, f"two rows for {package}"
            names = tuple(re.findall(r"`([\w.]+)`", cells[2]))
            rows[package] = Row(package, int(layer[1]), names)
    assert rows, "the table of layers is empty"
    return rows


def covers(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def row_of(table: Mapping[str, Row], name: str) -> Row | None:
    """The row that speaks of a module: the most specific one."""
    rows = [row for row in table.values() if covers(row.package, name)]
    return max(rows, key=lambda row: len(row.package), default=None)


def layer_violations(table: Mapping[str, Row], module: Module) -> Iterator[str]:
    """Imports of ours that the table does not allow. A package may always import itself."""
    if not module.name:
        targets = [use for use in imports(module) if covers(PACKAGE, use.name)]
        yield from (
            f"{module.path}:{use.line}: the package itself imports nothing" for use in targets
        )
        return
    row = row_of(table, module.name)
    if row is None:
        yield f"{module.path}: {module.name} has no row in the table of ARCHITECTURE.md"
        return
    for use in imports(module):
        target = use.name.removeprefix(PACKAGE + ".")
        if not covers(PACKAGE, use.name) or target == "__version__":
            continue
        if not any(covers(allowed, target) for allowed in (row.package, *row.may_import)):
            yield f"{module.path}:{use.line}: {row.package} may not import {target}"


def ambient_violations(module: Module) -> Iterator[str]:
    """What a pure module takes from the world instead of being given it."""
    for use in imports(module):
        if any(covers(ambient, use.name) for ambient in AMBIENT_MODULES):
            yield f"{module.path}:{use.line}: {module.name} is pure: no {use.name}"
    for use in reached_names(module):
        if use.name in AMBIENT_NAMES:
            yield f"{module.path}:{use.line}: {module.name} is pure: no {use.name}"


def banned_violations(module: Module) -> Iterator[str]:
    for use in (*imports(module), *reached_names(module)):
        if use.name in BANNED_EVERYWHERE:
            yield f"{module.path}:{use.line}: {use.name} is banned everywhere"


def order_violations(table: Mapping[str, Row]) -> Iterator[str]:
    """Imports point down: what a row allows stands on a lower layer, or is its own package."""
    for row in table.values():
        for allowed in row.may_import:
            below = row_of(table, allowed)
            if below is None:
                yield f"{row.package} may import {allowed}, which has no row"
            elif _top(below.package) != _top(row.package) and below.layer >= row.layer:
                yield f"{row.package} (L{row.layer}) may import {allowed} (L{below.layer})"
    try:
        TopologicalSorter({row.package: set(row.may_import) for row in table.values()}).prepare()
    except CycleError as circle:
        yield f"the table goes in a circle: {circle.args[1]}"


def _top(package: str) -> str:
    return package.partition(".")[0]


def is_pure(module: Module) -> bool:
    return _top(module.name) in PURE


# The real tree ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table() -> dict[str, Row]:
    return read_table((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return own_modules()


def test_imports_follow_the_table_of_layers(table: dict[str, Row], modules: list[Module]) -> None:
    assert [found for module in modules for found in layer_violations(table, module)] == []


def test_the_table_itself_points_down(table: dict[str, Row]) -> None:
    assert list(order_violations(table)) == []


def test_the_pure_packages_take_nothing_from_the_world(modules: list[Module]) -> None:
    pure = [module for module in modules if is_pure(module)]
    assert {_top(module.name) for module in pure} == set(PURE)
    assert [found for module in pure for found in ambient_violations(module)] == []


def test_nobody_waits_with_wait_for(modules: list[Module]) -> None:
    assert [found for module in modules for found in banned_violations(module)] == []


# That each check can fail -----------------------------------------------------------------------

EXAMPLE = """
<!-- layers -->
| package | layer | may import |
|---|---|---|
| `kernel` | L0 | nothing of ours |
| `store.port` | L1 | `kernel` |
| `store` | L2 | `kernel` |
| `replica` | L3 | `kernel`, `store.port` |
| `cli` | L5 | nothing of ours |
| `cli.serve` | L5 | `cli`, `replica` |
<!-- /layers -->
"""


def module(name: str, text: str) -> Module:
    return Module(name, f"{name.replace('.', '/')}.py", text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kernel.merge", "from konkordat.store.port import Store"),
        ("kernel.merge", "import konkordat.replica"),
        ("kernel.merge", "def later():\n    from konkordat.replica import node"),
        ("kernel.merge", "if TYPE_CHECKING:\n    from konkordat.store import port"),
        ("kernel.merge", "from ..store import port"),
        ("store.port", "from konkordat.store.memory import MemoryStore"),
        ("replica.node", "from konkordat.store.memory import MemoryStore"),
        ("replica.node", "from konkordat.store import MemoryStore"),
        ("cli.status", "from konkordat.replica import node"),
        ("unheard_of", "x = 1"),
        ("", "from konkordat.kernel import hlc"),
    ],
)
def test_an_import_that_the_table_does_not_allow_is_found(name: str, text: str) -> None:
    assert len(list(layer_violations(read_table(EXAMPLE), module(name, text)))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kernel.merge", "from konkordat.kernel.hlc import Hlc\nimport msgspec"),
        ("kernel.merge", "from .hlc import Hlc"),
        ("kernel.merge", "from konkordat import __version__"),
        ("store.sqlite.log", "from konkordat.store.port import Store"),
        ("replica.node", "from konkordat.store.port import Store"),
        ("replica.node", "from konkordat.store import port"),
        ("cli.serve", "from konkordat.replica import node\nfrom konkordat.cli.tables import rows"),
        ("cli.main", "from konkordat.cli.serve import serve"),
        ("kernel.merge", "import konkordatlike.store"),
    ],
)
def test_an_import_that_the_table_allows_passes(name: str, text: str) -> None:
    assert list(layer_violations(read_table(EXAMPLE), module(name, text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "import asyncio.events",
        "from random import Random",
        "from os import urandom\nx = urandom(8)",
        "import os as o\nx = o.environ['HOME']",
        "from datetime import datetime as d\nx = d.now()",
        "import datetime\nx = datetime.date.today()",
        "import uuid\nx = uuid.uuid4",
        "def f(path):\n    return open(path)",
        "import importlib\ntime = importlib.import_module('time')",
    ],
)
def test_taking_from_the_world_is_found(text: str) -> None:
    assert list(ambient_violations(module("kernel.merge", text)))


@pytest.mark.parametrize(
    "text",
    [
        "from datetime import UTC, datetime, time\nx = datetime(2026, 1, 2, tzinfo=UTC), time(4)",
        "import uuid\nx = uuid.UUID(int=1)",
        "def f(reader):\n    return reader.open('x'), reader.now()",
        "import os\nx = os.fsencode('a')",
    ],
)
def test_computing_from_arguments_passes(text: str) -> None:
    assert list(ambient_violations(module("kernel.merge", text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio\nawait_it = asyncio.wait_for",
        "from asyncio import wait_for",
        "import asyncio as a\nasync def f(x):\n    await a.wait_for(x, 1)",
    ],
)
def test_wait_for_is_found_under_any_name(text: str) -> None:
    assert list(banned_violations(module("node.links", text)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| `kernel` | L0 | nothing of ours |", "| `kernel` | L0 | `store.port` |"),
        ("| `store.port` | L1 |", "| `store.port` | L4 |"),
        ("| `cli` | L5 | nothing of ours |", "| `cli` | L5 | `cli.serve` |"),
        ("`cli`, `replica`", "`cli`, `elsewhere`"),
    ],
)
def test_a_table_that_points_up_or_in_a_circle_is_found(old: str, new: str) -> None:
    assert list(order_violations(read_table(EXAMPLE))) == []
    assert old in EXAMPLE
    assert list(order_violations(read_table(EXAMPLE.replace(old, new))))


def test_a_document_without_the_table_is_an_error() -> None:
    with pytest.raises(AssertionError, match="no table"):
        read_table("# Architecture")
