"""Create, put, patch, upsert, delete: what is there, what was asked of it, and what of it changes."""

from __future__ import annotations

import pytest

from konkordat.kernel.ids import Group
from konkordat.replica.domain import Writes
from konkordat.schedule.commands import etag
from unit.schedule_rules.world import (
    World,
    but,
    create,
    delete,
    forum,
    patch,
    slot,
    talk,
    uid,
    write,
)


@pytest.fixture
def world() -> World:
    return forum()


def test_a_record_is_created_with_what_differs_from_the_defaults(world: World) -> None:
    assert world.carry_out(talk("Auftakt", slot("09:00"))).effects == ("created",)
    assert sorted(world.get("sessions", "Auftakt").fields) == ["event", "slot", "title.de"]


def test_the_same_creation_again_is_no_error_and_changes_nothing(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("09:00")))
    before = world.get("sessions", "Auftakt")
    assert world.carry_out(talk("Auftakt", slot("09:00"))).effects == ("unchanged",)
    assert world.get("sessions", "Auftakt") is before


def test_creating_what_exists_with_other_content_is_refused_with_what_is_there(
    world: World,
) -> None:
    world.carry_out(talk("Auftakt"))
    refusal = world.refused(talk("Auftakt", track="A"))
    assert refusal.code == "already_exists"
    assert refusal.current == world.get("sessions", "Auftakt")


@pytest.mark.parametrize("op", ["put", "patch", "delete"])
def test_what_is_not_there_cannot_be_changed(world: World, op: str) -> None:
    ops = {
        "put": write("put", "speakers", "nobody", name="N"),
        "patch": patch("speakers", "nobody", name="N"),
        "delete": delete("speakers", "nobody"),
    }
    assert world.refused(ops[op]).code == "not_found"


def test_what_was_deleted_is_not_there_and_can_be_made_anew(world: World) -> None:
    world.carry_out(talk("Auftakt", track="A"))
    world.carry_out(delete("sessions", "Auftakt"))
    refusal = world.refused(patch("sessions", "Auftakt", track="B"))
    assert (refusal.code, "deleted" in refusal.detail) == ("not_found", True)
    world.carry_out(talk("Auftakt"))
    record = world.get("sessions", "Auftakt")
    assert (record.life, Group("track") in record.fields) == (3, False)


def test_a_replacement_clears_what_it_does_not_name_and_writes_only_what_differs(
    world: World,
) -> None:
    world.carry_out(talk("Auftakt", track="A", language="de"))
    decision = world.decide(
        write("put", "sessions", "Auftakt", event=uid("forum"), title={"de": "Auftakt"}, track="B")
    )
    assert isinstance(decision, Writes)
    assert dict(decision.writes[0].fields) == {"track": b'"B"', "language": b"null"}


def test_a_replacement_keeps_groups_that_only_a_newer_release_knows(world: World) -> None:
    from konkordat.kernel.change import Change
    from konkordat.kernel.hlc import Stamp, hlc_at

    world.carry_out(talk("Auftakt"))
    key = world.get("sessions", "Auftakt").key
    newer = Change(key, 1, {Group("mood.de"): b'"heiter"'})
    world.receive(newer, Stamp(hlc_at(world.now_ms), world.origin))
    world.carry_out(write("put", "sessions", "Auftakt", event=uid("forum"), title={"de": "Neu"}))
    assert world.value("sessions", "Auftakt", "mood.de") == "heiter"


def test_an_upsert_makes_or_replaces(world: World) -> None:
    made = write("upsert", "speakers", "lea", name="Lea")
    assert world.carry_out(made).effects == ("created",)
    assert world.carry_out(made).effects == ("unchanged",)
    again = world.carry_out(write("upsert", "speakers", "lea", name="Lea K."))
    assert again.effects == ("updated",)


