"""The records that prove keys: written like any other, in a tenant that no key belongs to."""

from __future__ import annotations

import pytest

from konkordat.kernel.change import Change
from konkordat.kernel.hlc import Stamp, hlc_at
from konkordat.kernel.ids import Group, Origin
from konkordat.schedule.commands import Operation, operation
from konkordat.schedule.keys import (
    API_KEYS,
    SYSTEM_COLLECTIONS,
    SYSTEM_TENANT,
    ApiKeyBody,
    api_key,
)
from unit.schedule_rules.world import World

SPEC = SYSTEM_COLLECTIONS[API_KEYS]
ID = "0123456789abcdef"


def made(op: str = "create") -> Operation:
    body = ApiKeyBody(hash="0" * 64, tenant="acme", scopes=("read", "write"), name="CRM")
    return operation(op, API_KEYS, ID, body, spec=SPEC)  # type: ignore[arg-type]


def revoked(value: bool | None = True) -> Operation:
    return operation("patch", API_KEYS, ID, SPEC.patch(revoked=value), spec=SPEC)


@pytest.fixture
def world() -> World:
    world = World()
    world.carry_out(made(), tenant=SYSTEM_TENANT)
    return world


def test_a_key_is_kept_with_its_hash_and_scopes(world: World) -> None:
    record = world.records[api_key(ID)]
    assert record.fields[Group("scopes")].value == b'["read","write"]'
    assert world.domain.claims(record) == ()
    assert world.domain.parent(record) == ""


@pytest.mark.parametrize("back", [revoked(False), revoked(None), made("put"), made("upsert")])
def test_a_revoked_key_stays_revoked(world: World, back: Operation) -> None:
    world.carry_out(revoked(), tenant=SYSTEM_TENANT)
    refusal = world.refused(back, tenant=SYSTEM_TENANT)
    assert (refusal.code, refusal.pointer) == ("refused", "/revoked")


def test_a_revocation_survives_a_change_that_was_made_elsewhere_at_the_same_time(
    world: World,
) -> None:
    world.carry_out(revoked(), tenant=SYSTEM_TENANT)
    renamed = Change(api_key(ID), 1, {Group("name"): b'"CRM 2"'})
    world.receive(renamed, Stamp(hlc_at(world.now_ms + 1_000), Origin("bern.1")))
    assert world.records[api_key(ID)].fields[Group("revoked")].value == b"true"


def test_a_deleted_key_is_gone(world: World) -> None:
    world.carry_out(operation("delete", API_KEYS, ID, spec=SPEC), tenant=SYSTEM_TENANT)
    assert not world.records[api_key(ID)].alive
