"""Explore every interleaving of a small world of seats, breadth first, with the real machine.

    python -m konkordat.testing.model --states 2000000      every world, each up to its share of states
    python -m konkordat.testing.model --bugs                the planted bugs, each with the way to it

What is judged is everything ever answered (I3 of the proof plan): a claim told `confirmed` or `displaced` by any node
stays so on every node, two claims for the same place are never both confirmed, and a place is denied only to a claim
that something overlaps.

Loss, delay, reordering, partitions of any shape and pauses of any length need no states of their own: they are the runs
in which something is not delivered yet, and nothing here is ever delivered by itself. What is lost is what is never
sent. Batches of a log are handed over by any node that has them, one at a time: a page that arrives late brings what
somebody durably had, so the moment it was sent does not matter. Of heartbeats it does: they are kept in flight.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import node_of
from konkordat.testing.seats.bugs import BUGS
from konkordat.testing.seats.scopes import SCOPES, Scope, Start
from konkordat.testing.seats.world import Facts, Fault, Heartbeat, Nodes

STATES_IN_CI: Final = 400_000
_FIRST, _SECOND = 1, 2  # bits of the claims
_SWAPPED: Final = (0, _SECOND, _FIRST, _FIRST | _SECOND)
Step = tuple[Any, ...]  # how it is told, and of whom: put together only for those on a way


class Message(NamedTuple):
    """A heartbeat in flight."""

    to: int
    by: int
    frontier: Heartbeat


class State(NamedTuple):
    """The whole world. Small numbers throughout: there are millions."""

    nodes: tuple[int, ...]
    in_flight: tuple[int, ...]  # interned messages, sorted
    crashes: int
    confirmed: int  # claims ever told so by any node, as bits
    displaced: int


class Found(msgspec.Struct, frozen=True):
    """What an exploration came to."""

    scope: str
    states: int
    steps: int  # distinct steps of the real machine; each also a restart
    transitions: int
    depth: int
    exhausted: bool  # there is no further state in this world
    fault: str = ""
    way: tuple[str, ...] = ()  # to the fault, from the start
    seen: dict[str, int] = {}  # how many states had what a proof must have met


class World:
    """The transitions of a scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.nodes = Nodes(scope)
        self._is_cut = False  # only once the start is made
        self._messages: list[Message] = []
        self._message_numbers: dict[Message, int] = {}
        self._names = [node_of(origin) for origin in scope.nodes]
        self._overlap = scope.claims[0].overlaps(scope.claims[1])
        # Of nodes by their numbers, since the same ones meet in very many states.
        self._bits: dict[int, tuple[int, int]] = {}
        self._offers: dict[tuple[int, int], dict[Step, int]] = {}
        self._heartbeats: dict[tuple[int, int, tuple[bool, ...]], int | None] = {}

    def start(self) -> State:
        """Nobody has said anything; or the first node was elected and just opened term 1."""
        nodes = self.nodes
        members = [nodes.number(nodes.newcomer(i)) for i in range(len(self.scope.nodes))]
        state = State(tuple(members), (), 0, 0, 0)
        if self.scope.start is not Start.FRESH:
            state = self._elect_first(state)
        if self.scope.start is Start.SETTLED:
            state = self._settle(state)
        self._is_cut = bool(self.scope.sides)
        return state

    def _elect_first(self, state: State) -> State:
        """The first node stands, all vote, it opens; nobody else has its opening."""
        state = self._with(state, 0, self.nodes.stand(state.nodes[0]))
        for name in self._others():
            state = self._named(state, f"{name} gets a:1")
            state = self._named(state, f"{name} acts")
        for name in self._others():
            state = self._named(state, f"a gets {name}:1")
        return self._named(state, "a acts")

    def _settle(self, state: State) -> State:
        """All get the opening, it is final, and all know."""
        for name in self._others():
            state = self._named(state, f"{name} gets a:2")
            state = self._named(state, f"{name} tells a")
            state = self._named(state, f"a hears {name}")
        state = self._named(state, "a acts")
        for name in self._others():
            state = self._named(state, f"{name} gets a:3")
        return state

    def _others(self) -> list[str]:
        return [node_of(member) for member in self.scope.rosters[0][1:]]

    def _named(self, state: State, name: str) -> State:
        """The outcome of a step; where a planted bug made it needless, the state as it is."""
        steps = self.steps(state)
        return next((after for step, after in steps if told(step).startswith(name)), state)

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        """Every step that may come next, with its outcome. Raises Fault for one that must not be possible."""
        for me, number in enumerate(state.nodes):
            name = self._names[me]
            for step, after in self.nodes.own_steps(number):
                yield ("{} {}", name, step), self._with(state, me, after)
            for label, after in self._gets(me, state.nodes):
                yield label, self._with(state, me, after)
            if state.crashes < self.scope.crashes_max:
                after = self.nodes.crash(number)
                if after != number:
                    crashed = self._with(state, me, after)
                    yield ("{} crashes", name), crashed._replace(crashes=state.crashes + 1)
        yield from self._send(state)
        yield from self._deliver(state)

    def _gets(self, me: int, nodes: tuple[int, ...]) -> Iterable[tuple[Step, int]]:
        """Next batches that some node has and `me` has not, and what comes of each."""
        offers: dict[Step, int] = {}
        for index, other in enumerate(nodes):
            if index != me and self._connects(me, index):
                known = self._offers.get((nodes[me], other))
                if known is None:
                    known = self._offers[nodes[me], other] = dict(self._offered(nodes[me], other))
                offers.update(known)
        return offers.items()

    def _offered(self, number: int, other: int) -> Iterator[tuple[Step, int]]:
        """The same of one other node."""
        mine, theirs = self.nodes.facts[number].node, self.nodes.facts[other].node
        for origin, log in enumerate(mine.logs):
            if origin != mine.me and len(theirs.logs[origin]) > len(log):
                batch, seq = theirs.logs[origin][len(log)], len(log) + 1
                # The batch is not told. But of two that differ (a planted bug) both may come.
                step = ("{} gets {}:{}", self._names[mine.me], self._names[origin], seq, batch)
                yield step, self.nodes.receive(number, origin, batch)

    def _connects(self, one: int, other: int) -> bool:
        return not self._is_cut or self.scope.connects(one, other)

    def _send(self, state: State) -> Iterator[tuple[Step, State]]:
        """Heartbeats, to those whom they can tell something: a holder that waits for a point of its log to be final."""
        if len(state.in_flight) >= self.scope.in_flight_max:
            return
        facts = [self.nodes.facts[number] for number in state.nodes]
        opened = tuple([f.has_opened for f in facts])
        for to, receiver in enumerate(facts):
            if receiver.awaits is None:
                continue
            for by, number in enumerate(state.nodes):
                if by == to or not self._connects(to, by):
                    continue
                key = (state.nodes[to], number, opened)
                if key not in self._heartbeats:
                    self._heartbeats[key] = self._heartbeat(receiver, facts[by], opened)
                message = self._heartbeats[key]
                if message is not None and message not in state.in_flight:
                    in_flight = tuple(sorted((*state.in_flight, message)))
                    frontier = self._messages[message].frontier
                    step = ("{} tells {} {}", self._names[by], self._names[to], frontier)
                    yield step, state._replace(in_flight=in_flight)

    def _heartbeat(self, receiver: Facts, sender: Facts, opened: tuple[bool, ...]) -> int | None:
        """The number of what a node would tell another; None if that is nothing new. Of the frontier goes along what a
        holder looks at: logs of those that ever opened, and the sender's own."""
        assert receiver.awaits is not None
        by, to = sender.node.me, receiver.node.me
        if sender.frontier[to] < receiver.awaits:
            return None
        frontier = tuple(
            [seq if i == by or opened[i] else 0 for i, seq in enumerate(sender.frontier)]
        )
        known = _knows(receiver, by, frontier)
        return None if known else self._message(Message(to, by, frontier))

    def _deliver(self, state: State) -> Iterator[tuple[Step, State]]:
        for message in state.in_flight:
            to, by, frontier = self._messages[message]
            after = self.nodes.acknowledge(state.nodes[to], by, frontier)
            names = self._names[to], self._names[by]
            delivered = self._with(state, to, after)
            if self.scope.delivers_twice and delivered != state:
                yield ("{} hears {} {}, not for the last time", *names, frontier), delivered
            rest = tuple([m for m in delivered.in_flight if m != message])
            yield ("{} hears {} {}", *names, frontier), delivered._replace(in_flight=rest)

    def _in_flight(self, state: State, me: int, number: int) -> tuple[int, ...]:
        """Without those that can tell their receiver nothing any more, whatever happens."""
        awaits = self.nodes.facts[number].awaits
        return tuple(
            [
                m
                for m in state.in_flight
                if (message := self._messages[m]).to != me
                or (awaits is not None and message.frontier[me] >= awaits)
            ]
        )

    def _message(self, message: Message) -> int:
        known = self._message_numbers.get(message)
        if known is None:
            known = self._message_numbers[message] = len(self._messages)
            self._messages.append(message)
        return known

    def _with(self, state: State, me: int, number: int) -> State:
        """The world after one node changed, and what it answers from then on."""
        nodes = (*state.nodes[:me], number, *state.nodes[me + 1 :])
        confirmed, displaced = self._told(number)
        in_flight = self._in_flight(state, me, number) if state.in_flight else ()
        return State(
            nodes,
            in_flight,
            state.crashes,
            state.confirmed | confirmed,
            state.displaced | displaced,
        )

    def _told(self, number: int) -> tuple[int, int]:
        """What a node answers: the claims that it tells confirmed, and displaced."""
        told = self._bits.get(number)
        if told is None:
            first, second = self.nodes.facts[number].told
            told = self._bits[number] = (
                _bits(first, second, ClaimState.CONFIRMED),
                _bits(first, second, ClaimState.DISPLACED),
            )
        return told

    # Judging -------------------------------------------------------------------------------------

    def fault(self, state: State) -> str:
        """What is wrong with everything ever answered; empty if nothing is."""
        both = _FIRST | _SECOND
        if self._overlap:
            if state.confirmed == both and not self.scope.releases:
                return "two overlapping claims were told confirmed"
        elif state.displaced:
            return "a claim was told displaced, and nothing overlaps it"
        if state.confirmed & state.displaced:
            return "a claim was told confirmed by one and displaced by another"
        if self._overlap and any(self._told(number)[0] == both for number in state.nodes):
            return "one node tells two overlapping claims confirmed"
        return ""

    def seen(self, state: State) -> Iterable[str]:
        """What a proof must have met, not only have allowed."""
        facts = [self.nodes.facts[number] for number in state.nodes]
        if sum([f.is_deciding for f in facts]) > 1:
            yield "an old and a new holder both deciding"
        if any(f.is_voided for f in facts):
            yield "a decision void beyond its cut-off"
        if any(any(f.node.waiting) for f in facts):
            yield "an acknowledgement waiting for a log"
        if state.crashes:
            yield "after a crash"
        if state.confirmed:
            yield "after a confirmation"
        if any(f.final_upto and f.final_upto.term > 1 for f in facts):
            yield "a later term final"
        if len({f.node.roster for f in facts}) > 1:
            yield "rosters disagree"

    # Symmetry ------------------------------------------------------------------------------------

    def canonical(self, state: State) -> State:
        """One of the two worlds that differ by the names of the claims. The machine treats claims alike, so their
        futures differ by the names too. (Nodes are not alike: rank decides between two candidates of a term.)"""
        if self.scope.releases:
            return state
        nodes = tuple([self.nodes.mirrored(number) for number in state.nodes])
        if nodes > state.nodes:
            return state
        mirrored = State(
            nodes,
            state.in_flight,
            state.crashes,
            _SWAPPED[state.confirmed],
            _SWAPPED[state.displaced],
        )
        return min(state, mirrored)