def test_a_patch_writes_only_what_it_names(world: World) -> None:
    world.carry_out(talk("Auftakt", subtitle={"de": "a", "fr": "b"}))
    world.carry_out(patch("sessions", "Auftakt", subtitle={"fr": None, "it": "c"}))
    got = [world.value("sessions", "Auftakt", f"subtitle.{lang}") for lang in ("de", "fr", "it")]
    assert got == ["a", None, "c"]


def test_a_patch_may_clear_a_whole_map(world: World) -> None:
    world.carry_out(talk("Auftakt", subtitle={"de": "a", "fr": "b"}))
    world.carry_out(patch("sessions", "Auftakt", subtitle=None))
    assert world.value("sessions", "Auftakt", "subtitle.de") is None
    assert world.value("sessions", "Auftakt", "subtitle.fr") is None


def test_a_patch_of_a_slot_is_merged_with_the_slot_that_is_there(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("09:00", 45)))
    world.carry_out(patch("sessions", "Auftakt", slot={"local_start": "2027-06-02T10:00"}))
    assert world.value("sessions", "Auftakt", "slot") == slot("2027-06-02T10:00", 45)


def test_a_patched_slot_must_be_whole(world: World) -> None:
    world.carry_out(talk("Auftakt"))
    refusal = world.refused(patch("sessions", "Auftakt", slot={"local_start": "2027-06-02T10:00"}))
    assert (refusal.code, refusal.pointer) == ("invalid", "/slot")


def test_a_session_cannot_be_in_a_room_and_at_a_booth(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("09:00")))
    both = patch("sessions", "Auftakt", slot={"booth": uid("stand")})
    assert world.refused(both).code == "invalid"
    world.carry_out(patch("sessions", "Auftakt", slot={"booth": uid("stand"), "room": None}))
    assert world.states("booth/stand") == {"Auftakt": "confirmed"}


@pytest.mark.parametrize(
    "op",
    [
        patch("sessions", "Auftakt", title={"de": None}),
        patch("sessions", "Auftakt", speakers=[uid("anna"), uid("anna")]),
        patch("events", "forum", end_date="2027-05-01"),
        patch("rooms", "hall", name={"de": None}),
    ],
)
def test_a_patch_may_not_leave_a_body_that_could_not_be_created(world: World, op: object) -> None:
    world.carry_out(talk("Auftakt"))
    assert world.refused(op).code == "invalid"  # type: ignore[arg-type]


# Conditions -------------------------------------------------------------------------------------


def test_a_matching_etag_lets_the_write_pass_and_an_old_one_shows_the_present_state(
    world: World,
) -> None:
    world.carry_out(talk("Auftakt"))
    old = etag(world.get("sessions", "Auftakt"))
    world.carry_out(but(patch("sessions", "Auftakt", track="A"), if_match=('"x"', old)))
    refusal = world.refused(but(patch("sessions", "Auftakt", track="B"), if_match=(old,)))
    assert refusal.code == "precondition_failed"
    assert refusal.current == world.get("sessions", "Auftakt")


def test_an_etag_is_strong_quoted_and_follows_the_record(world: World) -> None:
    world.carry_out(talk("Auftakt"))
    first = etag(world.get("sessions", "Auftakt"))
    assert first == etag(world.get("sessions", "Auftakt"))
    assert (first[0], first[-1], len(first)) == ('"', '"', 34)
    world.carry_out(patch("sessions", "Auftakt", track="A"))
    assert etag(world.get("sessions", "Auftakt")) != first
    weak = but(patch("sessions", "Auftakt", track="B"), if_match=(f"W/{first}",))
    assert world.refused(weak).code == "precondition_failed"


def test_a_star_matches_whatever_exists(world: World) -> None:
    world.carry_out(talk("Auftakt"))
    world.carry_out(but(patch("sessions", "Auftakt", track="A"), if_match=("*",)))
    made = but(write("upsert", "speakers", "lea", name="Lea"), if_match=("*",))
    assert world.refused(made).code == "precondition_failed"


