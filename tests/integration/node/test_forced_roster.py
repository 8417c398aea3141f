"""Two of three nodes are lost for good: the survivor goes on alone, and what comes back later decides nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from konkordat.cli.main import main
from konkordat.node.errors import ExitCode
from support.node import eventually
from support.processes import OPERATOR, NodeProcess, bearer, cluster_of, converged

NAMES = ("zurich", "geneva", "bern")
PATIENCE_S = 30.0
ZONE = "Europe/Zurich"


def soon(what: Any) -> Any:
    return eventually(what, PATIENCE_S)


class Forum:
    """A room and an event, made at one node."""

    def __init__(self, node: NodeProcess) -> None:
        self.key = node.make_key()
        venue = self._made(node, "venues", name={"de": "Kursaal"}, time_zone=ZONE, region="zurich")
        self.room = self._made(node, "rooms", venue=venue, name={"de": "Saal"})
        days = {"start_date": "2027-06-01", "end_date": "2027-06-03"}
        self.event = self._made(
            node, "events", slug="forum", name={"de": "Forum"}, time_zone=ZONE, **days
        )

    def _made(self, node: NodeProcess, type_: str, **body: Any) -> str:
        answer = node.post(f"/v2/{type_}", body, self.key)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def book(self, node: NodeProcess, hour: int) -> str:
        slot = {"room": self.room, "local_start": f"2027-06-01T{hour:02}:00", "time_zone": ZONE}
        slot["duration_minutes"] = 45  # type: ignore[assignment]
        return self._made(node, "sessions", event=self.event, title={"de": "Netze"}, slot=slot)

    def state(self, node: NodeProcess, session: str) -> str:
        answer = node.get(f"/v2/sessions/{session}", self.key)
        return str(answer.json()["slot"]["state"]) if answer.status_code == 200 else "unknown"

    def is_confirmed(self, session: str, *nodes: NodeProcess) -> bool:
        return all(self.state(node, session) == "confirmed" for node in nodes)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[NodeProcess]]:
    with cluster_of(tmp_path, *NAMES, seats={"members": list(NAMES)}) as started:
        yield started


def order(node: NodeProcess, change: str, name: str) -> httpx.Response:
    headers = {**bearer(OPERATOR), "Prefer": "wait=10"}
    wish = {"change": change, "node": name}
    return httpx.post(f"{node.url}/v2/roster", json=wish, headers=headers, timeout=30)


def members(node: NodeProcess) -> list[str]:
    return [member["node"] for member in node.get("/v2/roster").json()["members"]]


def force(node: NodeProcess, *flags: str) -> int:
    return main(["roster", "force", "--data", str(node.data), "--json", *flags])


def ends_closed_out(node: NodeProcess) -> bool:
    code, said = node.end()
    return (
        code == ExitCode.IDENTITY
        and "bern forced roster 3 without this node" in said.splitlines()[-1]
    )


def test_a_survivor_goes_on_alone_and_old_members_stop_when_they_hear_of_it(
    nodes: list[NodeProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    zurich, geneva, bern = nodes
    forum = Forum(zurich)
    common = forum.book(zurich, 9)
    soon(lambda: forum.is_confirmed(common, *nodes))
    soon(lambda: converged(*nodes))
    bern.kill()
    theirs = forum.book(zurich, 11)  # confirmed by the majority, which is lost with it
    soon(lambda: forum.is_confirmed(theirs, zurich, geneva))
    zurich.kill()
    geneva.kill()

    bern.start()
    ours = forum.book(bern, 11)
    refused = order(bern, "leave", "geneva").json()
    assert refused["code"] == "no_majority"
    assert forum.state(bern, ours) == "tentative"
    assert force(bern) == 5  # it runs
    bern.stop()
    capsys.readouterr()
    assert force(bern) == 1
    told = json.loads(capsys.readouterr().out)
    assert {lost["node"] for lost in told["lost"]} == {"zurich", "geneva"}
    assert all(lost["batch"] and lost["at_ms"] for lost in told["lost"])
    assert sum(len(lost["seats"]) for lost in told["lost"]) >= 1
    assert force(bern, "--accept-loss") == 0

    bern.start()
    soon(lambda: forum.is_confirmed(ours, bern))
    assert forum.is_confirmed(common, bern)
    assert members(bern) == ["bern"]
    assert '"roster_forced"' in bern.log()

    for node in (zurich, geneva):
        node.set({"link": {"connect": [bern.link]}})
        node.spawn()
        assert ends_closed_out(node)
    assert forum.is_confirmed(ours, bern)
    assert forum.state(bern, theirs) == "unknown"

    shutil.rmtree(geneva.data)
    geneva.start()
    soon(lambda: converged(geneva, bern))
    soon(lambda: order(bern, "join", "geneva").status_code == 200)
    late = forum.book(geneva, 14)
    soon(lambda: forum.is_confirmed(late, bern, geneva))
    assert forum.is_confirmed(ours, geneva)
