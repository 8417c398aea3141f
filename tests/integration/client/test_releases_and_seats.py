"""Releases and registrations as clients and people at a terminal have them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from integration.client.serving import Served
from konkordat.cli.main import main
from konkordat.client import AsyncClient, Client
from konkordat.client.errors import Conflict
from konkordat.schedule.attendance import registration_id


def slot(room: str) -> dict[str, Any]:
    return {
        "room": room,
        "local_start": "2027-06-01T09:00",
        "time_zone": "Europe/Zurich",
        "duration_minutes": 45,
    }


@pytest.fixture
def workshop(client: Client, forum: dict[str, str]) -> str:
    """A session with one seat, one registration and one that waits."""
    made = client.sessions.create(
        {
            "event": forum["event"],
            "title": {"de": "Werkstatt"},
            "slot": slot(forum["room"]),
            "seats": 1,
        }
    )
    for name in ("=Mila", "Noa"):
        attendee = client.attendees.create({"name": name})
        client.registrations.create(
            {"session": made["id"], "attendee": attendee["id"], "waitlist": True}
        )
    return str(made["id"])


def konkordat(served: Served, key: str, *arguments: str) -> int:
    """Run a command in this process."""
    where = ["--url", served.urls["zurich"], "--key", key]
    return main([*arguments, *where])


def test_a_client_sees_seats_and_is_refused_when_they_are_gone(
    client: Client, workshop: str
) -> None:
    shown = client.seats(workshop)
    assert (shown["seats_taken"], shown["seats_left"], shown["waitlisted"]) == (1, 0, 1)
    late = client.attendees.create({"name": "Lia"})
    with pytest.raises(Conflict) as refused:
        client.registrations.create({"session": workshop, "attendee": late["id"]})
    assert refused.value.code == "sold_out"
    first = next(
        r for r in client.registrations.list(session=workshop) if r["state"] == "confirmed"
    )
    assert first["id"] == registration_id(workshop, first["attendee"])
    client.registrations.update(first["id"], {"cancelled": True})
    states = {r["state"] for r in client.registrations.list(session=workshop)}
    assert states == {"cancelled", "confirmed"}


def test_both_clients_make_and_compare_releases(
    client: Client, forum: dict[str, str], workshop: str, new_async: Callable[..., AsyncClient]
) -> None:
    made = client.release(forum["event"], "1.0", "für den Druck")
    assert made["release"]["comment"] == "für den Druck"
    client.sessions.update(workshop, {"title": {"de": "Neu"}})

    async def look() -> Any:
        async with new_async("zurich") as other:
            assert (await other.release(forum["event"], "1.1", dry_run=True))["release"] is None
            assert b"Werkstatt" in await other.export(forum["event"], "json", "1.0")
            assert (await other.seats(workshop))["seats"] == 1
            return (await other.release_diff(forum["event"], "1.0"))["changed"]

    changed = asyncio.run(look())
    assert [c["fields"] for c in changed] == [["title"]]
    assert client.release_diff(forum["event"], "1.0")["changed"] == changed


def test_the_command_line_makes_and_exports_a_release(
    served: Served, key: str, client: Client, forum: dict[str, str], workshop: str, capfd: Any
) -> None:
    assert konkordat(served, key, "release", "forum", "1.0", "--dry-run") == 0
    assert "Nothing clashes" in capfd.readouterr().out
    assert konkordat(served, key, "release", "forum", "1.0", "--json") == 0
    assert json.loads(capfd.readouterr().out)["release"]["sessions"] == 1
    client.sessions.update(workshop, {"title": {"de": "Neu"}})
    assert konkordat(served, key, "export", "forum", "--release", "1.0", "-f", "json") == 0
    assert "Werkstatt" in capfd.readouterr().out
    assert konkordat(served, key, "release", "forum", "1.0") == 4
    assert "take another name" in capfd.readouterr().err


def test_the_list_for_the_door_has_names_and_runs_no_formulas(
    served: Served, key: str, workshop: str, capfd: Any
) -> None:
    assert konkordat(served, key, "registrations", workshop) == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert {(r["attendee_name"], r["state"]) for r in rows} == {
        ("'=Mila", "confirmed"),
        ("Noa", "waitlisted"),
    }
    assert konkordat(served, key, "registrations", workshop, "--format", "json") == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {line["attendee_name"] for line in lines} == {"=Mila", "Noa"}
    unknown = registration_id(workshop, workshop)
    assert konkordat(served, key, "registrations", unknown) == 4
