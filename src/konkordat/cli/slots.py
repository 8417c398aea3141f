"""Places as people write them (`Saal@2027-06-01T09:00`), as slots; and what became of a slot, for people to read."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from konkordat.cli import wall
from konkordat.cli.naming import Item, Names

STYLES: Final = {
    "confirmed": "green",
    "checked_in": "green",
    "tentative": "yellow",
    "pending": "yellow",
    "waitlisted": "yellow",
    "displaced": "red",
}
STATE_WIDTH: Final = 10  # "waitlisted"


class PlaceWish(Struct, frozen=True):
    """Where and when, as it was written."""

    place: str  # ROOM@START; either part may be missing where there is a slot already
    minutes: int = 0  # 0: not said
    until: str = ""
    others: tuple[str, ...] = ()  # --or, in order of liking


def slot_of(names: Names, wish: PlaceWish, present: Item | None = None, day: str = "") -> Item:
    """The slot that is meant. `present` is that which there is already, `day` the only one of the event.

    Raises CommandError for what cannot be meant.
    """
    room, start = _parted(wish.place)
    if present is None and not (room and start):
        raise wall.wrong(f"{wish.place!r} is no place. Write it like Saal@2027-06-01T09:00.")
    if room:
        site = names.site(room)
        where, zone = site.slot(), site.zone
    else:
        assert present is not None
        kind = "room" if present.get("room") else "booth"
        where, zone = {kind: present[kind]}, present["time_zone"]
    there = present["local_start"] if present else ""
    at = wall.start_of(start, there[:10] or day) if start else there
    slot: Item = where | {"local_start": at, "time_zone": zone}
    slot["duration_minutes"] = _minutes(wish, at, zone, present)
    others = [_alternative(names, other, at) for other in wish.others]
    return slot | ({"alternatives": others} if others else {})


def _parted(place: str) -> tuple[str, str]:
    """Room and start: the last @ divides them, since a name may have one."""
    room, at, start = place.rpartition("@")
    return (room.strip(), start.strip()) if at else (place.strip(), "")


def _minutes(wish: PlaceWish, start: str, zone: str, present: Item | None) -> int:
    if wish.minutes and wish.until:
        raise wall.wrong("Give --minutes or --until, not both.")
    if wish.until:
        return wall.minutes_until(start, wish.until, zone)
    minutes = wish.minutes or (present or {}).get("duration_minutes") or 0
    if not minutes:
        raise wall.wrong("Say how long: --minutes 45, or --until 09:45.")
    return int(minutes)


def _alternative(names: Names, other: str, start: str) -> Item:
    room, at = _parted(other)
    where = names.site(room).slot() if room else {}
    when = {"local_start": wall.start_of(at, start[:10])} if at else {}
    if not where and not when:
        raise wall.wrong("--or needs a place, like Saal@09:45, Saal or @09:45.")
    return where | when


# For reading ------------------------------------------------------------------------------------------


def place_text(names: Names, slot: Item) -> str:
    """`Saal, Tue 2027-06-01 09:00–09:45`."""
    return f"{names.place(slot)}, {wall.slot_text(slot)}"


def state_line(state: str, text: str) -> Text:
    """A state in its colour, then what it is of."""
    return Text.assemble((state.ljust(STATE_WIDTH), STYLES.get(state, "dim")), "  ", text)


def show_slot(console: Console, names: Names, title: str, slot: Item) -> None:
    """What became of a slot: its state and place, another one that was granted, one that is kept meanwhile, and why."""
    granted = slot.get("granted")
    wish = place_text(names, slot)
    console.print(state_line(slot["state"], f"{title}: {place_text(names, granted or slot)}"))
    if granted:
        _aside(console, f"instead of {wish}")
    kept = place_text(names, slot["held"]) if slot.get("held") else wish
    if kept != wish:
        _aside(console, f"keeps {kept}")
    if reason := because(names, slot):
        _aside(console, reason)


def because(names: Names, slot: Item) -> str:
    """Why a slot has not the place it asks for; "" where it has."""
    claims = (slot.get("reason") or {}).get("claims") or []
    return f"taken by {', '.join(map(names.holder, claims))}" if claims else ""


def free_text(names: Names, alternatives: list[Item]) -> str:
    """`Saal 09:45, Estrich 09:00`: free slots, short, in the form in which they can be asked for."""
    return ", ".join(f"{names.place(slot)}@{slot['local_start']}" for slot in alternatives)


def show_free(console: Console, names: Names, alternatives: list[Item]) -> None:
    """What is free instead."""
    for number, slot in enumerate(alternatives):
        _aside(console, f"{'free instead:' if not number else '':<14}{place_text(names, slot)}")


def _aside(console: Console, text: str) -> None:
    console.print(Text(f"{'':{STATE_WIDTH}}  {text}", "dim"), soft_wrap=True)
