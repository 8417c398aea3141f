"""What every tier shares: how hard Hypothesis tries, the real programmes, and the rows tests show."""

from __future__ import annotations

import gc
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from support.campaigns import CampaignJudge

ROOT = Path(__file__).resolve().parent.parent

# Hypothesis -----------------------------------------------------------------------------------
#
# `dev` looks for new counterexamples at every run; `ci` tries the same ones each time, so that a
# red run is about the change and not about luck; `soak` is for a night (KONKORDAT_EXAMPLES says for how
# much of one). HYPOTHESIS_PROFILE chooses.
# A test whose examples are dear (a server, a process) says its own number with @settings.
# No deadline: how long an example took says something about the machine, not about the code.

PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("dev", deadline=None, max_examples=100)
settings.register_profile(
    "ci", max_examples=200, derandomize=True, database=None, print_blob=True, **PATIENT
)
settings.register_profile(
    "soak",
    max_examples=int(os.environ.get("KONKORDAT_EXAMPLES") or 50_000),
    print_blob=True,
    **PATIENT,
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


# Real programmes ------------------------------------------------------------------------------


class ProgrammeFiles(dict[str, Path]):
    """File name to path of the real programmes; asking for one that is not here skips the test."""

    def __missing__(self, name: str) -> Path:
        pytest.skip(f"{name} is not here: put it into ../shared/data or point KONKORDAT_DATA at it")


@pytest.fixture(scope="session")
def programme_files() -> Mapping[str, Path]:
    """Published conference programmes (frab schedule XML), which do not ship with the project."""
    configured = os.environ.get("KONKORDAT_DATA")
    folder = Path(configured) if configured else ROOT.parent / "shared" / "data"
    return ProgrammeFiles((path.name, path) for path in sorted(folder.glob("*.xml")))


# Garbage --------------------------------------------------------------------------------------


def pytest_collection_finish() -> None:
    """What is loaded by now stays: looking through it for garbage again and again took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


# Several processes --------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the one that leads the run
        config.pluginmanager.register(CampaignJudge())


# Coroutines -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What `@pytest.mark.anyio` tests run on: the loop that production runs on, not Trio as well."""
    return "asyncio"


# Rows of the requirements ---------------------------------------------------------------------

ROW_ID = re.compile(r"S\d-\d+")
ROWS: pytest.StashKey[dict[str, list[str]]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rows", action="store_true", help="list the rows and the tests that show them"
    )


def rows_of(item: pytest.Item) -> list[str]:
    """The ids of an item's `row` marks; a mark without exactly one well-formed id is an error."""
    rows = []
    for mark in item.iter_markers("row"):
        well_formed = (
            len(mark.args) == 1 and not mark.kwargs and ROW_ID.fullmatch(str(mark.args[0]))
        )
        if not well_formed:
            message = f"{item.nodeid}: a row mark carries one id such as S0-14, not {mark.args!r}"
            raise pytest.UsageError(message)
        rows.append(str(mark.args[0]))
    return rows


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests_of_row: defaultdict[str, list[str]] = defaultdict(list)
    for item in items:
        for row in rows_of(item):
            tests_of_row[row].append(item.nodeid)
    config.stash[ROWS] = tests_of_row
    _long_ones_first(items)


def _long_ones_first(items: list[pytest.Item]) -> None:
    """So that no process is alone with a long test while the others are done. A module stays together: its tests share
    what they start."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--rows"):
        return
    terminalreporter.section("rows of the requirements")
    in_order = sorted(config.stash.get(ROWS, {}).items(), key=lambda row: _numbers(row[0]))
    for row, tests in in_order:
        terminalreporter.write_line(f"{row:<6} {len(tests):>3}  {tests[0]}")


def _numbers(row: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", row))
