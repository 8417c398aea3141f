"""A rotating exhibition in Lucerne: booths are swapped and rotated as one, in real time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from konkordat.client import Conflict
from support.town import Record, Town, Witness, holdings, overlapping, slot, town

pytestmark = pytest.mark.slow

ARTISTS = ("Agathe", "Beno", "Cilla", "Dario")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("lucerne"), "lucerne", "zurich", "bern") as nodes:
        yield nodes


class Exhibition:
    """A hall with a booth for each artist, all of them in the morning of one day."""

    def __init__(self, place: Town, day: int) -> None:
        self.place, self.day = place, day
        venue, _ = place.venue("lucerne")
        client = place.at["lucerne"]
        self.event = place.event("lucerne", f"rotation-{day}")
        named = [{"venue": venue, "name": {"en": f"Booth {n}"}} for n in range(len(ARTISTS))]
        self.booths = [client.create("booths", body)["id"] for body in named]
        self.shows = [self._show(*who) for who in zip(ARTISTS, self.booths, strict=True)]
        place.share()
        self.wait()

    def at(self, booth: str) -> Record:
        return slot(booth, self.day, "09:00", 180, kind="booth")

    def _show(self, artist: str, booth: str) -> str:
        body = {"event": self.event, "title": {"en": artist}, "slot": self.at(booth)}
        id_: str = self.place.at["lucerne"].create("sessions", body)["id"]
        return id_

    def rearrange(self, node: str, booths: Sequence[str], shows: Sequence[str]) -> None:
        """Shows to booths, all of them or none."""
        moves = [
            {"op": "patch", "type": "sessions", "id": show, "data": {"slot": self.at(booth)}}
            for show, booth in zip(shows, booths, strict=True)
        ]
        self.place.at[node].batch(moves, mode="atomic")

    def wait(self) -> None:
        """Until all nodes know the last move, and how it was decided."""
        self.place.share()
        self.place.settled(self.shows)

    def booths_of(self, node: str) -> list[str]:
        """Where each show has its place for sure."""
        client = self.place.at[node]
        held = [holdings(client.get("sessions", show)) for show in self.shows]
        return ["".join(booth for booth, _, _ in each) for each in held]


@pytest.mark.row("S0-36")
@pytest.mark.parametrize("node", ["lucerne", "bern"])
def test_two_artists_swap_booths_as_one_before_the_eyes_of_all(place: Town, node: str) -> None:
    hall = Exhibition(place, day=1 + (node == "bern"))
    first, second, *rest = hall.booths
    with Witness(place, "zurich") as witness:
        began = time.monotonic()
        hall.rearrange(node, [second, first], hall.shows[:2])
        seen_at = [
            witness.sees(show, lambda r, booth=booth: [h[0] for h in holdings(r)] == [booth])
            for show, booth in zip(hall.shows, [second, first], strict=False)
        ]
    print(f"swapped at {node}, seen at zurich after {(max(seen_at) - began) * 1000:.1f} ms")
    hall.wait()
    assert {tuple(hall.booths_of(n)) for n in place.names} == {(second, first, *rest)}
    _never_two_in_a_booth(hall)


@pytest.mark.row("S0-36")
def test_all_booths_rotate_as_one(place: Town) -> None:
    hall = Exhibition(place, day=3)
    for node in ("zurich", "lucerne", "bern"):
        before = hall.booths_of(node)
        hall.rearrange(node, [*before[1:], before[0]], hall.shows)
        _never_two_in_a_booth(hall)
        hall.wait()
        assert {tuple(hall.booths_of(n)) for n in place.names} == {(*before[1:], before[0])}


@pytest.mark.row("S0-36")
def test_a_rotation_of_which_one_part_cannot_be_moves_nobody(place: Town) -> None:
    hall = Exhibition(place, day=2)
    with pytest.raises(Conflict) as refused:
        hall.rearrange("bern", [hall.booths[1], hall.booths[2]], hall.shows[:2])
    assert refused.value.code == "slot_taken"
    assert {tuple(hall.booths_of(n)) for n in place.names} == {tuple(hall.booths)}


@pytest.mark.row("S0-36")
def test_of_two_swaps_that_cannot_both_be_one_is_done_whole_and_one_not_at_all(place: Town) -> None:
    hall = Exhibition(place, day=1)
    a, b, c, d = hall.booths
    place.cut("bern")
    hall.rearrange("lucerne", [b, a], hall.shows[:2])
    hall.rearrange("bern", [c, b], hall.shows[1:3])
    place.settled(hall.shows, names=["lucerne", "zurich"])
    assert hall.booths_of("lucerne") == [b, a, c, d]
    assert hall.booths_of("bern") == [a, b, c, d], "nobody is moved by a node that does not decide"
    place.mend("bern")
    place.agree()
    hall.wait()
    _never_two_in_a_booth(hall)
    assert {tuple(hall.booths_of(n)) for n in place.names} == {(b, a, c, d)}


def _never_two_in_a_booth(hall: Exhibition) -> None:
    for _ in range(10):
        for name in hall.place.up:
            records = hall.place.at[name].list("sessions", event=hall.event)
            assert overlapping(list(records)) == [], name
