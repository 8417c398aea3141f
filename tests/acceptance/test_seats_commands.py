"""Who decides for which venue, as an operator sees and changes it: real nodes, the command line, the client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from konkordat.cli.cluster import LocalCluster
from konkordat.client import AsyncClient, Client, Conflict
from support.terminal import access, cluster, run

NAMES = ("zurich", "geneva", "bern")
SEATED_S_MAX = 15.0  # on a busy machine


class Forum(NamedTuple):
    """What there is, by id."""

    venue: str
    room: str
    event: str

    def session(self, title: str, hour: int) -> dict[str, Any]:
        slot = {
            "room": self.room,
            "local_start": f"2027-06-01T{hour:02}:00",
            "time_zone": "Europe/Zurich",
            "duration_minutes": 45,
        }
        return {"event": self.event, "title": {"de": title}, "slot": slot}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster(tmp_path_factory.mktemp("nodes"), *NAMES) as started:
        yield started


@pytest.fixture(scope="module")
def tenant(nodes: LocalCluster) -> dict[str, str]:
    return access(nodes)


@pytest.fixture(scope="module")
def operator(nodes: LocalCluster) -> dict[str, str]:
    return {"KONKORDAT_URL": nodes.urls["zurich"], "KONKORDAT_KEY": nodes.admin_key}


@pytest.fixture(scope="module")
def forum(nodes: LocalCluster) -> Forum:
    """A venue in Zurich, with a room and an event, decided by somebody."""
    with Client(nodes.urls["zurich"], key=nodes.key) as client:
        made = client.venues.create(
            {"name": {"de": "Kursaal"}, "time_zone": "Europe/Zurich", "region": "zurich"}
        )
        room = client.rooms.create({"venue": made["id"], "name": {"de": "Saal"}})
        event = client.events.create(
            {
                "slug": "forum",
                "name": {"de": "Forum"},
                "time_zone": "Europe/Zurich",
                "start_date": "2027-06-01",
                "end_date": "2027-06-03",
            }
        )
        until = time.monotonic() + SEATED_S_MAX
        while not all(seat["has_holder"] for seat in client.who_decides()):
            assert time.monotonic() < until, "nobody decides"
            time.sleep(0.05)
    return Forum(made["id"], room["id"], event["id"])


def test_seats_are_listed_with_who_holds_them(tenant: dict[str, str], forum: Forum) -> None:
    shown = run("seats", "--json", env=tenant)
    assert shown.code == 0, shown.err
    (seat,) = [s for s in shown.json["seats"] if s["id"].endswith(forum.venue)]
    assert (seat["home"], seat["name"]) == ("zurich", {"de": "Kursaal"})
    assert seat["holder"] in NAMES
    table = run("seats", env=tenant)
    assert table.code == 0
    assert "Kursaal" in table.out
    assert seat["holder"] in table.out


def test_a_line_of_the_list_fits_a_terminal_and_names_its_seat(
    tenant: dict[str, str], forum: Forum
) -> None:
    (line,) = [li for li in run("seats", env=tenant).out.splitlines() if "Kursaal" in li]
    assert len(line) <= 80
    for name in (line.split()[-1], f"forum/venues/{forum.venue}", forum.venue):
        found = run("seats", "timeline", name, env=tenant)
        assert found.code == 0, found.err
        assert forum.venue in found.out


def test_a_write_that_waits_has_its_decision(nodes: LocalCluster, forum: Forum) -> None:
    with Client(nodes.urls["geneva"], key=nodes.key) as client:
        made = client.sessions.create(forum.session("Netze", 9), wait_s=10)
        assert made["slot"]["state"] == "confirmed"
        rival = client.sessions.create(forum.session("Auch", 9), wait_s=10, on_conflict="tentative")
        assert rival["slot"]["state"] == "displaced"
        assert rival["slot"]["reason"]["claims"][0]["id"] == made["id"]


@pytest.mark.anyio
async def test_a_batch_that_waits_has_its_decisions(nodes: LocalCluster, forum: Forum) -> None:
    operations = [
        {"op": "create", "type": "sessions", "data": forum.session(f"Teil {hour}", hour)}
        for hour in (11, 12)
    ]
    async with AsyncClient(nodes.urls["bern"], key=nodes.key) as client:
        done = await client.batch(operations, wait_s=10, include_data=True)
        seats = [seat async for seat in client.who_decides()]
    assert [r.data and r.data["slot"]["state"] for r in done.results] == ["confirmed"] * 2
    assert any(seat["id"].endswith(forum.venue) for seat in seats)


def test_a_seat_is_handed_over_by_the_name_of_its_venue(
    tenant: dict[str, str], forum: Forum
) -> None:
    seats = run("seats", "--json", env=tenant).json["seats"]
    (before,) = [s["holder"] for s in seats if s["id"].endswith(forum.venue)]
    to = next(name for name in NAMES if name != before)
    done = run("seats", "handover", "Kursaal", to, "--json", env=tenant)
    assert done.code == 0, done.err
    assert (done.json["holder"], done.json["term"] > 1) == (to, True)
    told = run("seats", "timeline", forum.venue, env=tenant)
    assert told.code == 0
    assert to in told.out
    terms = run("seats", "timeline", forum.venue, "--json", env=tenant).json["terms"]
    assert [term["holder"] for term in terms][:2] == [to, before]
    again = run("seats", "handover", "Kursaal", to, "--json", env=tenant)
    assert again.code == 4
    assert again.json["error"]["code"] == "already_the_holder"


def test_a_home_seat_is_handed_over_where_it_is_or_with_a_flag(
    nodes: LocalCluster, tenant: dict[str, str]
) -> None:
    with Client(nodes.urls["zurich"], key=nodes.key) as client:
        name, zone = {"de": "Casino"}, "Europe/Zurich"
        client.venues.create(
            {"name": name, "time_zone": zone, "region": "bern", "decide": "home"}, wait_s=10
        )
        until = time.monotonic() + SEATED_S_MAX
        while not all(seat["has_holder"] for seat in client.who_decides()):
            assert time.monotonic() < until, "nobody decides"
            time.sleep(0.05)
    order = ("seats", "handover", "Casino", "geneva", "--json")
    zurich = tenant | {"KONKORDAT_URL": nodes.urls["zurich"]}
    refused = run(*order, env=zurich)
    assert refused.code == 4
    assert refused.json["error"]["code"] == "ask_the_holder"
    assert f"--url {nodes.urls['bern']}" in refused.json["error"]["detail"]
    there = run(*order, "--url", nodes.urls["bern"], env=tenant)
    assert (there.code, there.json["holder"]) == (0, "geneva"), there.err
    taken = run("seats", "handover", "Casino", "zurich", "--accept-loss", "--json", env=zurich)
    assert (taken.code, taken.json["holder"]) == (0, "zurich"), taken.err


def test_what_is_no_seat_is_wrong_usage(tenant: dict[str, str]) -> None:
    wrong = run("seats", "timeline", "Nirgendwo", env=tenant)
    assert wrong.code == 2
    assert "konkordat seats" in wrong.err


def test_members_leave_and_join(
    operator: dict[str, str], tenant: dict[str, str], nodes: LocalCluster, forum: Forum
) -> None:
    shown = run("roster", "--json", env=operator)
    assert shown.code == 0, shown.err
    assert [member["node"] for member in shown.json["members"]] == sorted(NAMES)
    refused = run("roster", "leave", "geneva", env=tenant)
    assert refused.code == 4
    left = run("roster", "leave", "geneva", "--wait", "20", "--json", env=operator)
    assert left.code == 0, left.err
    assert [m["node"] for m in left.json["roster"]["members"]] == ["bern", "zurich"]
    until = time.monotonic() + SEATED_S_MAX
    while any(s["holder"] == "geneva" for s in run("seats", "--json", env=tenant).json["seats"]):
        assert time.monotonic() < until, "its seats were not taken over"
    with Client(nodes.urls["geneva"], key=nodes.key) as client:
        late = client.sessions.create(forum.session("Spät", 15), wait_s=10)
        assert late["slot"]["state"] == "confirmed"
    joined = _join(nodes)
    assert [member["node"] for member in joined["roster"]["members"]] == sorted(NAMES)


def _join(nodes: LocalCluster) -> dict[str, Any]:
    """Once every seat has moved on to the roster before."""
    until = time.monotonic() + SEATED_S_MAX
    with Client(nodes.urls["bern"], key=nodes.admin_key) as client:
        while True:
            try:
                return client.change_roster("join", "geneva", wait_s=20)
            except Conflict as error:
                if error.code != "roster_change_running" or time.monotonic() > until:
                    raise
                time.sleep(0.1)
