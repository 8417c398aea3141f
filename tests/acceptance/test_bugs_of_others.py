"""What went wrong with scarce things elsewhere, tried on five real nodes. Each test names the reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from konkordat.client import Client, Conflict
from support.town import Record, Town, holdings, overlapping, slot, state_of, town, until

pytestmark = pytest.mark.slow

NODES = ("zurich", "geneva", "basel", "lugano", "bern")
PARALLEL = 10


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("five"), *NODES) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def event(place: Town) -> str:
    event = place.event("zurich", "summit")
    place.share()
    return event


@pytest.fixture
def rooms(place: Town) -> list[str]:
    """Three rooms of a new house in Zurich, known everywhere."""
    _, rooms = place.venue("zurich", rooms=3)
    place.share()
    return rooms


def at_once(place: Town, nodes: Sequence[str], write: Callable[[Client, int], Record]) -> list[str]:
    """One write at each of the nodes (a node may be named often), all begun together; the ids of what was made."""
    start = Barrier(len(nodes))

    def one(number: int) -> str:
        url = place.nodes.urls[nodes[number]]
        with Client(url, key=place.nodes.key) as client:
            client.token = place.at[nodes[number]].token
            client.page("events", limit="1")  # connected, and has what there is to know
            start.wait()
            try:
                return str(write(client, number)["id"])
            except Conflict as refused:
                return f"refused: {refused.code}"
            finally:
                tokens.append((nodes[number], client.token))

    tokens: list[tuple[str, str]] = []
    with ThreadPoolExecutor(len(nodes)) as pool:
        made = list(pool.map(one, range(len(nodes))))
    for name, token in tokens:
        place.at[name].token = token
        place.share()
    return made


def booked(place: Town, made: Sequence[str]) -> list[Record]:
    """The sessions that were made, once all is decided, as every node tells them."""
    ids = [id_ for id_ in made if not id_.startswith("refused")]
    assert set(made) - set(ids) <= {"refused: slot_taken"}
    told = place.settled(ids)
    assert len({str(records) for records in told.values()}) == 1, "every node tells the same"
    records = list(told[NODES[0]].values())
    assert overlapping(records) == []
    return records


@pytest.mark.row("S0-8")
@pytest.mark.parametrize("nodes", [NODES[:1], NODES[1:2], NODES], ids=["holder", "other", "five"])
def test_ten_parallel_identical_bookings_make_exactly_one(
    nodes: Sequence[str], place: Town, event: str, rooms: list[str]
) -> None:
    """cal.com #13397, LibreBooking #147: on one node, and spread over five."""
    body = {"event": event, "title": {"en": "Me too"}, "slot": slot(rooms[0], 1, "10:00")}
    spread = [nodes[number % len(nodes)] for number in range(PARALLEL)]
    made = at_once(place, spread, lambda client, _: client.create("sessions", body))
    records = booked(place, made)
    states = Counter(state_of(record) for record in records)
    assert states["confirmed"] == 1
    assert states.keys() <= {"confirmed", "displaced"}
    if len(nodes) == 1:
        assert Counter(made)["refused: slot_taken"] == PARALLEL - 1, "one node knows at once"
    winner = next(r["id"] for r in records if state_of(r) == "confirmed")
    for record in records:
        if record["id"] != winner:
            assert [c["id"] for c in record["slot"]["reason"]["claims"]] == [winner]


@pytest.mark.parametrize("starts", [("10:00", "10:30"), ("10:00", "10:00")], ids=["part", "whole"])
def test_two_overlapping_tentative_ones_are_never_both_confirmed(
    starts: tuple[str, str], place: Town, event: str, rooms: list[str]
) -> None:
    """cal.com #10789, #29958."""

    def book(client: Client, number: int) -> Record:
        body = {"event": event, "title": {"en": "?"}, "slot": slot(rooms[0], 1, starts[number])}
        return client.create("sessions", body, on_conflict="tentative")

    records = booked(place, at_once(place, ["geneva", "basel"], book))
    assert sorted(state_of(record) for record in records) == ["confirmed", "displaced"]
    lost = next(record for record in records if state_of(record) == "displaced")
    patched = place.at["bern"].update("sessions", lost["id"], {"state": "confirmed"})
    assert state_of(patched) == "displaced", "what an organiser calls confirmed has no room by that"


