"""A node with a bug on purpose, as a process: what a campaign of real processes must find.

    python -m konkordat.testing.real.faulty "acknowledged before durable" CONFIG.toml

Nothing here is reachable from the program.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

import apsw

from konkordat.api import consistency
from konkordat.node.__main__ import main as run_node
from konkordat.store.sqlite import store as sqlite_store
from konkordat.testing import planted
from konkordat.testing.planted import Plant, PlantedBug, replace

LAZY_S: Final = 0.5  # how long acknowledged commits wait for the disk

BEGIN: Final = "BEGIN IMMEDIATE"


class LazyConnection:
    """Begins one transaction for many commits, and ends it now and then. Everything else is the real one's."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._ended_at_s = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *rest: Any) -> Any:
        if statement == BEGIN and self._connection.in_transaction:
            return None
        if statement == "COMMIT":
            if time.monotonic() - self._ended_at_s < LAZY_S:
                return None
            self._ended_at_s = time.monotonic()
        return self._connection.execute(statement, *rest)


def _acknowledged_before_durable(stack: ExitStack) -> None:
    """Commits return before they reach the disk: half a second of them is lost with the process."""
    make = sqlite_store.SqliteStore.__dict__["__init__"]

    def lazy(self: Any, connection: apsw.Connection, *rest: Any, **more: Any) -> None:
        make(self, connection, *rest, **more)
        self._connection = LazyConnection(self._connection)

    replace(stack, sqlite_store.SqliteStore, "__init__", lazy)


def _token_ignored(stack: ExitStack) -> None:
    """The API answers a read whether or not its node has what the token names."""
    replace(stack, consistency, "covers", lambda _ours, _theirs: True)


def _as_simulated(name: str) -> Plant:
    return next(bug.plant for bug in planted.BUGS if bug.name == name)


def _bug(name: str, found_by: tuple[str, ...], plant: Plant | None = None) -> PlantedBug:
    return PlantedBug(name, found_by, plant or _as_simulated(name))


BUGS: Final[Mapping[str, PlantedBug]] = {
    bug.name: bug
    for bug in (
        # Who wrote to others what it then lost is found by them: it stops, because it must not use its numbers twice.
        _bug("acknowledged before durable", ("I2", "I11"), _acknowledged_before_durable),
        _bug("dedupe table not persisted", ("I7",)),
        _bug("merge depends on the order", ("I1",)),
        _bug("token ignored", ("I5",), _token_ignored),
    )
}


def main() -> int:
    """The exit code of the node."""
    with ExitStack() as stack:
        BUGS[sys.argv.pop(1)].plant(stack)
        return run_node()


if __name__ == "__main__":
    sys.exit(main())
