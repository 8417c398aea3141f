"""Nodes of a small world, each with the real machine, as values that can be hashed.

What a node is, is what stands in the logs it has, and which acknowledgements it heard; the machine is rebuilt from that
for each step. So every step also shows that a restart loses nothing. A step of one node with one input is made once and
remembered: the machine is deterministic, and the same node meets the same input in very many states of the world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from konkordat.kernel.claim import Claim, ClaimState
from konkordat.kernel.ids import Origin, node_of
from konkordat.kernel.seat import (
    At,
    Candidacy,
    Decision,
    Entry,
    Opening,
    Request,
    Ruling,
    Vote,
    Wish,
)
from konkordat.protocol.seats.machine import Seats, rebuilt
from konkordat.protocol.seats.patience import SeatSettings
from konkordat.protocol.seats.seat import FinalUpto
from konkordat.testing.seats.scopes import ROOM, SEAT, Scope

# Time is taken out of the world: whoever has not been heard is silent long enough, any silence may last as long as it
# likes, and nobody waits for a turn. Every order that some clocks could bring about is an order of this world.
SETTINGS: Final = SeatSettings(takeover_after_ms=0, rank_step_ms=0, election_ms=0)
NOW_MS: Final = 1_000

Batch = tuple[Entry, ...]
Heartbeat = tuple[int, ...]  # a frontier: how much of each node's log


class Node(NamedTuple):
    """All that a node is. Logs hold the numbers of interned batches."""

    me: int
    logs: tuple[tuple[int, ...], ...]  # of every node, as far as this one has them
    heard: tuple[Heartbeat | None, ...]  # the latest acknowledgement that counts
    waiting: tuple[tuple[Heartbeat, ...], ...]  # those that do not count yet
    roster: int  # the highest version it knows


class Facts(NamedTuple):
    """What the world asks of a node again and again."""

    node: Node
    frontier: Heartbeat
    told: tuple[ClaimState, ...]  # what it would answer about each claim
    final_upto: FinalUpto | None
    has_opened: bool
    # The first point of its own log that waits to be final: an acknowledgement of less is of no use to it, now or ever.
    # None: it does not hold the seat as far as it knows, and counts nothing.
    awaits: int | None
    is_deciding: bool
    is_voided: bool  # it has decisions that do not count


class Fault(Exception):
    """A node did what no node may do: {what}."""


class Nodes:
    """Interned nodes and their steps."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.facts: list[Facts] = []
        self._numbers: dict[Node, int] = {}
        self._batches: list[Batch] = []
        self._batch_numbers: dict[Batch, int] = {}
        self._own: dict[int, list[tuple[str, int]]] = {}
        self._received: dict[tuple[int, int, int], int] = {}
        self._acknowledged: dict[tuple[int, int, Heartbeat], int] = {}
        self._crashed: dict[int, int] = {}
        self._mirrored: dict[int, int] = {}
        self.steps = 0  # of the real machine

    # Values --------------------------------------------------------------------------------------

    def number(self, node: Node) -> int:
        known = self._numbers.get(node)
        if known is None:
            facts = self._examine(node, self.machine(node))
            telling = _telling(facts)
            if telling != node:
                known = self._numbers[node] = self.number(telling)
                return known
            known = self._numbers[node] = len(self.facts)
            self.facts.append(facts)
        return known

    def batch(self, entries: Iterable[Entry]) -> int:
        batch = tuple(entries)
        known = self._batch_numbers.get(batch)
        if known is None:
            known = self._batch_numbers[batch] = len(self._batches)
            self._batches.append(batch)
        return known

    def entries(self, batch: int) -> Batch:
        return self._batches[batch]

    def newcomer(self, me: int) -> Node:
        count = len(self.scope.nodes)
        return Node(me, ((),) * count, (None,) * count, ((),) * count, 1)

    def machine(self, node: Node) -> Seats:
        """The real machine of a node, after a restart and with what it heard since."""
        names = self.scope.nodes
        entries = (
            (entry, At(names[index], seq))
            for index, log in enumerate(node.logs)
            for seq, batch in enumerate(log, 1)
            for entry in self._batches[batch]
        )
        seats = rebuilt(lambda: self._make(node), entries, self._frontier(node.logs))
        for index, origin in enumerate(names):
            heartbeats = [*node.waiting[index]]
            latest = node.heard[index]
            for heartbeat in heartbeats if latest is None else [latest, *heartbeats]:
                seats.acknowledged(origin, self._named(heartbeat))
        return seats

    def _make(self, node: Node) -> Seats:
        me = self.scope.nodes[node.me]
        seats = Seats(me, self.scope.roster(1), SETTINGS, 0, self.scope.rules)
        for version in range(2, node.roster + 1):
            seats.roster_changed(self.scope.roster(version))
        seats.establish(self.scope.spec)
        return seats

    def _frontier(self, logs: tuple[tuple[int, ...], ...]) -> dict[Origin, int]:
        return self._named(tuple(map(len, logs)))

    def _named(self, heartbeat: Heartbeat) -> dict[Origin, int]:
        names = self.scope.nodes
        return {names[i]: seq for i, seq in enumerate(heartbeat) if seq}

    def _examine(self, node: Node, seats: Seats) -> Facts:
        own = [e for batch in node.logs[node.me] for e in self._batches[batch]]
        decided = sum(
            isinstance(e, Decision) for log in node.logs for b in log for e in self._batches[b]
        )
        return Facts(
            node,
            tuple(map(len, node.logs)),
            tuple(seats.state(SEAT, c.id, c.stamp).state for c in self.scope.claims),
            seats.final_upto(SEAT),
            any(isinstance(entry, Opening) for entry in own),
            self._awaits(node, seats),
            seats.deciding(SEAT),
            decided > seats.counted(SEAT),
        )

    def _awaits(self, node: Node, seats: Seats) -> int | None:
        tenures = seats.tenures(SEAT)
        if not tenures or tenures[0].holder != self.scope.nodes[node.me]:
            return None
        points = (
            seq
            for seq, batch in enumerate(node.logs[node.me], 1)
            if any(isinstance(e, Opening | Decision) for e in self._batches[batch])
        )
        after = max(tenures[0].final_upto, tenures[0].opened.seq - 1)
        return next((seq for seq in points if seq > after), len(node.logs[node.me]) + 1)

    # Steps ---------------------------------------------------------------------------------------

    def own_steps(self, number: int) -> list[tuple[str, int]]:
        """What a node may do by itself: name and outcome."""
        known = self._own.get(number)
        if known is None:
            known = self._own[number] = list(self._own_steps(number))
        return known

    def _own_steps(self, number: int) -> Iterable[tuple[str, int]]:
        node = self.facts[number].node
        scope = self.scope
        everybody = dict.fromkeys(scope.nodes, NOW_MS)
        seats = self.machine(node)
        absent = seats.holder(SEAT) or next(o for o in scope.nodes if node_of(o) == scope.spec.home)
        heard = {o: ms for o, ms in everybody.items() if o != absent}
        deciding = seats.deciding(SEAT)
        yield from self._commit("acts", node, lambda s: s.due(NOW_MS, {}), seats)
        if scope.nodes[node.me] in scope.standers:
            yield from self._commit("loses patience", node, lambda s: s.due(NOW_MS, heard))
        if deciding:
            for claim in scope.claims:
                yield from self._commit(f"decides {claim.id.owner.id}", node, _deciding(claim))
            if scope.releases:
                free = Request(frees=(scope.claims[0].id,))
                yield from self._commit("frees x", node, lambda s: s.decide(SEAT, [free], {}))
        if node.roster < len(scope.rosters):
            yield "learns a roster", self._step(node, node._replace(roster=node.roster + 1))

    def stand(self, number: int) -> int:
        """The home node stands for a seat that nobody ever held."""
        heard = dict.fromkeys(self.scope.nodes, NOW_MS)
        node = self.facts[number].node
        ((_name, after),) = self._commit("stands", node, lambda s: s.due(NOW_MS, heard))
        return after

    def _commit(
        self,
        name: str,
        node: Node,
        work: Callable[[Seats], Iterable[Entry]],
        seats: Seats | None = None,
    ) -> Iterable[tuple[str, int]]:
        """What comes of some work, by the node's machine if one is there already."""
        seats = seats or self.machine(node)
        entries = tuple(work(seats))
        self.steps += 1
        if not entries or any(self._is_beyond(entry) for entry in entries):
            return
        log = (*node.logs[node.me], self.batch(entries))
        after = self._with_log(node, node.me, log)
        seats.reached(self._frontier(after.logs))
        yield name, self._step(node, self._absorb(after, seats), seats)

    def _is_beyond(self, entry: Entry) -> bool:
        return isinstance(entry, Candidacy) and entry.term > self.scope.term_max

    def receive(self, number: int, origin: int, batch: int) -> int:
        """The next batch of another node's log comes."""
        key = (number, origin, batch)
        known = self._received.get(key)
        if known is None:
            node = self.facts[number].node
            seats = self.machine(node)
            log = (*node.logs[origin], batch)
            after = self._with_log(node, origin, log)
            for entry in self._batches[batch]:
                seats.applied(entry, At(self.scope.nodes[origin], len(log)))
            seats.reached(self._frontier(after.logs))
            self.steps += 1
            known = self._received[key] = self._step(node, self._absorb(after, seats), seats)
        return known

    def acknowledge(self, number: int, member: int, heartbeat: Heartbeat) -> int:
        """A heartbeat comes."""
        key = (number, member, heartbeat)
        known = self._acknowledged.get(key)
        if known is None:
            node = self.facts[number].node
            seats = self.machine(node)
            seats.acknowledged(self.scope.nodes[member], self._named(heartbeat))
            self.steps += 1
            known = self._step(node, self._absorb(node, seats), seats)
            self._acknowledged[key] = known
        return known

    def crash(self, number: int) -> int:
        """The node stops and starts again with what its disk has."""
        known = self._crashed.get(number)
        if known is None:
            node = self.facts[number].node
            after = self.newcomer(node.me)._replace(logs=node.logs, roster=node.roster)
            if self.scope.loses_votes:
                after = self._without_last_vote(after)
                known = self.number(after)
            else:
                known = self._step(node, after)
            self._crashed[number] = known
        return known

    def _without_last_vote(self, node: Node) -> Node:
        log = node.logs[node.me]
        if log and any(isinstance(entry, Vote) for entry in self._batches[log[-1]]):
            return self._with_log(node, node.me, log[:-1])
        return node

    def _with_log(self, node: Node, origin: int, log: tuple[int, ...]) -> Node:
        return node._replace(logs=(*node.logs[:origin], log, *node.logs[origin + 1 :]))

    def _absorb(self, node: Node, seats: Seats) -> Node:
        """The acknowledgements as the machine now has them."""
        names = self.scope.nodes
        latest, waiting = seats.acked.latest, seats.acked.waiting

        def numbered(frontier: Mapping[Origin, int]) -> Heartbeat:
            return tuple(frontier.get(name, 0) for name in names)

        return node._replace(
            heard=tuple(numbered(latest[o]) if o in latest else None for o in names),
            waiting=tuple(tuple(map(numbered, waiting.get(o, ()))) for o in names),
        )

    def _step(self, before: Node, after: Node, seats: Seats | None = None) -> int:
        """Number the outcome, and judge what one node alone must never do."""
        number = self.number(after)
        now, was = self.facts[number], self.facts[self.number(before)]
        for state, earlier in zip(now.told, was.told, strict=True):
            if earlier is not ClaimState.TENTATIVE and state is not earlier:
                allowed = self.scope.releases and earlier is ClaimState.CONFIRMED
                if not (allowed and state is ClaimState.RELEASED):
                    raise Fault(f"{self._name(after)} told {earlier}, then {state}")
        if (was.final_upto or (0,)) > (now.final_upto or (0,)):
            raise Fault(
                f"{self._name(after)} was final up to {was.final_upto}, then {now.final_upto}"
            )
        if seats is not None and self._examine(after, seats)[2:] != now[2:]:
            raise Fault(f"{self._name(after)} is another after a restart")
        return number

    def _name(self, node: Node) -> str:
        return node_of(self.scope.nodes[node.me])

    # Symmetry ------------------------------------------------------------------------------------

    def mirrored(self, number: int) -> int:
        """The same node with the two claims exchanged."""
        known = self._mirrored.get(number)
        if known is None:
            node = self.facts[number].node
            logs = tuple(tuple(map(self._mirrored_batch, log)) for log in node.logs)
            known = number if logs == node.logs else self.number(node._replace(logs=logs))
            self._mirrored[number] = known
            self._mirrored[known] = number
        return known

    def _mirrored_batch(self, batch: int) -> int:
        x, y = self.scope.claims
        other = {x.id: y, y.id: x}

        def turned(entry: Entry) -> Entry:
            if not isinstance(entry, Decision):
                return entry
            return Decision(
                entry.seat,
                entry.term,
                tuple(
                    Ruling(r.verdict, other[r.claim.id], tuple(other[i].id for i in r.against))
                    for r in entry.rulings
                ),
            )

        return self.batch(map(turned, self._batches[batch]))


def _telling(facts: Facts) -> Node:
    """The node without acknowledgements that can make no difference to it any more: nodes that differ by those alone
    behave alike. Of one that counts, the member's own number has done its part."""
    node, awaits = facts.node, facts.awaits
    if awaits is None:
        nothing = ((),) * len(node.heard)
        return node._replace(heard=(None,) * len(node.heard), waiting=nothing)
    heard = tuple(
        None if h is None or h[node.me] < awaits else (*h[:by], 0, *h[by + 1 :])
        for by, h in enumerate(node.heard)
    )
    waiting = tuple(tuple(h for h in queue if h[node.me] >= awaits) for queue in node.waiting)
    return node._replace(heard=heard, waiting=waiting)


def _deciding(claim: Claim) -> Callable[[Seats], Iterable[Entry]]:
    return lambda seats: seats.decide(SEAT, [Request((Wish(claim),))], {ROOM: 1})