def _knows(receiver: Facts, by: int, frontier: Heartbeat) -> bool:
    """A heartbeat that changes nothing at its receiver."""
    if frontier in receiver.node.waiting[by]:
        return True
    heard = receiver.node.heard[by]
    return heard is not None and all(seq <= heard[i] for i, seq in enumerate(frontier) if i != by)


def explore(scope: Scope, states_max: int) -> Found:
    """Breadth first from the start, until a fault, the end of the world, or `states_max` states."""
    was_collecting = gc.isenabled()
    gc.disable()  # nothing here is a cycle, and looking for one in millions of tuples takes most of the time
    try:
        return _explore(scope, states_max)
    finally:
        if was_collecting:
            gc.enable()


def _explore(scope: Scope, states_max: int) -> Found:
    world = World(scope)
    start = world.canonical(world.start())
    before: dict[State, State | None] = {start: None}
    queue: deque[tuple[State, int]] = deque([(start, 0)])
    seen: Counter[str] = Counter()
    transitions = depth = 0
    fault = ""
    state = start
    while queue and len(before) < states_max and not fault:
        state, depth = queue.popleft()
        seen.update(world.seen(state))
        try:
            for _step, outcome in world.steps(state):
                transitions += 1
                after = world.canonical(outcome)
                if after in before:
                    continue
                before[after] = state
                fault = world.fault(after)
                if fault:
                    state = after
                    break
                queue.append((after, depth + 1))
        except Fault as error:
            fault = str(error)
    way = _way(world, before, state) if fault else ()
    exhausted = not queue and not fault
    steps = world.nodes.steps
    return Found(
        scope.name, len(before), steps, transitions, depth, exhausted, fault, way, dict(seen)
    )


