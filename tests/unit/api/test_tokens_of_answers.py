"""The token of an answer names what the answer shows: whoever follows changes from it is told of everything after.

A commit may come at any time, also between two looks of one request, and between a commit and its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from konkordat.kernel.ids import NodeName
from konkordat.replica.messages import Command, Outcome
from konkordat.store.sqlite import open_sqlite
from support.api import START_MS, Caller, Node, Programme, Table, TrialGate, serving

NAMES = ("zurich", "geneva", "bern")


class Interrupted:
    """A reader after each of whose looks at records something may be committed."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.then: Callable[[], None] = lambda: None

    def load(self, keys: Any) -> Any:
        found = self._inner.load(keys)
        self.then()
        return found

    def scan(self, *args: Any, **kwargs: Any) -> Any:
        found = self._inner.scan(*args, **kwargs)
        self.then()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Meanwhile(TrialGate):
    """Something may happen after a command was carried out and before it is answered."""

    then: Callable[[], None] = staticmethod(lambda: None)

    async def submit_many(self, commands: list[Command]) -> list[Outcome]:
        outcomes = await super().submit_many(commands)
        self.then()
        return outcomes


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    """Three members of a roster. Zurich is where the venue is decided; Geneva's store is on the disk."""
    store = open_sqlite(tmp_path, NodeName("geneva"), START_MS, bytes)
    table = Table(*NAMES, members=NAMES, gates=(Meanwhile("geneva", NAMES, store),))
    yield table
    table["geneva"].reader().close()
    store.close()


@pytest.fixture
def nodes(table: Table) -> Iterator[list[Node]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serving(table[name])) for name in NAMES[:2]]


@pytest.fixture
def forum(nodes: list[Node], table: Table) -> Programme:
    made = Programme(nodes[0].key("acme"))
    table.deliver()
    return made


@pytest.fixture
def there(nodes: list[Node], forum: Programme) -> Caller:
    """The same somebody at Geneva."""
    return nodes[1].caller(forum.caller)


def state_told(there: Caller, answered: Any, id: str) -> list[str]:
    """The states of a session's slot that are told to whoever follows from an answer."""
    token = answered.headers["consistency-token"]
    page = there.get("/v2/sessions/changes", params={"since": token}).json()
    return [c["data"]["slot"]["state"] for c in page["data"] if c["id"] == id]


@pytest.mark.parametrize("path", ["/v2/sessions/{id}", "/v2/sessions"])
def test_what_is_decided_between_two_looks_of_a_read_is_told_after_it(
    path: str, forum: Programme, there: Caller, table: Table
) -> None:
    made = there.post("/v2/sessions", forum.session(slot=forum.slot()))
    id = made.json()["id"]
    geneva = table["geneva"]
    interrupted = Interrupted(geneva.reader())
    interrupted.then = table.deliver
    geneva._reader = interrupted  # type: ignore[assignment]
    shown = there.get(path.format(id=id))
    interrupted.then = lambda: None
    assert '"state":"tentative"' in shown.text
    assert state_told(there, shown, id) == ["confirmed"]
    again = there.get(path.format(id=id))
    assert '"state":"confirmed"' in again.text
    assert state_told(there, again, id) == []


@pytest.mark.parametrize("way", ["single", "atomic", "independent"])
def test_what_is_decided_before_a_write_is_answered_is_told_after_it(
    way: str, forum: Programme, there: Caller, table: Table
) -> None:
    geneva = table["geneva"]
    assert isinstance(geneva, Meanwhile)
    geneva.then = table.deliver
    body = forum.session(slot=forum.slot())
    if way == "single":
        made = there.post("/v2/sessions", body)
        id = made.json()["id"]
    else:
        operation = {"op": "create", "type": "sessions", "data": body}
        wish = {"operations": [operation], "mode": way, "include_data": True}
        made = there.post("/v2/batch", wish)
        id = made.json()["results"][0]["id"]
    assert '"state":"tentative"' in made.text
    assert state_told(there, made, id) == ["confirmed"]