def test_if_none_match_creates_and_never_replaces(world: World) -> None:
    op = but(write("upsert", "speakers", "lea", name="Lea"), if_none_match_any=True)
    assert world.carry_out(op).effects == ("created",)
    assert world.refused(op).code == "precondition_failed"


# Several operations in one command ----------------------------------------------------------------


def test_operations_on_one_record_become_one_write(world: World) -> None:
    decision = world.decide(talk("Auftakt"), patch("sessions", "Auftakt", track="A"))
    assert isinstance(decision, Writes)
    (write_,) = decision.writes
    assert write_.fields[Group("track")] == b'"A"'
    assert decision.notes.effects == ("created", "updated")


def test_deleting_and_writing_one_record_in_one_command_is_refused(world: World) -> None:
    world.carry_out(talk("Auftakt"))
    for ops in (
        (delete("sessions", "Auftakt"), talk("Auftakt")),
        (patch("sessions", "Auftakt", track="A"), delete("sessions", "Auftakt")),
        (delete("sessions", "Auftakt"), delete("sessions", "Auftakt")),
    ):
        refusal = world.refused(*ops)
        assert (refusal.code, refusal.extra["operation"]) == ("conflicting_operations", 1)


def test_a_change_that_is_taken_back_in_the_same_command_writes_nothing(world: World) -> None:
    world.carry_out(talk("Auftakt", track="A"))
    notes = world.carry_out(
        patch("sessions", "Auftakt", track="B"), patch("sessions", "Auftakt", track="A")
    )
    assert notes.effects == ("unchanged", "unchanged")


def test_one_refused_operation_refuses_the_command_and_is_named(world: World) -> None:
    refusal = world.refused(talk("a"), talk("b"), patch("sessions", "nobody", track="A"))
    assert (refusal.code, refusal.extra["operation"]) == ("not_found", 2)


def test_the_only_operation_of_a_command_is_not_numbered(world: World) -> None:
    assert "operation" not in world.refused(delete("sessions", "nobody")).extra


# References ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "pointer"),
    [
        (create("sessions", "x", event=uid("nowhere"), title={"de": "x"}), "/event"),
        (talk("x", speakers=[uid("anna"), uid("nobody")]), "/speakers/1"),
        (talk("x", slot("09:00", room="nowhere")), "/slot/room"),
        (talk("x", slot("09:00", booth=uid("nowhere"))), "/slot/booth"),
        (create("rooms", "x", venue=uid("nowhere"), name={"de": "x"}), "/venue"),
        (patch("events", "forum", venues=[uid("kkl"), uid("nowhere")]), "/venues/1"),
    ],
)
def test_what_is_referred_to_must_be_there(world: World, op: object, pointer: str) -> None:
    refusal = world.refused(op)  # type: ignore[arg-type]
    assert (refusal.code, refusal.pointer) == ("unknown_reference", pointer)


def test_a_deleted_record_is_not_there(world: World) -> None:
    world.carry_out(delete("speakers", "marc"))
    assert world.refused(talk("x", speakers=[uid("marc")])).code == "unknown_reference"


def test_records_of_one_command_may_refer_to_each_other_in_any_order(world: World) -> None:
    world.carry_out(
        talk("x", slot("09:00", room="cellar"), speakers=[uid("lea")]),
        create("rooms", "cellar", venue=uid("kkl"), name={"de": "Keller"}),
        create("speakers", "lea", name="Lea"),
    )
    assert world.states("room/cellar") == {"x": "confirmed"}


def test_another_tenants_record_is_not_there(world: World) -> None:
    from konkordat.kernel.ids import Tenant

    assert world.refused(talk("x"), tenant=Tenant("other")).code == "unknown_reference"


def test_a_reference_that_was_there_before_is_not_asked_for_again(world: World) -> None:
    world.carry_out(talk("x", speakers=[uid("marc")]))
    world.carry_out(delete("speakers", "marc"))
    world.carry_out(patch("sessions", "x", track="A"))
