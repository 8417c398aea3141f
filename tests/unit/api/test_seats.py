"""Who decides what: shown to those whom it concerns, handed over and changed by those who may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from support.api import Caller, Node, Programme, Table, serving

NAMES = ("bern", "geneva", "zurich")
WAIT = {"Prefer": "wait=20"}


@pytest.fixture
def table() -> Table:
    """Three members, and lugano beside."""
    return Table(*NAMES, "lugano", members=NAMES)


@pytest.fixture
def zurich(table: Table) -> Iterator[Node]:
    with serving(table["zurich"]) as served:
        yield served


@pytest.fixture
def admin(zurich: Node) -> Caller:
    return zurich.key("acme", scopes=("read", "write", "admin"))


@pytest.fixture
def forum(admin: Caller, table: Table) -> Programme:
    made = Programme(admin)
    table.deliver()
    return made


class Meanwhile:
    """Delivers what nodes say, in a thread of its own, as long as the block runs."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._done.wait(0.01):
            self._table.deliver()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()


def seat_of(caller: Caller, forum: Programme) -> dict[str, Any]:
    """The venue's seat."""
    page = caller.get("/v2/seats").json()
    return next(s for s in page["data"] if s["id"] == f"acme.venues.{forum.venue}")


def test_a_tenant_sees_the_seats_of_its_venues_and_events(forum: Programme, admin: Caller) -> None:
    page = admin.get("/v2/seats").json()
    ids = {f"acme.venues.{forum.venue}", f"acme.events.{forum.event}"}
    assert {seat["id"] for seat in page["data"]} == ids
    seat = seat_of(admin, forum)
    assert seat["name"] == {"de": "Kursaal"}
    assert seat["holder"] in NAMES
    assert (seat["term"], seat["decide"], seat["has_holder"]) == (1, "majority", True)
    assert seat["undecided"] == 0
    assert seat["since"]


def test_nobody_sees_the_seats_of_others_but_the_operator(forum: Programme, zurich: Node) -> None:
    other = zurich.key("other", scopes=("read", "admin"))
    assert other.get("/v2/seats").json()["data"] == []
    path = f"/v2/seats/acme.venues.{forum.venue}"
    assert other.get(f"{path}/timeline").status_code == 404
    assert other.post(f"{path}/handover", {"to": "bern"}).status_code == 404
    assert len(zurich.operator.get("/v2/seats").json()["data"]) == 2


def test_seats_come_in_pages(forum: Programme, admin: Caller) -> None:
    first = admin.get("/v2/seats?limit=1").json()
    rest = admin.get(f"/v2/seats?limit=1&cursor={first['next_cursor']}").json()
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert first["data"][0]["id"] < rest["data"][0]["id"]
    assert forum.event in first["data"][0]["id"]


def test_claims_that_wait_are_counted(forum: Programme, admin: Caller, table: Table) -> None:
    table.deliver()
    admin.post("/v2/sessions", forum.session(slot=forum.slot()))
    table["zurich"].handle([])
    assert seat_of(admin, forum)["undecided"] == 1
    table.deliver()
    assert seat_of(admin, forum)["undecided"] == 0


def test_a_seat_is_handed_over_and_its_timeline_tells(
    forum: Programme, admin: Caller, table: Table
) -> None:
    before = seat_of(admin, forum)
    to = next(name for name in NAMES if name != before["holder"])
    with Meanwhile(table):
        done = admin.post(f"/v2/seats/{before['id']}/handover", {"to": to}, headers=WAIT)
    assert done.status_code == 200
    assert (done.json()["holder"], done.json()["term"]) == (to, 2)
    shown = admin.get(f"/v2/seats/{before['id']}/timeline").json()
    latest, first = shown["terms"]
    assert (latest["holder"], first["holder"]) == (to, before["holder"])
    assert first["until"] == latest["opened_at"] > first["opened_at"]
    assert (latest["until"], latest["cutoff"]) == (None, None)
    assert first["cutoff"] >= 1
    assert len(set(latest["voters"]) & set(NAMES)) >= 2


def test_without_a_wait_the_order_is_taken(forum: Programme, admin: Caller) -> None:
    seat = seat_of(admin, forum)
    to = next(name for name in NAMES if name != seat["holder"])
    assert admin.post(f"/v2/seats/{seat['id']}/handover", {"to": to}).status_code == 202


def test_what_cannot_be_handed_over_says_why(forum: Programme, admin: Caller, zurich: Node) -> None:
    seat = seat_of(admin, forum)
    path = f"/v2/seats/{seat['id']}/handover"
    codes = [admin.post(path, {"to": to}).json()["code"] for to in ("lugano", seat["holder"])]
    assert codes == ["not_a_member", "already_the_holder"]
    assert admin.post(path, {"to": "No such"}).json()["code"] == "invalid"
    writer = zurich.key("acme")
    assert writer.post(path, {"to": "bern"}).json()["code"] == "scope_missing"


