"""A hold keeps a place for a while: it ends by itself, and a session's slot takes it over as one (row S0-8).

Bug of others: held seats that never expire, so it is falsely sold out (open-event-server #6653).
"""

from __future__ import annotations

from typing import Any

import pytest

from konkordat.kernel.claim import ClaimId
from unit.schedule_rules.seated import NODE, Seated, seated_forum
from unit.schedule_rules.world import (
    NOW_MS,
    World,
    create,
    delete,
    forum,
    patch,
    slot,
    talk,
    uid,
    write,
)

pytestmark = pytest.mark.row("S0-8")


def hold(name: str, at: dict[str, Any], /, **more: Any) -> Any:
    return create("holds", name, event=uid("forum"), slot=at, **more)


@pytest.fixture
def seated() -> Seated:
    return seated_forum()


@pytest.fixture
def world() -> World:
    return forum()


def test_a_held_place_is_taken(seated: Seated) -> None:
    seated.carry_out(hold("h", slot("09:00")))
    assert seated.told("h", "holds") == {"slot": "confirmed"}
    refusal = seated.refused(talk("a", slot("09:30")))
    assert refusal.code == "slot_taken"
    assert f"by hold {uid('h')}" in refusal.detail


def test_a_hold_ends_by_itself(seated: Seated) -> None:
    seated.carry_out(hold("h", slot("09:00"), ttl_seconds=60))
    seated.wait(59_000)
    assert seated.told("h", "holds") == {"slot": "confirmed"}
    seated.wait(2_000)
    assert seated.told("h", "holds") == {"slot": "expired"}
    seated.carry_out(talk("a", slot("09:30")))
    assert seated.told("a") == {"slot": "confirmed"}


def test_a_hold_without_an_end_lasts_a_quarter_of_an_hour(world: World) -> None:
    world.carry_out(hold("h", slot("09:00")))
    assert world.value("holds", "h", "expires_at") == "2027-05-31T12:15:00Z"
    assert world.value("holds", "h", "ttl_seconds") is None


@pytest.mark.parametrize(
    "end", ["2027-05-31T12:00:00Z", "2027-05-30T12:00:00Z", "2027-06-01T12:00:01Z"]
)
def test_a_hold_ends_in_the_future_and_within_a_day(world: World, end: str) -> None:
    refusal = world.refused(hold("h", slot("09:00"), expires_at=end))
    assert (refusal.code, refusal.pointer) == ("bad_expiry", "/expires_at")
    world.carry_out(hold("h", slot("09:00"), expires_at="2027-06-01T12:00:00Z"))


def test_a_hold_is_extended_before_it_ends(seated: Seated) -> None:
    seated.carry_out(hold("h", slot("09:00"), ttl_seconds=60))
    seated.carry_out(patch("holds", "h", ttl_seconds=600))
    seated.wait(61_000)
    assert seated.told("h", "holds") == {"slot": "confirmed"}


def test_a_hold_that_ended_is_taken_up_again_while_nobody_else_has_the_place(
    seated: Seated,
) -> None:
    seated.carry_out(hold("h", slot("09:00"), ttl_seconds=60))
    seated.wait(61_000)
    seated.carry_out(patch("holds", "h", ttl_seconds=60))
    assert seated.told("h", "holds") == {"slot": "confirmed"}
    seated.wait(61_000)
    seated.carry_out(talk("a", slot("09:30")))
    assert seated.refused(patch("holds", "h", ttl_seconds=60)).code == "slot_taken"


def test_a_session_takes_a_held_place_over(seated: Seated) -> None:
    seated.carry_out(hold("h", slot("09:00"), ttl_seconds=60))
    seated.carry_out(talk("a", slot("09:00", hold=uid("h"))))
    assert (seated.told("a"), seated.told("h", "holds")) == (
        {"slot": "confirmed"},
        {"slot": "released"},
    )
    seated.wait(61_000)
    assert seated.told("a") == {"slot": "confirmed"}


def test_what_became_of_a_hold_is_told_by_the_log_and_not_by_the_clock(seated: Seated) -> None:
    """A node that looked again after its end, being restarted, told `expired` of a hold that was taken over."""
    seated.carry_out(hold("taken", slot("09:00"), ttl_seconds=60))
    seated.carry_out(hold("left", slot("11:00"), ttl_seconds=60))
    seated.carry_out(talk("a", slot("09:00", hold=uid("taken"))))
    seated.wait(61_000)
    for restarted in (False, True):
        if restarted:
            seated.table[NODE].start()
            seated.wait(1_000)
        assert seated.told("taken", "holds") == {"slot": "released"}
        assert seated.told("left", "holds") == {"slot": "expired"}
    (over,) = [d for d in seated.claims("taken", "holds") if d.claim.quantity]
    assert over.against == (ClaimId(seated.key("a"), "slot"),), "it names what it gave way to"