def test_two_first_bookers_of_a_many_seat_slot_share_one(
    place: Town, event: str, rooms: list[str]
) -> None:
    """cal.com #13360: the first two each made a slot of their own."""
    talk = seated(place, event, rooms[0], seats=30)
    made = at_once(place, ["geneva", "lugano"], lambda c, n: register(c, talk, f"{n}"))
    told = place.settled(made, "registrations")
    assert {r["state"] for records in told.values() for r in records.values()} == {"confirmed"}
    assert {r["session"] for records in told.values() for r in records.values()} == {talk}
    in_room = [r for r in place.at["bern"].list("sessions", event=event) if _is_in(r, rooms[0])]
    assert [record["id"] for record in in_room] == [talk]


@pytest.mark.row("S0-35")
def test_no_lock_is_skipped_for_speed_so_seats_are_not_oversold(
    place: Town, event: str, rooms: list[str]
) -> None:
    """eventyay #1359: forty want one of seven seats, at five nodes at once."""
    talk = seated(place, event, rooms[0], seats=7)
    spread = [NODES[number % len(NODES)] for number in range(40)]
    made = at_once(place, spread, lambda client, n: register(client, talk, f"{n}"))
    ids = [id_ for id_ in made if not id_.startswith("refused")]
    assert set(made) - set(ids) <= {"refused: sold_out"}
    told = place.settled(ids, "registrations")
    for name, records in told.items():
        states = Counter(record["state"] for record in records.values())
        assert states["confirmed"] == 7, name
        assert states.keys() <= {"confirmed", "displaced"}, name


def test_an_event_that_moved_leaves_no_room_booking_behind(
    place: Town, event: str, rooms: list[str]
) -> None:
    """indico #4068: the event moved and the room booking stayed."""
    old, new = slot(rooms[0], 1, "10:00"), slot(rooms[1], 2, "14:00")
    body = {"event": event, "title": {"en": "Moving"}, "slot": old}
    moving = place.at["zurich"].create("sessions", body)["id"]
    place.share()
    place.settled([moving])
    place.at["geneva"].update("sessions", moving, {"slot": new})
    place.share()
    for records in place.settled([moving]).values():
        assert [room for room, _, _ in holdings(records[moving])] == [rooms[1]]
    after = place.at["basel"].create("sessions", body | {"title": {"en": "There now"}})["id"]
    place.share()
    assert {state_of(r[after]) for r in place.settled([after]).values()} == {"confirmed"}


@pytest.mark.parametrize("how", ["cancelled", "deleted", "without a slot"])
def test_what_is_called_off_leaves_no_room_booking_behind(
    how: str, place: Town, event: str, rooms: list[str]
) -> None:
    """indico #4068, the other ways out."""
    body = {"event": event, "title": {"en": "Off"}, "slot": slot(rooms[0], 1, "10:00")}
    gone = place.at["zurich"].create("sessions", body)["id"]
    place.share()
    place.settled([gone])
    client = place.at["lugano"]
    if how == "deleted":
        client.delete("sessions", gone)
    else:
        client.update(
            "sessions", gone, {"state": "cancelled"} if how == "cancelled" else {"slot": None}
        )
    place.share()
    after = place.at["basel"].create("sessions", body)["id"]
    place.share()
    assert {state_of(r[after]) for r in place.settled([after]).values()} == {"confirmed"}


@pytest.mark.parametrize("node", ["zurich", "bern"])
def test_held_seats_expire_by_themselves(
    node: str, place: Town, event: str, rooms: list[str]
) -> None:
    """open-event-server #6653: what was held and never bought stayed held, falsely sold out."""
    at = slot(rooms[0], 1, "10:00")
    body = {"event": event, "title": {"en": "After the hold"}, "slot": at}
    held = place.at[node].create("holds", {"event": event, "slot": at, "ttl_seconds": 2})["id"]
    place.share()
    told = place.settled([held], "holds")
    assert {state_of(records[held]) for records in told.values()} <= {"confirmed", "expired"}
    with pytest.raises(Conflict):
        place.at["basel"].create("sessions", body)
    until(
        lambda: all(state_of(place.at[n].get("holds", held)) == "expired" for n in NODES),
        "the hold does not end",
    )
    booked = place.at["basel"].create("sessions", body)["id"]
    place.share()
    assert {state_of(r[booked]) for r in place.settled([booked]).values()} == {"confirmed"}


def seated(place: Town, event: str, room: str, seats: int) -> str:
    """A session with seats to register for, known everywhere."""
    body = {"event": event, "title": {"en": "Workshop"}, "seats": seats}
    made: str = place.at["zurich"].create("sessions", body | {"slot": slot(room, 1, "10:00")})["id"]
    place.share()
    place.settled([made])
    return made


def register(client: Client, talk: str, name: str) -> Record:
    who = client.create("attendees", {"name": name})["id"]
    return client.create("registrations", {"session": talk, "attendee": who})


def _is_in(record: Record, room: str) -> bool:
    return (record.get("slot") or {}).get("room") == room
