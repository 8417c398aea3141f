"""What is granted of what a slot asks for: alternatives, swaps, bundles; moves that keep the old place (row S0-8)."""

from __future__ import annotations

import msgspec
import pytest

from konkordat.kernel.ids import Group
from konkordat.kernel.refusal import Refusal
from konkordat.replica.domain import View
from konkordat.schedule import places
from unit.schedule_rules.seated import Seated, seated_forum
from unit.schedule_rules.world import World, but, create, delete, forum, patch, slot, talk, uid

pytestmark = pytest.mark.row("S0-8")


@pytest.fixture
def seated() -> Seated:
    return seated_forum()


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local check sees nothing of what others hold, as at a node that has not heard of it."""
    monkeypatch.setattr(places.Places, "holders", lambda *_: [])


def test_the_first_alternative_that_fits_is_granted(seated: Seated) -> None:
    seated.carry_out(talk("a", slot("09:00")), talk("b", slot("09:00", room="attic")))
    others = [{"room": uid("attic")}, {"local_start": "2027-06-01T10:00"}, {"booth": uid("stand")}]
    seated.carry_out(talk("c", slot("09:30", alternatives=others[:1] + others[1:])))
    assert seated.told("c") == {"slot": "confirmed"}
    assert seated.place("c") == slot("10:00")


def test_the_wish_itself_is_granted_where_it_fits(seated: Seated) -> None:
    seated.carry_out(talk("c", slot("09:30", alternatives=[{"room": uid("attic")}])))
    assert seated.place("c") == slot("09:30")


def test_a_slot_of_which_no_alternative_is_free_is_refused_naming_what_has_the_wish(
    seated: Seated,
) -> None:
    seated.carry_out(talk("a", slot("09:00")), talk("b", slot("09:00", room="attic")))
    refusal = seated.refused(talk("c", slot("09:30", alternatives=[{"room": uid("attic")}])))
    assert refusal.code == "slot_taken"
    assert [claim.id.owner.id for claim in refusal.conflicts] == [uid("a")]


def test_each_alternative_is_held_to_the_rules(world: World) -> None:
    bad = [
        ({"room": uid("nowhere")}, "unknown_reference", "/slot/alternatives/1/room"),
        ({"local_start": "2027-07-01T09:00"}, "outside_event", "/slot/alternatives/1/local_start"),
        (
            {"local_start": "2027-03-28T02:30"},
            "local_time_does_not_exist",
            "/slot/alternatives/1/local_start",
        ),
    ]
    for other, code, pointer in bad:
        wish = slot("09:00", alternatives=[{"room": uid("attic")}, other])
        refusal = world.refused(talk("c", wish))
        assert (refusal.code, refusal.pointer) == (code, pointer)


def test_seventeen_alternatives_are_one_too_many(world: World) -> None:
    others = [{"local_start": f"2027-06-02T{hour:02}:00"} for hour in range(6, 23)]
    assert world.refused(talk("c", slot("09:00", alternatives=others))).code == (
        "too_many_alternatives"
    )
    world.carry_out(talk("c", slot("09:00", alternatives=others[:16])))


@pytest.fixture
def world() -> World:
    world = forum()
    world.carry_out(
        create("venues", "annex", name={"de": "Annex"}, time_zone="Europe/Zurich"),
        create("rooms", "far", venue=uid("annex"), name={"de": "Fern"}),
        patch("events", "forum", venues=[uid("kkl"), uid("annex")]),
    )
    return world


def test_an_alternative_at_another_venue_is_refused_since_no_seat_decides_for_both(
    world: World,
) -> None:
    refusal = world.refused(talk("c", slot("09:00", alternatives=[{"room": uid("far")}])))
    assert (refusal.code, refusal.pointer) == ("several_seats", "/slot/alternatives/0")


# Moves --------------------------------------------------------------------------------------------


def test_a_denied_move_keeps_the_old_place(seated: Seated, blind: None) -> None:
    seated.carry_out(talk("a", slot("09:00")), talk("b", slot("11:00")))
    seated.carry_out(patch("sessions", "a", slot={"local_start": "2027-06-01T11:00"}))
    assert seated.told("a") == {"slot": "displaced", "slot@held": "confirmed"}
    assert seated.place("a") == slot("11:00")
    assert seated.place("a", "slot@held") == slot("09:00")


def test_a_place_kept_by_a_denied_move_is_nobody_elses(
    seated: Seated, monkeypatch: pytest.MonkeyPatch
) -> None:
    seated.carry_out(talk("a", slot("09:00")), talk("b", slot("11:00")))
    with monkeypatch.context() as blindly:
        blindly.setattr(places.Places, "holders", lambda *_: [])
        seated.carry_out(patch("sessions", "a", slot={"local_start": "2027-06-01T11:00"}))
    assert seated.refused(talk("c", slot("09:30"))).code == "slot_taken"


def test_a_place_that_was_an_alternative_is_remembered_through_a_move(
    seated: Seated, blind: None
) -> None:
    seated.carry_out(patch("rooms", "attic", setup_minutes=20))
    seated.carry_out(talk("a", slot("09:00")), talk("b", slot("12:00")))
    seated.carry_out(talk("c", slot("09:00", alternatives=[{"room": uid("attic")}])))
    assert seated.place("c") == slot("09:00", room="attic")
    seated.carry_out(patch("sessions", "c", slot=slot("12:00", alternatives=None)))
    assert seated.told("c") == {"slot": "displaced", "slot@held": "confirmed"}
    assert seated.place("c", "slot@held") == slot("09:00", room="attic")


# Together -----------------------------------------------------------------------------------------


def swap(a: str, b: str) -> list[object]:
    return [
        patch("sessions", a, slot={"room": uid("attic")}),
        patch("sessions", b, slot={"room": uid("hall")}),
    ]


def test_a_swap_is_granted_as_one(seated: Seated) -> None:
    seated.carry_out(talk("a", slot("09:00")), talk("b", slot("09:00", room="attic")))
    seated.carry_out(*swap("a", "b"))  # type: ignore[arg-type]
    assert (seated.told("a"), seated.told("b")) == ({"slot": "confirmed"}, {"slot": "confirmed"})
    assert (seated.place("a"), seated.place("b")) == (slot("09:00", room="attic"), slot("09:00"))


@pytest.mark.row("S0-36")
def test_booths_rotate_as_one(seated: Seated) -> None:
    names = ("stand", "stand2", "stand3")
    seated.carry_out(
        *[create("booths", n, venue=uid("kkl"), name={"de": n}) for n in names[1:]],
        *[talk(f"Werk {n}", slot("09:00", booth=uid(n))) for n in names],
    )
    rotated = zip(names, names[1:] + names[:1], strict=True)
    seated.carry_out(
        *[patch("sessions", f"Werk {n}", slot={"booth": uid(to)}) for n, to in rotated]
    )
    assert [seated.place(f"Werk {n}")["booth"] for n in names] == [
        uid(n) for n in ("stand2", "stand3", "stand")
    ]
    assert {str(s) for n in names for s in seated.told(f"Werk {n}").values()} == {"confirmed"}


def test_a_swap_of_which_one_half_is_denied_ends_nowhere(seated: Seated, blind: None) -> None:
    seated.carry_out(talk("a", slot("09:00")), talk("b", slot("09:00", room="attic")))
    seated.carry_out(talk("c", slot("14:00")))
    ops = [
        patch("sessions", "a", slot={"room": uid("attic")}),
        patch("sessions", "b", slot=slot("14:30")),
    ]
    seated.carry_out(*ops)
    for name, old in (("a", slot("09:00")), ("b", slot("09:00", room="attic"))):
        assert seated.told(name) == {"slot": "displaced", "slot@held": "confirmed"}
        assert seated.place(name, "slot@held") == old


def test_each_for_itself_where_the_command_prefers_that(seated: Seated, blind: None) -> None:
    seated.carry_out(talk("a", slot("09:00")))
    ops = [talk("b", slot("09:30")), talk("c", slot("09:00", room="attic"))]
    seated.carry_out(*[but(op, on_conflict="tentative") for op in ops])
    assert (seated.told("b"), seated.told("c")) == ({"slot": "displaced"}, {"slot": "confirmed"})


def test_a_tentative_slot_waits_for_its_place(seated: Seated) -> None:
    seated.carry_out(talk("a", slot("09:00")))
    seated.carry_out(but(talk("b", slot("09:30")), on_conflict="tentative"))
    assert seated.told("b") == {"slot": "displaced"}
    seated.carry_out(delete("sessions", "a"))
    seated.wait(100)
    assert seated.told("b") == {"slot": "confirmed"}


def test_more_than_a_seat_decides_at_once_cannot_be_asked_for_together(world: World) -> None:
    world.carry_out(patch("rooms", "hall", max_concurrent=100))
    ops = tuple([talk(f"t{n}", slot("09:00")) for n in range(65)])
    assert asked(world, ops).code == "too_many_together"
    world.carry_out(*ops)  # as one transaction, each claim for itself


def test_places_of_two_venues_cannot_be_asked_for_together(world: World) -> None:
    ops = (talk("a", slot("09:00")), talk("b", slot("09:00", room="far")))
    assert asked(world, ops).code == "several_seats"
    world.carry_out(*ops)


def asked(world: World, ops: tuple[object, ...]) -> Refusal:
    from konkordat.schedule.commands import WriteCommand
    from unit.schedule_rules.world import TENANT

    command = WriteCommand(TENANT, ops, together=True)  # type: ignore[arg-type]
    view: View = world
    decision = world.domain.decide(command, view)
    assert isinstance(decision, Refusal)
    return decision


# The past -----------------------------------------------------------------------------------------


def test_a_place_left_ten_years_ago_is_not_claimed_but_an_archive_may_say_why(world: World) -> None:
    world.carry_out(
        create(
            "events", "old", slug="old", name={"de": "Alt"}, time_zone="Europe/Zurich",
            start_date="2010-06-01", end_date="2027-06-03",
        )
    )  # fmt: skip
    old = talk("a", slot("2010-06-01T09:00"), event=uid("old"))
    refusal = world.refused(old)
    assert (refusal.code, refusal.pointer) == ("in_the_past", "/slot/local_start")
    world.carry_out(talk("b", slot("2020-06-01T09:00"), event=uid("old")))
    world.carry_out(old, reason="Archiv")


def test_what_a_claim_needs_is_written_under_the_stamp_of_its_slot(world: World) -> None:
    world.carry_out(patch("rooms", "hall", setup_minutes=10))
    world.carry_out(talk("a", slot("09:00")))
    fields = world.get("sessions", "a").fields
    assert fields[Group("placing")].stamp == fields[Group("slot")].stamp
    foreign = fields[Group("slot")]._replace(stamp=world.log[0][1])
    record = world.get("sessions", "a")
    apart = msgspec.structs.replace(record, fields={**fields, Group("slot"): foreign})
    own, torn = world.domain.claims(record)[0], world.domain.claims(apart)[0]
    assert own.start_ms == torn.start_ms - 10 * 60_000
