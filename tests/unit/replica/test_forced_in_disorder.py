"""Rosters that are forced in the middle of anything, and old members that come back in any order: nobody who goes on
tells a confirmed place otherwise, or one place twice."""

from __future__ import annotations

import random
from functools import partial

import pytest

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import NodeName
from konkordat.kernel.seat import Decide, SeatId
from konkordat.replica.forced import ClosedOutError, ForceRoster
from konkordat.replica.messages import Received, Tick
from konkordat.replica.rosters import ChangeRoster, HandOver
from konkordat.testing.domain import Book, TrialDomain, booking, capacity_of
from konkordat.testing.workbench import Workbench

ROOM = "room/1"
SEAT = SeatId("acme/resources")
MEMBERS = ("bern", "geneva", "zurich")
EVERYBODY = (*MEMBERS, "lugano")
SEEDS = 24
SLOTS = 6
STEPS = 14  # of each act, some hundred milliseconds each


class Story:
    """One seed: a cluster that is cut into two, one half of which takes the other for lost."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        decide = self.random.choice([Decide.MAJORITY, Decide.MAJORITY, Decide.HOME])
        domain = partial(TrialDomain, self.random.choice(MEMBERS), decide)
        self.table = Workbench(*EVERYBODY, domain=domain, members=MEMBERS)
        self.table.settle(500)
        self.table.write("zurich", capacity_of(ROOM, 1))
        self.table.settle(500)
        self.groups: dict[str, int] = dict.fromkeys(EVERYBODY, 0)
        self.told: dict[tuple[str, str], int] = {}  # node, booking -> where it was confirmed
        self.stopped: set[str] = set()
        self.bookings = 0

    # What happens ----------------------------------------------------------------------------------

    def act(self, steps: int) -> None:
        for _ in range(steps):
            if self.random.random() < 0.6:
                self.book()
            self.pass_time(self.random.randint(1, 8))
            self.judge()

    def book(self) -> None:
        name = self.random.choice([*self.table.nodes])
        self.bookings += 1
        start = self.random.randrange(SLOTS) * 10
        command = Book(booking(f"b{self.bookings}"), ROOM, start, start + 10, insists=True)
        self.table.write(name, command)

    def pass_time(self, ticks: int) -> None:
        """Frames between halves are lost; of the others some come late, out of order."""
        table = self.table
        for _ in range(ticks):
            table.clock.advance(50)
            for name in [*table.nodes]:
                table.do(name, Tick())
            frames = table.take()
            self.random.shuffle(frames)
            for frame in frames:
                if frame.receiver not in table.nodes or frame.sender not in self.groups:
                    continue
                if self.groups[frame.sender] != self.groups[frame.receiver]:
                    continue
                if self.random.random() < 0.15:
                    table.flying.append(frame)
                    continue
                self.receive(frame.receiver, frame.data)

    def receive(self, name: str, data: bytes) -> None:
        decoded = self.table[name].codec.decode(data)
        assert decoded is not None
        try:
            self.table.do(name, Received(*decoded))
        except ClosedOutError:
            self.stopped.add(name)
            del self.table.nodes[name]

    def force(self, name: str) -> None:
        frontier = dict(self.table[name].store.frontier())
        self.table.write(name, ForceRoster(frontier))

    # What is judged --------------------------------------------------------------------------------

    def judge(self) -> None:
        for name, node in self.table.nodes.items():
            ids = [booking(f"b{n + 1}") for n in range(self.bookings)]
            held: dict[int, str] = {}
            for key, claims in node.store.claims_of(ids).items():
                for decided in claims:
                    at, id = decided.claim.start_ms, str(key.id)
                    if decided.claim.id.part != "slot":
                        continue
                    if decided.state is ClaimState.CONFIRMED:
                        assert at not in held, f"{name}: {id} and {held[at]} at {at}"
                        held[at] = id
                        self.told[name, id] = at
                    else:
                        assert (name, id) not in self.told, f"{name}: {id} is {decided.state}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whoever_goes_on_keeps_what_it_told(seed: int) -> None:
    story = Story(seed)
    table, chance = story.table, story.random
    story.act(STEPS)
    if chance.random() < 0.3:
        table.write("bern", ChangeRoster("join", NodeName("lugano")))
        story.pass_time(chance.choice([2, 10, 160]))
    survivor = chance.choice(MEMBERS)
    with_it = {survivor} | ({"lugano"} if chance.random() < 0.7 else set())
    story.groups = {name: int(name in with_it) for name in EVERYBODY}
    story.act(STEPS)
    for name in with_it:
        if chance.random() < 0.3:
            table[name].start()
    story.force(survivor)
    story.act(STEPS)
    if chance.random() < 0.5:
        table.write(survivor, HandOver(SEAT, NodeName(survivor), accept_loss=True))
    story.act(STEPS)
    before = {key: at for key, at in story.told.items() if key[0] in with_it}
    story.groups = dict.fromkeys(EVERYBODY, 0)
    story.act(4 * STEPS)
    assert survivor in table.nodes
    assert before.items() <= story.told.items()
    for name in [*table.nodes]:
        table[name].start()
    story.act(STEPS)
    # Each old member stopped, or knows a later roster and takes nothing more of who forced one; visibly.
    for name in set(MEMBERS) & set(table.nodes) - {survivor}:
        held = table[name].replica.status(table.clock.now_ms).quarantined
        assert [why for why in held.values() if "a later one is known" in why], name
