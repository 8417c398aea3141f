"""A summit of three days in Lausanne: people register while one node of three is cut off, and a talk is moved there."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from konkordat.client import Client
from konkordat.client.core import Call
from support.town import Record, Town, holdings, overlapping, slot, state_of, town, until

pytestmark = pytest.mark.slow

NODES = ("lausanne", "geneva", "zurich")
SEATS = 20


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("lausanne"), *NODES) as nodes:
        yield nodes


class Summit:
    """Three days, two halls, a talk in each hall each morning; the first of each day takes registrations."""

    def __init__(self, place: Town) -> None:
        self.place = place
        client = place.at["lausanne"]
        self.event = place.event("lausanne", "tech-summit")
        _, self.halls = place.venue("lausanne", rooms=2)
        self.speaker = client.create("speakers", {"name": "Aline Rochat"})["id"]
        self.talks = [
            client.create("sessions", self._talk(day, hall))["id"]
            for day in (1, 2, 3)
            for hall in self.halls
        ]
        place.share()
        place.settled(self.talks)

    def _talk(self, day: int, hall: str) -> Record:
        return {
            "event": self.event,
            "title": {"fr": f"Jour {day}"},
            "speakers": [self.speaker] if hall == self.halls[0] else [],
            "seats": SEATS,
            "slot": slot(hall, day, "10:00"),
        }

    def register(self, node: str, talk: str, count: int, *, waitlist: bool = False) -> list[str]:
        """People of a region register there; the ids of their registrations."""
        client, made = self.place.at[node], []
        for number in range(count):
            who = client.create("attendees", {"name": f"{node} {number}"})["id"]
            body = {"session": talk, "attendee": who, "waitlist": waitlist}
            made.append(client.create("registrations", body)["id"])
        return made

    @contextmanager
    def never_oversold(self, talk: str) -> Iterator[None]:
        """All the while, every node is asked how many seats are taken."""
        over, told, most = threading.Event(), Counter[str](), Counter[str]()
        urls = {name: self.place.nodes.urls[name] for name in self.place.names}

        def look(name: str) -> None:
            with Client(urls[name], key=self.place.nodes.key) as client:
                while not over.is_set():
                    most[name] = max(most[name], seats_of(client, talk)["seats_taken"])
                    told[name] += 1

        watching = [threading.Thread(target=look, args=(name,)) for name in urls]
        for thread in watching:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in watching:
                thread.join()
        assert all(told[name] > 1 for name in urls), "a node was not asked"
        assert max(most.values()) <= SEATS, most


def seats_of(client: Client, talk: str) -> Record:
    """What a node tells of a session's seats."""
    reply = client.request(Call("GET", f"/v2/sessions/{talk}/registrations"))
    found: Record = reply.json()
    return found


@pytest.mark.row("S0-35")
def test_registrations_are_never_oversold_while_a_node_is_cut_off(place: Town) -> None:
    summit = Summit(place)
    talk = summit.talks[0]
    with summit.never_oversold(talk):
        place.cut("zurich")
        made = summit.register("lausanne", talk, 9) + summit.register("geneva", talk, 6)
        place.share(["lausanne", "geneva"])
        for records in place.settled(made, "registrations", ["lausanne", "geneva"]).values():
            assert {state_of(record) for record in records.values()} == {"confirmed"}
        offline = summit.register("zurich", talk, 12)
        assert len(offline) == 12, "who is cut off takes registrations"
        states = [place.at["zurich"].get("registrations", id_)["state"] for id_ in offline]
        assert set(states) == {"pending"}, "and promises nothing"
        place.mend("zurich")
        place.share()
        told = place.settled([*made, *offline], "registrations")
    assert len({str(records) for records in told.values()}) == 1, "every node tells the same"
    states = Counter(record["state"] for record in told["geneva"].values())
    assert states == {"confirmed": SEATS, "displaced": len(made) + len(offline) - SEATS}
    assert {told["zurich"][id_]["state"] for id_ in made} == {"confirmed"}
    for name in NODES:
        assert seats_of(place.at[name], talk)["seats_left"] == 0, name
        assert not seats_of(place.at[name], talk)["warnings"], name


@pytest.mark.row("S0-35")
def test_who_waits_gets_the_seat_that_frees_wherever_it_does(place: Town) -> None:
    summit = Summit(place)
    talk = summit.talks[2]
    have = summit.register("lausanne", talk, SEATS)
    place.share()
    place.settled(have, "registrations")
    (waits,) = summit.register("geneva", talk, 1, waitlist=True)
    place.share()
    assert place.settled([waits], "registrations")["zurich"][waits]["state"] == "waitlisted"
    place.at["zurich"].update("registrations", have[0], {"cancelled": True})
    for name in NODES:
        until(
            lambda name=name: place.at[name].get("registrations", waits)["state"] == "confirmed",
            f"{name} does not tell that the seat was given on",
        )
        assert seats_of(place.at[name], talk)["seats_taken"] == SEATS, name


@pytest.mark.row("S0-35")
@pytest.mark.row("S0-38")
def test_a_talk_moved_offline_is_moved_everywhere_once_the_line_is_back(place: Town) -> None:
    summit = Summit(place)
    talk, (hall, other) = summit.talks[0], summit.halls
    place.cut("zurich")
    moved = place.at["zurich"].update("sessions", talk, {"slot": slot(hall, 2, "14:00")})
    assert moved["slot"]["state"] == "tentative"
    assert [day[1] for day in holdings(moved)] == ["2027-06-01T08:00:00Z"], "it keeps its place"
    place.at["geneva"].update("sessions", talk, {"title": {"fr": "Nouveau titre"}})
    place.at["lausanne"].update("sessions", summit.talks[1], {"slot": slot(other, 3, "14:00")})
    place.mend("zurich")
    place.agree()
    place.share()
    for name, records in place.settled(summit.talks).items():
        assert holdings(records[talk]) == [
            (hall, "2027-06-02T12:00:00Z", "2027-06-02T13:00:00Z")
        ], name
        assert records[talk]["title"] == {"fr": "Nouveau titre"}, name
        assert records[talk]["speakers"] == [summit.speaker], name
        assert overlapping(list(records.values())) == [], name
    body = {"event": summit.event, "title": {"fr": "À sa place"}, "slot": slot(hall, 1, "10:00")}
    freed = place.at["geneva"].create("sessions", body)["id"]
    place.share()
    told = place.settled([freed])
    assert {state_of(records[freed]) for records in told.values()} == {"confirmed"}
