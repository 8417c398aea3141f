"""Five real nodes, clients at all of them, and what befalls them. Drawn from a seed; the timing is the machine's."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from konkordat.kernel.ids import NodeName
from konkordat.schedule.domain import ScheduleDomain
from konkordat.store.sqlite import open_sqlite
from konkordat.testing.checkers import Violation, judge
from konkordat.testing.disk import REPLAY
from konkordat.testing.history import Agreed, GaveUp, Healed, History, Stopped
from konkordat.testing.history import Final as FinalState
from konkordat.testing.options import NODES
from konkordat.testing.randomness import Source
from konkordat.testing.real.clients import Answer, Look, Notebook, RealClient
from konkordat.testing.real.lines import Lines
from konkordat.testing.real.nodes import (
    PROGRAM,
    NodeFailed,
    Program,
    RealNode,
    await_agreement,
    operator_key,
)
from konkordat.testing.real.story import told_story
from konkordat.testing.recorder import final_state

CLIENTS: Final = 4
START_S: Final = 60.0  # until five nodes found each other, on a busy machine
AGREE_S: Final = 60.0
POLL_S: Final = 0.01
LAST_OPERATIONS_S: Final = 0.5  # of clients, once everything is well again
# What is done to nodes, and how often each is drawn. A kill may also hit a node that is only just starting.
EVERYWHERE: Final = {"kill": 10, "kill two": 2, "kill while starting": 3, "pause": 3, "stop": 1}
BY_DRILL: Final = {"cut": 4}
BY_LINES: Final = {"cut": 2, "one way": 3, "split": 2, "pair": 1}
KILLS: Final = ("kill", "kill two", "kill while starting")


class Report(msgspec.Struct):
    """What a campaign came to."""

    seed: int
    lines: str  # "namespaces" | "loopback"
    faults: dict[str, int]
    kills: int
    started_again: int  # processes after the first of each node
    outcomes: dict[str, int]
    reads: int
    unknown: int  # writes whose outcome nobody learned
    changes: int  # in the log, in the end
    agreed_after_s: float  # once everything was put right
    seconds: float
    skipped: list[str]
    violations: list[Violation]

    def line(self) -> str:
        told = " ".join(f"{k}={v}" for k, v in sorted(self.outcomes.items()))
        faults = " ".join(f"{k}={v}" for k, v in sorted(self.faults.items()))
        return (
            f"{self.kills} kills on {self.lines}; faults: {faults}; writes: {told} unknown={self.unknown}; "
            f"reads: {self.reads}; agreed after {self.agreed_after_s:.1f} s; "
            f"{len(self.violations)} violations in {self.seconds:.0f} s"
        )


class Campaign:
    """One cluster, its clients and its troubles."""

    def __init__(
        self, folder: Path, seed: int, lines: Lines, nodes: int, program: Program = PROGRAM
    ) -> None:
        operator = operator_key()
        self._lines = lines
        self._nodes = [
            RealNode(folder, NodeName(name), number, lines, operator, program)
            for number, name in enumerate(NODES[:nodes])
        ]
        for node in self._nodes:
            node.configure()
        self._seed = seed
        self._source = Source(f"real/{seed}")
        self._notebook = Notebook()
        self._faults: Counter[str] = Counter()
        self._kills = 0
        self._starts = 0
        self._broken: list[tuple[RealNode, str]] = []  # nodes that ended by themselves, and how
        self._kinds = EVERYWHERE | (BY_LINES if lines.can_cut else BY_DRILL)
        self._once = self._source.some(list(self._kinds), len(self._kinds), len(self._kinds))
        self._due: list[tuple[float, Callable[[], None]]] = []  # what is to happen, and when

    def run(self, kills: int) -> Report:
        """Start everything, go on until there were so many kills, put everything right, and judge.

        A node that ends by itself ends the campaign too: there is something to look into.
        """
        began = time.monotonic()
        try:
            clients = self._begin()
            while not self._broken and (self._once or self._kills < kills):
                self._wait(self._source.uniform(0.1, 0.9))
                self._strike()
            self._recover()
            self._wait(LAST_OPERATIONS_S)
            for client in clients:
                client.finish()
            report = self._report(clients)
        finally:
            for node in self._nodes:
                if node.running:
                    node.kill()
        report.seconds = time.monotonic() - began
        return report

    def _begin(self) -> list[RealClient]:
        for node in self._nodes:
            self._start(node)
        self._await_ready()
        if self._broken or not await_agreement(self._nodes, START_S):
            raise NodeFailed(f"the nodes do not find each other {[why for _, why in self._broken]}")
        names = [f"client{n}" for n in range(CLIENTS)]
        keys = [self._nodes[0].tenant_key(name) for name in names]
        clients = [
            RealClient(name, key, self._nodes, self._source.fork(name), self._notebook)
            for name, key in zip(names, keys, strict=True)
        ]
        for client in clients:
            client.start()
        return clients

    # Time ----------------------------------------------------------------------------------------

    def _later(self, least_s: float, most_s: float, what: Callable[[], None]) -> None:
        self._due.append((time.monotonic() + self._source.uniform(least_s, most_s), what))

    def _wait(self, seconds: float) -> None:
        """Let time pass, do what is due, and notice who ended."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            due = [what for at, what in self._due if at <= now]
            self._due = [entry for entry in self._due if entry[0] > now]
            for what in due:
                what()
            for node in self._nodes:
                self._note(node, node.poll())
            time.sleep(POLL_S)

    def _await_ready(self) -> None:
        broken = [node for node, _ in self._broken]
        while not all(node.ready for node in self._nodes if node not in broken):
            self._wait(POLL_S)
            broken = [node for node, _ in self._broken]

    def _note(self, node: RealNode, how: str) -> None:
        if how:
            self._broken.append((node, f"{node.name} {how}"))

    def _start(self, node: RealNode) -> None:
        """Start it, unless it runs, or broke: then it is left as it is for whoever looks into it."""
        if not node.running and all(node is not broken for broken, _ in self._broken):
            self._starts += 1
            node.spawn()

    # Troubles ------------------------------------------------------------------------------------

    def _strike(self) -> None:
        """Do something to somebody: each kind of thing once, then as it comes."""
        name = self._once[-1] if self._once else self._source.weighted(self._kinds)
        well = [node for node in self._nodes if node.well]
        # One node at least is left alone, so that something is acknowledged while others are in trouble.
        count = 2 if name in ("kill two", "pair") else 1
        if len(well) <= count:
            return
        if self._once:
            self._once.pop()
        victims = self._source.some(well, count, count)
        self._faults[name] += 1
        match name:
            case "kill" | "kill two":
                for node in victims:
                    self._kill(node)
                    self._later(0.05, 2.0, partial(self._start, node))
            case "kill while starting":
                self._kill(victims[0])
                self._later(0.05, 0.3, lambda: self._start_in_vain(victims[0]))
            case "stop":
                self._note(victims[0], victims[0].finish())
                self._later(0.05, 1.0, lambda: self._start(victims[0]))
            case "pause":
                victims[0].pause()
                self._later(0.3, 4.0, lambda: self._resume(victims[0]))
            case _:
                self._cut(name, victims)

    def _kill(self, node: RealNode) -> None:
        self._kills += 1
        node.kill()

    def _start_in_vain(self, node: RealNode) -> None:
        """It is killed again before or just after it is ready: while it recovers from the kill before."""
        self._start(node)
        self._later(0.1, 1.0, lambda: self._kill_again(node))

    def _kill_again(self, node: RealNode) -> None:
        if node.running:
            self._faults["killed before it was ready"] += not node.ready
            self._kill(node)
        self._later(0.05, 1.0, lambda: self._start(node))

    def _resume(self, node: RealNode) -> None:
        if node.running:
            node.resume()

    def _cut(self, name: str, victims: Sequence[RealNode]) -> None:
        """Cut lines off, and mend them some time later."""
        node = victims[0]
        if not self._lines.can_cut:
            node.drill(cut=True)
            self._later(0.5, 4.0, lambda: node.drill(cut=False))
            return
        for victim in victims:
            victim.cut = True
        others = [n.number for n in self._nodes if n is not node]
        match name:
            case "one way":  # it hears nobody, or nobody hears it, or all of this towards some
                some = self._source.some(others, 1, len(others))
                ways = [
                    (n, node.number) if self._source.chance(0.5) else (node.number, n) for n in some
                ]
            case "pair":
                a, b = (victim.number for victim in victims)
                ways = [(a, b), (b, a)]
            case _:  # alone, or with company
                apart = others if name == "cut" else self._source.some(others, 2, 2)
                inside = [n for n in (node.number, *others) if n == node.number or n not in apart]
                ways = [way for a in apart for b in inside for way in ((a, b), (b, a))]
        for way in ways:
            self._lines.cut(*way)
        self._later(0.5, 4.0, lambda: self._mend(ways, victims))

    def _mend(self, ways: Sequence[tuple[int, int]], victims: Sequence[RealNode]) -> None:
        for way in ways:
            self._lines.mend(*way)
        for victim in victims:
            victim.cut = False

    def _recover(self) -> None:
        """Wait until everything is put right and all run."""
        while self._due:
            self._wait(POLL_S)
        for node in self._nodes:
            self._start(node)
        self._await_ready()

    # Judgement -----------------------------------------------------------------------------------

    def _report(self, clients: Sequence[RealClient]) -> Report:
        began = time.monotonic()
        agreed = await_agreement(self._nodes, AGREE_S) if not self._broken else False
        agreed_s = time.monotonic() - began
        for node in self._nodes:
            if node.running:
                self._note(node, node.finish())
        notes = self._notebook.read()
        finals = [self._final(node) for node in self._nodes]
        history, found = told_story(notes, finals)
        now = self._notebook.now_us()
        end: History = [Healed(now), Agreed(now) if agreed else GaveUp(now, "not in a minute")]
        end += [Stopped(now, node.name, why, True) for node, why in self._broken]
        return Report(
            self._seed,
            "namespaces" if self._lines.can_cut else "loopback",
            dict(self._faults),
            self._kills,
            self._starts - len(self._nodes),
            dict(Counter(n.outcome.partition(":")[0] for n in notes if isinstance(n, Answer))),
            sum(isinstance(n, Look) for n in notes),
            sum(client.unknown for client in clients),
            max(len(final.batches) for final in finals),
            agreed_s,
            0.0,
            [],
            [*found, *judge([*history, *end], ScheduleDomain())],
        )

    def _final(self, node: RealNode) -> FinalState:
        """What the node left on its disk."""
        store = open_sqlite(
            node.data, node.name, int(time.time() * 1_000), os.urandom, replay=REPLAY
        )
        try:
            return final_state(node.name, store, {})
        finally:
            store.close()