def _way(world: World, before: dict[State, State | None], end: State) -> tuple[str, ...]:
    """The names of the steps from the start to a state."""
    names: list[str] = []
    state, earlier = end, before[end]
    while earlier is not None:
        steps = world.steps(earlier)
        names.append(next(told(step) for step, after in steps if world.canonical(after) == state))
        state, earlier = earlier, before[earlier]
    return tuple(reversed(names))


def told(step: Step) -> str:
    """A step in words."""
    words, *about = step
    return str(words).format(*about)


def _bits(first: ClaimState, second: ClaimState, state: ClaimState) -> int:
    return (_FIRST if first is state else 0) | (_SECOND if second is state else 0)


# Command line --------------------------------------------------------------------------------------


def main() -> int:
    """Explore, print one line a world, and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="konkordat.testing.model", description=__doc__)
    parser.add_argument("--states", type=int, default=STATES_IN_CI, help="in all, over the worlds")
    parser.add_argument("--scope", choices=sorted(SCOPES), help="one world only")
    parser.add_argument("--bugs", action="store_true", help="look for the planted bugs instead")
    options = parser.parse_args()
    if options.bugs:
        found = [_report(scope, options.states) for scope in BUGS.values()]
        return 0 if all(f.fault for f in found) else 1
    scopes = [SCOPES[options.scope]] if options.scope else list(SCOPES.values())
    left, ok, total = options.states, True, 0
    for done, scope in enumerate(scopes):
        result = _report(scope, max(1, left // (len(scopes) - done)))
        left -= result.states
        total += result.states
        ok = ok and not result.fault
    print(f"{total} states, {'no fault' if ok else 'FAULTS'}")
    return 0 if ok else 1


def _report(scope: Scope, states_max: int) -> Found:
    began = time.perf_counter()
    found = explore(scope, states_max)
    took = time.perf_counter() - began
    how = "all of it" if found.exhausted else f"to depth {found.depth}"
    rate = found.states / took
    print(
        f"{found.scope:<34}{found.states:>9} states {how}, {found.transitions} transitions,",
        end=" ",
    )
    print(f"{found.steps} distinct steps, {took:.1f} s, {rate:.0f} states/s")
    for name, count in sorted(found.seen.items()):
        print(f"    seen {count:>9} {name}")
    if found.fault:
        print(f"    {found.fault}, after {len(found.way)} steps:")
        print("\n".join(f"      {step}" for step in found.way))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