def test_a_home_seat_is_handed_over_at_its_holder_or_knowingly(
    forum: Programme, admin: Caller, table: Table
) -> None:
    venue = forum.make(
        "venues", name={"de": "Casino"}, region="bern", time_zone="Europe/Zurich", decide="home"
    )
    table.deliver()
    path = f"/v2/seats/acme.venues.{venue}"
    assert admin.get(f"{path}/timeline").json()["seat"]["holder"] == "bern"
    refused = admin.post(f"{path}/handover", {"to": "geneva"}).json()
    assert (refused["code"], refused["holder"]) == ("ask_the_holder", "bern")
    peers = {peer.name: peer.api_url for peer in table["zurich"].status().peers}
    assert refused["ask_at"] == (peers["bern"] or None)
    with Meanwhile(table):
        knowingly = {"to": "geneva", "accept_loss": True}
        done = admin.post(f"{path}/handover", knowingly, headers=WAIT)
    assert (done.status_code, done.json()["holder"]) == (200, "geneva")


def test_the_roster_is_shown(forum: Programme, admin: Caller) -> None:
    shown = admin.get("/v2/roster").json()
    assert [member["node"] for member in shown["members"]] == list(NAMES)
    assert all(member["alive"] for member in shown["members"])
    assert sum(member["seats"] for member in shown["members"]) == 2
    assert (shown["version"], shown["has_majority"], shown["others"]) == (1, True, ["lugano"])
    assert [member["node"] for member in shown["members"] if member["is_self"]] == ["zurich"]
    assert forum.venue


def test_a_node_joins(zurich: Node, table: Table) -> None:
    with Meanwhile(table):
        wish = {"change": "join", "node": "lugano"}
        done = zurich.operator.post("/v2/roster", wish, headers=WAIT)
    assert done.status_code == 200, done.text
    assert done.json()["state"] == "confirmed"
    assert [m["node"] for m in done.json()["roster"]["members"]] == sorted([*NAMES, "lugano"])


def test_a_change_that_is_not_decided_yet_says_so(zurich: Node) -> None:
    done = zurich.operator.post("/v2/roster", {"change": "join", "node": "lugano"})
    assert (done.status_code, done.json()["state"]) == (202, "tentative")
    assert done.json()["roster"]["version"] == 1


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"change": "join", "node": "basel"}, "member_silent"),
        ({"change": "join", "node": "bern"}, "roster_unchanged"),
        ({"change": "leave", "node": "lugano"}, "not_a_member"),
        ({"change": "join", "node": "lugano", "by": "bern"}, "invalid"),
        ({"change": "shuffle", "node": "bern"}, "invalid"),
    ],
)
def test_a_change_that_makes_no_sense_says_why(
    zurich: Node, wish: dict[str, str], code: str
) -> None:
    assert zurich.operator.post("/v2/roster", wish).json()["code"] == code


def test_only_the_operator_changes_the_roster(admin: Caller) -> None:
    done = admin.post("/v2/roster", {"change": "join", "node": "lugano"})
    assert done.json()["code"] == "scope_missing"


def test_the_cluster_shows_who_holds_how_many(forum: Programme, admin: Caller) -> None:
    nodes = admin.get("/v2/cluster").json()["nodes"]
    assert sum(node["seats"] for node in nodes) == 2
    assert forum.venue


def test_a_node_that_decides_nothing_by_seats_says_so() -> None:
    with serving(Table("zurich")["zurich"]) as node:
        assert node.operator.get("/v2/seats").json()["code"] == "no_roster"
        assert node.operator.get("/v2/roster").json()["code"] == "no_roster"


def test_a_region_that_is_no_member_is_warned_of(forum: Programme, admin: Caller) -> None:
    """A typing error there meant that some other node decided, and nothing said so."""

    def codes(method: str, path: str, body: dict[str, Any]) -> list[tuple[str, str]]:
        answered = admin(method, path, body)
        assert answered.status_code in (200, 201), answered.text
        return [(w["code"], w["pointer"]) for w in answered.json().get("warnings", ())]

    venue, told = f"/v2/venues/{forum.venue}", [("unknown_region", "/region")]
    assert codes("PATCH", venue, {"region": "geneva"}) == []
    assert codes("PATCH", venue, {"region": "lugano"}) == told  # it replicates, and has no vote
    assert codes("PATCH", venue, {"name": {"de": "Neu"}}) == []
    new = {"name": {"de": "Neu"}, "time_zone": "Europe/Zurich", "region": "genva"}
    assert codes("POST", "/v2/venues", new) == told
    assert codes("PATCH", f"/v2/events/{forum.event}", {"region": "genva"}) == told
    assert codes("PATCH", venue, {"region": None}) == []
