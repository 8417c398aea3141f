"""What followers are told after a commit is what the store has then, though it is hardly ever read for it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, cast

import pytest

from konkordat.api import undecided as module
from konkordat.api.changes import decided_owners
from konkordat.api.undecided import Undecided
from konkordat.api.views import CLAIMANTS, version
from konkordat.kernel.claim import DecidedClaim
from konkordat.kernel.ids import RecordKey
from konkordat.kernel.record import Record
from konkordat.replica.messages import Committed
from konkordat.store.port import Reader
from support.api import Caller, Programme, Table, TrialGate, serving

NAMES = ("zurich", "geneva", "bern")


class Counting:
    """A reader that counts what is asked of it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.reads = 0

    def load(self, keys: Iterable[RecordKey]) -> dict[RecordKey, Record]:
        self.reads += 1
        return self._reader.load(keys)

    def claims_of(self, keys: Iterable[RecordKey]) -> dict[RecordKey, list[DecidedClaim]]:
        self.reads += 1
        return self._reader.claims_of(keys)


class Watcher(list[Committed]):
    """Looks at every commit of a node before the next is made, and compares with its store."""

    def __init__(self, gate: TrialGate) -> None:
        super().__init__()
        self.undecided = Undecided()
        self.store = gate.store.reader()
        self.counting = Counting(gate.store.reader())
        self.with_claims = 0
        gate.commits = self

    def append(self, committed: Committed) -> None:
        super().append(committed)
        written = {e.key: e.record for e in committed.entries if e.key.tenant == "acme"}
        self.undecided.take(committed)
        states = self.undecided.states(
            committed, written, decided_owners(committed.claims), cast("Reader", self.counting)
        )
        # A decision may come before what it decides.
        records = self.store.load([*written, *decided_owners(committed.claims)])
        assert set(states) == set(records)
        claims = self.store.claims_of([key for key in states if key.collection in CLAIMANTS])
        for key, state in states.items():
            assert state.record == records[key]
            assert list(state.claims) == claims.get(key, [])
            assert version(state.record, state.claims, state.version) == version(
                records[key], claims.get(key, ())
            )
            self.with_claims += bool(state.claims)


class Bookings:
    """People at several nodes who book, move, cancel and delete sessions in one room."""

    def __init__(self, table: Table, stack: ExitStack, seed: int) -> None:
        self.table = table
        self.random = random.Random(seed)
        nodes = {name: stack.enter_context(serving(table[name])) for name in NAMES}
        acme = nodes["zurich"].key("acme")
        self.forum = Programme(acme)
        table.deliver()
        self.callers: dict[str, Caller] = {n: nodes[n].caller(acme) for n in NAMES}
        self.made: list[str] = []

    def step(self) -> None:
        caller = self.callers[self.random.choice(NAMES)]
        choice = self.random.random()
        if choice < 0.4 or not self.made:
            made = self._ask(caller, "POST", "/v2/sessions", self._body())
            self.made += [made.headers["location"]] if made.status_code == 201 else []
        elif choice < 0.7:
            self._ask(caller, "PATCH", self._one(), {"slot": self._slot()})
        elif choice < 0.8:
            self._ask(caller, "PATCH", self._one(), {"slot": None})
        elif choice < 0.9:
            self._ask(caller, "PATCH", self._one(), {"title": {"de": "Anders"}})
        else:
            self._ask(caller, "DELETE", self._one(), None)
        if self.random.random() < 0.4:
            self.table.deliver(*self.random.sample(NAMES, self.random.choice((0, 0, 1))))

    def _ask(self, caller: Caller, method: str, path: str, body: Any) -> Any:
        answer = caller(method, path, body)
        assert answer.status_code < 500, answer.text
        return answer

    def _body(self) -> dict[str, Any]:
        return self.forum.session(slot=self._slot())

    def _slot(self) -> dict[str, Any]:
        hour, day = self.random.randrange(9, 18), self.random.randrange(1, 4)
        return self.forum.slot(f"{hour:02}:00", day=day, minutes=90)

    def _one(self) -> str:
        return self.random.choice(self.made)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kept", [module.KEPT_MAX, 2])
def test_states_are_those_of_the_store(
    seed: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_MAX", kept)
    table = Table(*NAMES, members=NAMES)
    watchers = [Watcher(gate) for gate in table.gates.values()]
    with ExitStack() as stack:
        bookings = Bookings(table, stack, seed)
        for _ in range(120):
            bookings.step()
        table.deliver()
    assert all(watcher.with_claims > 40 for watcher in watchers)


def test_a_booking_that_is_made_and_decided_is_told_without_reading() -> None:
    table = Table(*NAMES, members=NAMES)
    with ExitStack() as stack:
        bookings = Bookings(table, stack, 1)
        table.deliver()
        watcher = Watcher(table["zurich"])
        body = bookings.forum.session(slot=bookings.forum.slot())
        path = bookings.callers["zurich"].post("/v2/sessions", body).headers["location"]
        table.deliver()
        assert bookings.callers["zurich"].get(path).json()["slot"]["state"] == "confirmed"
    assert watcher.with_claims > 1
    assert watcher.counting.reads == 0
