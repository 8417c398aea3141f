"""A machine that forgets what came before a final term says and tells what one does that forgets nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.kernel.seat import Entry, Vote
from konkordat.protocol.seats.history import History, Term
from konkordat.protocol.seats.machine import Seats
from support.effort import share
from support.seats import SEAT, A, B, C, Nodes, claim, wants

MEMBERS = (A, B, C)
CLAIMS = tuple(claim(f"c{n}", 5 * n, 5 * n + 8) for n in range(5))  # each in the way of the next


class Keeping(History):
    """The dumb twin."""

    def forget_before(self, term: Term) -> None:
        """Keep it all."""


class Twins(Nodes):
    """Nodes of which none forgets."""

    def _new(self, origin: Origin) -> Seats:
        seats = super()._new(origin)
        seats._seats[SEAT].history = Keeping()
        return seats


Step = Callable[[Nodes], list[Entry]]


def quiet(do: Callable[[Nodes], object]) -> Step:
    def step(nodes: Nodes) -> list[Entry]:
        do(nodes)
        return []

    return step


def decide(node: Origin, number: int) -> Step:
    def step(nodes: Nodes) -> list[Entry]:
        seats = nodes.seats[node]
        return nodes.decide(node, wants(CLAIMS[number])) if seats.deciding(SEAT) else []

    return step


def hand_over(node: Origin, to: Origin) -> Step:
    def step(nodes: Nodes) -> list[Entry]:
        return nodes.write(node, [nodes.seats[node].hand_over(SEAT, NodeName(node_of(to)))])

    return step


def wait(ms: int) -> Step:
    def step(nodes: Nodes) -> list[Entry]:
        nodes.now_ms += ms
        return []

    return step


members = st.sampled_from(MEMBERS)
groups = st.sampled_from([MEMBERS, MEMBERS, (A, B), (B, C), (A, C)])
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda of: quiet(lambda nodes: nodes.rounds(*of, count=6)), groups),
    st.builds(lambda of: quiet(lambda nodes: nodes.rounds(*of, count=25)), groups),
    st.builds(lambda a, b: quiet(lambda nodes: nodes.pull(a, b)), members, members),
    st.builds(lambda a, b: quiet(lambda nodes: nodes.tell(a, b)), members, members),
    st.builds(lambda a, of: lambda nodes: nodes.act(a, *of), members, groups),
    st.builds(decide, members, st.integers(0, len(CLAIMS) - 1)),
    st.builds(hand_over, members, members),
    st.builds(wait, st.sampled_from([300, 1_500, 7_000])),
    st.builds(lambda a: quiet(lambda nodes: nodes.restart(a)), members),
)


def said(entries: list[Entry]) -> list[Entry]:
    """Entries without how far a voter had logs that no longer matter."""
    return [
        msgspec.structs.replace(entry, frontier=()) if isinstance(entry, Vote) else entry
        for entry in entries
    ]


def state(nodes: Nodes) -> list[Any]:
    """What nodes tell, and what stands in their logs."""
    found: list[Any] = []
    for node, seats in nodes.seats.items():
        found += [seats.state(SEAT, each.id, each.stamp) for each in CLAIMS]
        # What is not forgotten stands with the past as well, at the twin.
        holders = list(dict.fromkeys(nodes.holders(node)))
        found += [seats.deciding(SEAT), seats.final_upto(SEAT), holders]
        found.append([said(list(batch)) for batch in nodes.logs[node].get(node, ())])
    return found


@share(0.5)
@given(st.lists(steps, min_size=10, max_size=40))
def test_nobody_can_tell_who_forgets(script: list[Step]) -> None:
    nodes, twins = Nodes(), Twins()
    for step in script:
        assert said(step(nodes)) == said(step(twins))
        assert state(nodes) == state(twins)
