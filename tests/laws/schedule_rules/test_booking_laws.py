"""Whatever is asked of one node, what it accepts fits; whatever several nodes accept, they agree on what stands."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel.claim import ClaimState, Resource
from konkordat.replica.domain import Writes
from konkordat.schedule.commands import Operation
from konkordat.schedule.slots import plan_of
from support.effort import share
from unit.schedule_rules.world import TENANT, World, but, delete, forum, patch, slot, talk, uid

pytestmark = pytest.mark.row("S0-8")

NAMES = ("a", "b", "c", "d")
ROOMS = ("hall", "attic")
starts = st.integers(0, 8).map(lambda n: f"{9 + n // 4:02}:{n % 4 * 15:02}")
slots = st.builds(slot, starts, st.sampled_from([15, 30, 60]), st.sampled_from(ROOMS))
who = st.lists(st.sampled_from(["anna", "marc"]), unique=True).map(lambda s: [uid(n) for n in s])


@st.composite
def operations(draw: st.DrawFn, on_conflict: Any = "fail") -> Operation:
    name = draw(st.sampled_from(NAMES))
    match draw(st.sampled_from(["make", "make", "move", "cancel", "back", "delete", "lift"])):
        case "make":
            made = talk(name, draw(st.none() | slots), speakers=draw(who))
            return but(made, op="upsert", on_conflict=on_conflict)
        case "move":
            return but(patch("sessions", name, slot=draw(slots)), on_conflict=on_conflict)
        case "cancel":
            return patch("sessions", name, state="cancelled")
        case "back":
            return but(patch("sessions", name, state="confirmed"), on_conflict=on_conflict)
        case "lift":
            return patch("sessions", name, slot=None)
        case _:
            return delete("sessions", name)


def commands(on_conflict: Any = "fail") -> st.SearchStrategy[list[list[Operation]]]:
    return st.lists(st.lists(operations(on_conflict), min_size=1, max_size=3), max_size=8)


def decided(world: World) -> dict[tuple[str, str], ClaimState]:
    """What became of every claim in the two rooms."""
    return {
        (d.claim.id.owner.id, name): d.state
        for name in ROOMS
        for d in world.decisions(Resource(TENANT, f"room/{uid(name)}"))
    }


@given(commands())
@share(0.05)
def test_what_one_node_accepts_is_never_displaced(asked: list[list[Operation]]) -> None:
    world = forum()
    for ops in asked:
        if isinstance(world.decide(*ops), Writes):
            world.carry_out(*ops)
        assert set(decided(world).values()) <= {ClaimState.CONFIRMED}


@given(commands("without_slot"))
@share(0.05)
def test_without_slot_never_refuses_for_a_place_and_never_displaces(
    asked: list[list[Operation]],
) -> None:
    world = forum()
    for ops in asked:
        decision = world.decide(*ops)
        if isinstance(decision, Writes):
            world.carry_out(*ops)
        else:
            assert decision.code in {"not_found", "conflicting_operations"}
        assert set(decided(world).values()) <= {ClaimState.CONFIRMED}


@given(commands())
@share(0.05)
def test_a_command_carried_out_again_changes_nothing_or_is_refused(
    asked: list[list[Operation]],
) -> None:
    world = forum()
    for ops in asked:
        if not isinstance(world.decide(*ops), Writes):
            continue
        world.carry_out(*ops)
        once = {key: (r.life, dict(r.fields)) for key, r in world.records.items()}
        if isinstance(world.decide(*ops), Writes):
            world.carry_out(*ops)
        assert {key: (r.life, dict(r.fields)) for key, r in world.records.items()} == once


@given(commands(), commands(), st.randoms(use_true_random=False))
@share(0.05)
def test_two_nodes_that_booked_apart_agree_when_they_meet(
    at_basel: list[list[Operation]], at_lugano: list[list[Operation]], dice: Any
) -> None:
    basel, lugano = forum(World("basel")), World("lugano")
    lugano.records, lugano.log, shared = dict(basel.records), list(basel.log), len(basel.log)
    for world, asked in ((basel, at_basel), (lugano, at_lugano)):
        for ops in asked:
            if isinstance(world.decide(*ops), Writes):
                world.carry_out(*ops)
    news = basel.log[shared:] + lugano.log[shared:]
    merged = []
    for _ in range(2):
        dice.shuffle(news)
        world = World()
        for change, stamp in [*basel.log[:shared], *news]:
            world.receive(change, stamp)
        merged.append(world)
    assert merged[0].records == merged[1].records
    assert decided(merged[0]) == decided(merged[1])


minutes = st.integers(0, 20)


@given(commands(), minutes, minutes, minutes)
@share(0.05)
def test_between_two_sessions_lies_what_the_room_needs_after_the_one_and_before_the_other(
    asked: list[list[Operation]], setup: int, teardown: int, turnaround: int
) -> None:
    world = forum()
    needs = {"setup_minutes": setup, "teardown_minutes": teardown, "turnaround_minutes": turnaround}
    world.carry_out(*[patch("rooms", name, **needs) for name in ROOMS])
    for ops in asked:
        if isinstance(world.decide(*ops), Writes):
            world.carry_out(*ops)
    assert set(decided(world).values()) <= {ClaimState.CONFIRMED}
    for name in ROOMS:
        here = f"room/{uid(name)}"
        claimed = [
            plan_of(record) for record in world.records.values() if world.domain.claims(record)
        ]
        places = [plan.candidates[0].place for plan in claimed if plan.candidates]
        times = sorted(place.interval for place in places if place.name == here)
        for one, next_ in itertools.pairwise(times):
            assert next_.start_ms - one.until_ms >= (setup + teardown + turnaround) * 60_000
