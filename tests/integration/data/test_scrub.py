"""The scrub reads everything again beside a running node, and stops it when something is damaged.

PROOF: I11; "every stored batch and record carries a checksum … a scrub … or the node stops and says why".
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from konkordat.kernel.ids import NodeName
from konkordat.kernel.policy import Policies
from konkordat.node.errors import DamagedError, ExitCode, NodeError, StoreFailedError
from konkordat.node.run import told
from konkordat.node.scrubber import Scrubber
from konkordat.replica.messages import Command
from konkordat.replica.replica import Replica
from konkordat.replica.settings import ReplicaSettings
from konkordat.store.port import CorruptStoreError, StoreError
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.store.sqlite.connection import FILE_NAME
from konkordat.store.sqlite.scrub import STEP_RECORDS, Scrub, open_scrub
from konkordat.testing.clock import START_MS
from konkordat.testing.domain import Put, Remove, TrialDomain, item

RECORDS = 3 * STEP_RECORDS
STEPS_MAX = 10_000
PATIENCE_S = 20


class Node:
    """A replica on a directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.store: SqliteStore = open_sqlite(
            data, NodeName("zurich"), START_MS, os.urandom, segment_rows_max=20
        )
        self._replica = Replica(self.store, TrialDomain(), Policies(), ReplicaSettings("trial"))
        self._now_ms = START_MS

    def write(self, *bodies: Put | Remove) -> None:
        self._now_ms += 1
        commands = [Command(f"{self._now_ms}-{n}", "", body) for n, body in enumerate(bodies)]
        self._replica.handle(commands, self._now_ms)

    def damage(self, sql: str) -> None:
        with closing(apsw.Connection(str(self.data / FILE_NAME))) as connection:
            connection.execute(sql)
            assert connection.changes()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "zurich")
    for first in range(0, RECORDS, 12):
        made.write(*[Put(item(f"{n:04}"), {"title": f"no. {n}"}) for n in range(first, first + 12)])
    made.write(Remove(item("0007")))
    yield made
    made.store.close()


def one_pass(scrub: Scrub) -> int:
    """Step until everything was read; how many steps that took."""
    for steps in range(1, STEPS_MAX):
        if scrub.step():
            return steps
    raise AssertionError("the scrub comes to no end")


def test_a_scrub_reads_everything_in_small_steps_again_and_again(node: Node) -> None:
    with closing(open_scrub(node.data)) as scrub:
        assert one_pass(scrub) > 5
        assert one_pass(scrub) > 5


def test_a_scrub_is_not_confused_by_what_is_written_meanwhile(node: Node) -> None:
    with closing(open_scrub(node.data)) as scrub:
        for n in range(200):
            node.write(Put(item(f"new-{n % 50}"), {"title": str(n)}), Put(item("0001"), {"n": n}))
            scrub.step()
    assert (
        node.store.check()[1:] == []
    )  # the first says that nothing was given to decode the log with


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE log SET body = zeroblob(9) WHERE rowid = (SELECT max(rowid) FROM log)", "batch"),
        (
            "UPDATE log SET hash = zeroblob(32) WHERE rowid = (SELECT min(rowid) FROM log)",
            "batch 1",
        ),
        ("DELETE FROM log WHERE rowid = (SELECT min(rowid) + 2 FROM log)", "batch 3"),
        ("UPDATE origins SET head = zeroblob(32)", "does not end where"),
        ("UPDATE records SET fields = '{}' WHERE id = '0100'", "acme/items/0100"),
        ("UPDATE records SET actor = 'x' WHERE id = '0000'", "acme/items/0000"),
        ("DELETE FROM records WHERE id = '0050'", "digest"),
        ("UPDATE segments SET live = live + 1 WHERE id = ''", "digest"),
        ("UPDATE records SET scope = 9 WHERE id = '0100'", "not booked"),
    ],
)
def test_what_is_damaged_is_named(node: Node, sql: str, what: str) -> None:
    node.damage(sql)
    with closing(open_scrub(node.data)) as scrub, pytest.raises(CorruptStoreError, match=what):
        one_pass(scrub)


# In the node ----------------------------------------------------------------------------------------


class Told:
    """What a scrubber said, and the means to wait for it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.failures: list[NodeError] = []
        self._news = threading.Condition()

    def tell(self, level: str, event: str, fields: dict[str, Any]) -> None:
        with self._news:
            self.events.append((level, event, fields))
            self._news.notify_all()

    def failed(self, error: NodeError) -> None:
        with self._news:
            self.failures.append(error)
            self._news.notify_all()

    def wait_for_failure(self) -> NodeError:
        with self._news:
            assert self._news.wait_for(lambda: self.failures, PATIENCE_S)
        return self.failures[0]

    def wait_for_event(self, name: str) -> dict[str, Any]:
        def there() -> list[dict[str, Any]]:
            return [fields for _level, event, fields in self.events if event == name]

        with self._news:
            assert self._news.wait_for(there, PATIENCE_S)
            return there()[0]


def test_a_finished_pass_is_journaled_and_the_scrub_goes_on(node: Node) -> None:
    heard = Told()
    scrubber = Scrubber(open_scrub(node.data), heard.tell, heard.failed, step_every_s=0)
    scrubber.start()
    fields = heard.wait_for_event("scrub_finished")
    assert fields["records"] == RECORDS
    assert fields["batches"] == RECORDS // 12 + 1
    node.damage("UPDATE records SET actor = 'x' WHERE id = '0042'")
    error = heard.wait_for_failure()
    scrubber.stop()
    assert isinstance(error, DamagedError)
    assert error.exit_code == ExitCode.STORE_FAILED
    assert "acme/items/0042" in told(error)
    assert heard.wait_for_event("damage_found")["what"] == str(error)


def test_passes_over_little_data_do_not_fill_the_journal() -> None:
    heard = Told()
    scrub = Empty()
    scrubber = Scrubber(scrub, heard.tell, heard.failed, step_every_s=0)
    scrubber.start()
    assert scrub.many_passes.wait(PATIENCE_S)
    scrubber.stop()
    assert [event for _level, event, _fields in heard.events] == ["scrub_finished"]


def test_a_disk_that_cannot_be_read_stops_the_node_under_another_name() -> None:
    heard = Told()
    scrubber = Scrubber(Unreadable(), heard.tell, heard.failed, step_every_s=0)
    scrubber.start()
    assert isinstance(heard.wait_for_failure(), StoreFailedError)
    scrubber.stop()


def test_a_node_process_on_damaged_data_stops_and_says_why(node: Node) -> None:
    node.damage("UPDATE records SET actor = 'x' WHERE id = '0042'")
    node.store.close()
    command = [sys.executable, "-m", "konkordat", "serve", "--name", "zurich"]
    command += ["--data", str(node.data), "--api", "127.0.0.1:0", "--listen", "tcp/127.0.0.1:0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == ExitCode.STORE_FAILED
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("konkordat: What is stored is damaged: record acme/items/0042")
    assert "Start on an empty directory" in last
    assert '"event": "damage_found"' in ended.stderr


class Unreadable:
    batches_read = records_read = 0

    def step(self) -> bool:
        raise StoreError("reading (step): disk I/O error")

    def close(self) -> None:
        pass


class Empty:
    batches_read = records_read = 0

    def __init__(self) -> None:
        self.many_passes = threading.Event()
        self._passes = 0

    def step(self) -> bool:
        self._passes += 1
        if self._passes == 100:
            self.many_passes.set()
        return True

    def close(self) -> None:
        pass