def test_taking_a_hold_over_is_part_of_the_claim_and_not_of_the_slot(world: World) -> None:
    world.carry_out(hold("h", slot("09:00")))
    world.carry_out(talk("a", slot("09:30", hold=uid("h"))))
    assert world.value("sessions", "a", "slot") == slot("09:30")
    session = world.get("sessions", "a")
    (claim,) = [c for c in world.domain.claims(session) if c.quantity]
    replaces = world.domain.wanted(session, claim).replaces
    assert replaces == (ClaimId(world.get("holds", "h").key, "slot"),)


def test_a_hold_that_is_over_or_unknown_cannot_be_taken_over(seated: Seated) -> None:
    seated.carry_out(hold("h", slot("09:00"), ttl_seconds=60))
    seated.wait(61_000)
    late = seated.refused(talk("a", slot("09:00", hold=uid("h"))))
    assert (late.code, late.pointer) == ("hold_expired", "/slot/hold")
    unknown = seated.refused(talk("a", slot("09:00", hold=uid("nothing"))))
    assert (unknown.code, unknown.pointer) == ("unknown_reference", "/slot/hold")


def test_a_hold_at_another_venue_cannot_be_taken_over(world: World) -> None:
    world.carry_out(
        create("venues", "annex", name={"de": "Annex"}, time_zone="Europe/Zurich"),
        create("rooms", "far", venue=uid("annex"), name={"de": "Fern"}),
        patch("events", "forum", venues=[uid("kkl"), uid("annex")]),
        hold("h", slot("09:00", room="far")),
    )
    refusal = world.refused(talk("a", slot("09:00", hold=uid("h"))))
    assert (refusal.code, refusal.pointer) == ("several_seats", "/slot/hold")


def test_a_session_that_exists_moves_to_a_held_place(seated: Seated) -> None:
    seated.carry_out(talk("a", slot("14:00")), hold("h", slot("09:00")))
    seated.carry_out(
        patch("sessions", "a", slot={"local_start": "2027-06-01T09:00", "hold": uid("h")})
    )
    assert seated.told("a") == {"slot": "confirmed"}
    assert seated.place("a") == slot("09:00")


def test_a_hold_is_held_to_the_rules_of_places(world: World) -> None:
    assert world.refused(hold("h", slot("2027-07-01T09:00"))).code == "outside_event"
    assert world.refused(hold("h", slot("09:00", room="nowhere"))).code == "unknown_reference"


def test_deleting_a_hold_frees_its_place(seated: Seated) -> None:
    seated.carry_out(hold("h", slot("09:00")))
    seated.carry_out(delete("holds", "h"))
    seated.carry_out(talk("a", slot("09:30")))
    assert seated.told("a") == {"slot": "confirmed"}


def test_a_hold_can_be_written_anew_and_then_lasts_anew(world: World) -> None:
    world.carry_out(hold("h", slot("09:00"), ttl_seconds=60))
    world.now_ms = NOW_MS + 30_000
    world.carry_out(
        write("upsert", "holds", "h", event=uid("forum"), slot=slot("09:00"), ttl_seconds=60)
    )
    assert world.value("holds", "h", "expires_at") == "2027-05-31T12:01:30Z"


def test_a_hold_names_alternatives_too(seated: Seated) -> None:
    seated.carry_out(talk("a", slot("09:00")))
    seated.carry_out(hold("h", slot("09:00", alternatives=[{"room": uid("attic")}])))
    assert seated.place("h", collection="holds") == slot("09:00", room="attic")


def test_a_hold_that_was_taken_over_gives_nothing_to_a_second_session(seated: Seated) -> None:
    seated.carry_out(hold("h", slot("09:00")))
    seated.carry_out(talk("a", slot("09:00", hold=uid("h"))))
    refusal = seated.refused(talk("b", slot("11:00", hold=uid("h"))))
    assert (refusal.code, refusal.pointer) == ("hold_expired", "/slot/hold")
    # Who took it over may say so again, and is where it was.
    seated.carry_out(patch("sessions", "a", slot=slot("09:00", hold=uid("h"))))
    assert seated.told("a") == {"slot": "confirmed"}
