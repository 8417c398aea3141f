"""How people write places, times and lengths at a terminal, and what is meant by it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from konkordat.cli import wall
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.naming import Names
from konkordat.cli.repeating import SeriesWish, rule_of
from konkordat.cli.slots import PlaceWish, slot_of
from konkordat.client import Client, NotFound

ZONE = "Europe/Zurich"


def id_(number: int) -> str:
    return f"0197464f-3b1c-7c07-8d1e-{number:012x}"


class Shelf:
    """As much of a client as names are looked up with."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self.records: dict[str, list[dict[str, Any]]] = {
            "venues": [
                {"id": id_(1), "name": {"de": "Kursaal", "fr": "Casino"}, "time_zone": ZONE},
                {"id": id_(2), "name": {"de": "Messe"}, "time_zone": "Europe/Lisbon"},
            ],
            "rooms": [
                {"id": id_(0xABCD1), "name": {"de": "Saal", "fr": "Salle"}, "venue": id_(1)},
                {"id": id_(0xABCD2), "name": {"de": "saal"}, "venue": id_(2)},
                {"id": id_(0xABCD3), "name": {"de": "Halle 1/2"}, "venue": id_(2)},
                {"id": id_(0xABCD4), "name": {"de": "Bar @ Foyer"}, "venue": id_(2)},
            ],
            "booths": [
                {"id": id_(0xABCD5), "name": {"de": "A1"}, "venue": id_(1)},
                {"id": id_(0xABCD6), "name": {"de": "A1"}, "venue": id_(2)},
            ],
            "events": [{"id": id_(9), "slug": "forum", "name": {"de": "Das Forum"}}],
        }

    def list(self, collection: str, **_: str) -> list[dict[str, Any]]:
        self.listed.append(collection)
        return self.records[collection]

    def get(self, collection: str, id: str) -> dict[str, Any]:
        for item in self.records[collection]:
            if item["id"] == id:
                return item
        raise NotFound(404, {}, None)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def names(shelf: Shelf) -> Names:
    return Names(cast("Client", shelf))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Saal", 0xABCD1),  # as written, before other letters
        ("saal", 0xABCD2),
        ("SALLE", 0xABCD1),
        ("Messe/saal", 0xABCD2),
        ("casino/A1", 0xABCD5),
        ("Halle 1/2", 0xABCD3),
        ("abcd6", 0xABCD6),
        (id_(0xABCD4), 0xABCD4),
    ],
)
def test_a_place_is_found_by_what_people_call_it(names: Names, text: str, number: int) -> None:
    assert names.site(text).id == id_(number)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("A1", ExitCode.USAGE, "(Kursaal)"),
        ("Sahl", ExitCode.REFUSED, "There are: A1, Bar @ Foyer, Halle 1/2, Saal, saal."),
        ("Kursaal/Halle 1/2", ExitCode.REFUSED, "no room or booth"),
        (id_(7), ExitCode.REFUSED, "no room or booth"),
        ("cd6", ExitCode.REFUSED, "no room or booth"),
    ],
)
def test_what_fits_several_places_or_none_is_told_with_what_there_is(
    names: Names, text: str, code: ExitCode, says: str
) -> None:
    with pytest.raises(CommandError) as raised:
        names.site(text)
    assert raised.value.code is code
    assert says in raised.value.message


def test_an_id_is_read_alone_and_no_list_is(names: Names, shelf: Shelf) -> None:
    assert names.site(id_(0xABCD5)).zone == ZONE
    assert shelf.listed == []


def test_the_only_event_need_not_be_named(names: Names, shelf: Shelf) -> None:
    assert names.event("")["slug"] == names.event("das forum")["slug"] == "forum"
    shelf.records["events"].append({"id": id_(10), "slug": "messe", "name": {"de": "Messe"}})
    with pytest.raises(CommandError, match="--event"):
        Names(cast("Client", shelf)).event("")


def test_a_place_is_room_and_start(names: Names) -> None:
    at = PlaceWish("Saal@2027-06-01T09:00", 45, others=("Messe/saal", "@11:00", "A1@9:30"))
    with pytest.raises(CommandError, match="A1"):
        slot_of(names, at)
    slot = slot_of(
        names, PlaceWish(at.place, 45, others=("Messe/saal", "@11:00", "casino/A1@9:30"))
    )
    assert slot["alternatives"] == [
        {"room": id_(0xABCD2)},
        {"local_start": "2027-06-01T11:00"},
        {"booth": id_(0xABCD5), "local_start": "2027-06-01T09:30"},
    ]
    assert slot_of(names, PlaceWish("Bar @ Foyer @ 2027-06-01 9:05", until="10:00")) == {
        "room": id_(0xABCD4),
        "local_start": "2027-06-01T09:05",
        "time_zone": "Europe/Lisbon",
        "duration_minutes": 55,
    }


def test_a_move_says_only_what_changes(names: Names) -> None:
    present = {
        "room": id_(0xABCD1),
        "local_start": "2027-06-01T09:00",
        "time_zone": ZONE,
        "duration_minutes": 45,
    }
    later = slot_of(names, PlaceWish("@10:30"), present)
    assert later == present | {"local_start": "2027-06-01T10:30"}
    assert slot_of(names, PlaceWish("", until="12:00"), present)["duration_minutes"] == 180
    there = slot_of(names, PlaceWish("casino/A1"), present)
    assert (there["booth"], "room" in there, there["duration_minutes"]) == (
        id_(0xABCD5), False, 45,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("start", "until", "minutes"),
    [
        ("2027-06-01T09:00", "09:45", 45),
        ("2027-06-01T22:00", "2027-06-02T02:00", 240),
        ("2027-03-28T01:00", "04:00", 120),  # the clocks go forward in between
        ("2027-10-31T01:00", "04:00", 240),  # and back
        ("2027-10-31T01:00", "02:30", 150),  # to the later of two half past two
    ],
)
def test_an_end_counts_the_minutes_that_pass(start: str, until: str, minutes: int) -> None:
    assert wall.minutes_until(start, until, ZONE) == minutes


@pytest.mark.parametrize("until", ["09:00", "08:00", "2027-05-31T10:00", "9", "24:00", ""])
def test_an_end_that_is_none_is_wrong_usage(until: str) -> None:
    with pytest.raises(CommandError) as raised:
        wall.minutes_until("2027-06-01T09:00", until, ZONE)
    assert raised.value.code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("2h", 7200), ("1h30m", 5400), ("90s", 90), ("1 h", 3600)]
)
def test_a_length_is_written_with_its_units(text: str, seconds: int) -> None:
    assert wall.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "0m", "m", "-5m", "1.5h", "1d", "٣m", "99999999999m"])
def test_another_length_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandError, match="15m"):
        wall.seconds_of(text)


def wish(**given: Any) -> SeriesWish:
    base: dict[str, Any] = {
        "title": "Yoga", "place": PlaceWish(""), "event": "", "frequency": "", "times": 0,
        "last": "", "rule": "", "skip_taken": False, "seats": None, "wait_s": 0.0,
    }  # fmt: skip
    return SeriesWish(**(base | given))


def test_how_a_series_repeats_is_said_in_words_or_as_a_rule() -> None:
    assert rule_of(wish(frequency="DAILY", times=3)) == "FREQ=DAILY;COUNT=3"
    assert rule_of(wish(frequency="WEEKLY", last="2027-07-20")) == "FREQ=WEEKLY;UNTIL=20270720"
    assert rule_of(wish(rule="FREQ=YEARLY;COUNT=2")) == "FREQ=YEARLY;COUNT=2"
    for given in ({}, {"frequency": "DAILY"}, {"frequency": "DAILY", "last": "2027-7-1"}):
        with pytest.raises(CommandError):
            rule_of(wish(**given))
