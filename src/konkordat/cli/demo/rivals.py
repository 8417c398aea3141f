"""The scenes about what is scarce: one room wanted three times, and the node that decides about it killed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from konkordat.cli.demo.cast import Actor, Cast, Refused, Written
from konkordat.cli.demo.choices import Choices
from konkordat.cli.demo.eyes import all_decided
from konkordat.cli.demo.names import Names
from konkordat.cli.demo.scenes import AGREE_S_MAX, Figures
from konkordat.cli.demo.stage import Stage
from konkordat.cli.demo.words import counted, few, listed, quoted

RIVALS: Final = 3
DECIDED_S_MAX: Final = 5.0  # with a holder: milliseconds as a rule
TAKEN_OVER_S_MAX: Final = 20.0  # without one: 3.5 s as a rule
WANTED_TWICE: Final = 2  # of the places booked during the vacancy, so that something is displaced
STATES: Final = ("confirmed", "displaced", "tentative")
_STYLES: Final = {"confirmed": "green", "displaced": "yellow"}


class Booking(Struct, frozen=True):
    """A booking and where it was made."""

    node: str
    id: str
    state: str  # as it was answered at once


class Place(Struct, frozen=True):
    """What a session has."""

    state: str
    room: str
    start: str  # local
    ends: str  # UTC, as `starts`
    starts: str


Places = Mapping[str, Place]  # session id -> what it has; sessions without a slot are not in it


class Rivals:
    """One performance of them."""

    def __init__(
        self, stage: Stage, cast: Cast, choices: Choices, names: Names, figures: Figures
    ) -> None:
        self.stage = stage
        self.cast = cast
        self.choices = choices
        self.names = names
        self.figures = figures

    # ---- one room, three times

    async def rival(self) -> None:
        """The same room at the same minute, from three regions at once."""
        cast, stage, wish = self.cast, self.stage, self.choices.rival_slot
        actors = self._elsewhere(RIVALS)
        stage.scene(f"{counted(len(actors))} regions want the same room at the same minute")
        instead = wish | wish["alternatives"][0]
        stage.say(
            f"{listed([a.name for a in actors])} ask at once for {self._place(wish)}, or else"
            f" {self._place(instead)}. {escape(cast.home.name.capitalize())} holds the seat of"
            f" {quoted(self.choices.venue)} and decides."
        )
        asked_at = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(self._book(a, wish, f"Asked for at {a.name}")) for a in actors
            ]
        booked = [task.result() for task in asked]
        ids = [booking.id for booking in booked]
        decided_at = await all_decided(cast.eyes.values(), ids, DECIDED_S_MAX)
        places = [await self._places(actor, ids) for actor in cast.actors.values()]
        first = places[0]
        self._show(booked, first, await self._reasons(cast.away, ids))
        outcome = Counter(self._outcome(first[id_], wish) for id_ in ids)
        stage.expect(
            "rivals_decided",
            outcome == {"confirmed": 1, "moved": 1, "displaced": 1}
            and all(other == first for other in places),
            f"one has it, one its alternative, one neither, with the reason: known alike at all"
            f" {len(places)} nodes {(decided_at - asked_at) * 1000:.0f} ms after they asked",
        )

    def _elsewhere(self, count: int) -> list[Actor]:
        """Nodes, those before that do not hold the seat."""
        actors = list(self.cast.actors.values())
        return (actors[1:] + actors[:1])[:count]

    async def _book(self, actor: Actor, slot: dict[str, Any], title: str) -> Booking:
        body = {"event": self.choices.event_id, "title": {"en": title}, "slot": slot}
        answer = await actor.create("sessions", body, on_conflict="tentative")
        if isinstance(answer, Refused):
            raise answer.as_error(f"booking at {actor.name}")
        return Booking(actor.name, answer.id, _slot_of(answer)["state"])

    def _outcome(self, place: Place, wish: dict[str, Any]) -> str:
        is_wish = (place.room, place.start) == (wish["room"], wish["local_start"])
        return place.state if is_wish or place.state != "confirmed" else "moved"

    def _show(
        self, booked: Sequence[Booking], places: Places, reasons: Mapping[str, Sequence[str]]
    ) -> None:
        titles = {booking.id: booking.node for booking in booked}
        rows = Table.grid(padding=(0, 2))
        for booking in booked:
            place = places[booking.id]
            against = listed([titles.get(id_) or self.names.of(id_) for id_ in reasons[booking.id]])
            where = f"{self.names.of(place.room)} at {place.start[11:]}"
            told = f"against {against}" if place.state == "displaced" else where
            state = Text(place.state, _STYLES.get(place.state, ""))
            rows.add_row(Text(booking.node), state, Text(told))
        self.stage.table(rows)

    # ---- the holder killed

    async def succeed(self) -> None:
        """The node that decides is killed while its rooms are booked elsewhere; another takes over; it comes back."""
        cast, stage = self.cast, self.stage
        home = cast.home.name
        stage.scene(f"{home.capitalize()} is killed while its rooms go on being booked")
        before = await self._confirmed(cast.away)
        struck_at = await cast.strike()
        stage.say(
            f"[dim]$[/] kill -9 {escape(home)}   [dim]# it held the seat of[/] {quoted(self.choices.venue)}"
        )
        booked = await self._book_more()
        stage.expect(
            "promised_nothing",
            {booking.state for booking in booked} == {"tentative"},
            f"{few(len(booked), 'booking')} of its rooms at {listed(cast.standing)}: all taken, all tentative,"
            " since nobody can decide",
        )
        ids = [booking.id for booking in booked]
        decided_at = await all_decided(
            [cast.eyes[name] for name in cast.standing], ids, TAKEN_OVER_S_MAX
        )
        stage.show_board()
        await self._check_decisions(booked, decided_at - struck_at)
        await self._come_back(before, ids)

    async def _book_more(self) -> list[Booking]:
        """Each place once, and the first ones a second time from elsewhere."""
        slots = [*self.choices.more_slots, *self.choices.more_slots[:WANTED_TWICE]]
        standing = [self.cast.actors[name] for name in self.cast.standing]
        booked = []
        for number, slot in enumerate(slots):
            actor = standing[number % len(standing)]
            booked.append(await self._book(actor, slot, f"Booked at {actor.name}, number {number}"))
        return booked

    async def _check_decisions(self, booked: Sequence[Booking], took_s: float) -> None:
        ids = [booking.id for booking in booked]
        views = [await self._places(self.cast.actors[name], ids) for name in self.cast.standing]
        states = Counter(place.state for place in views[0].values())
        self.figures |= {
            "decided_after_kill_s": round(took_s, 2),
            "claims": {state: states[state] for state in STATES},
        }
        wanted = {"confirmed": len(booked) - WANTED_TWICE, "displaced": WANTED_TWICE}
        self.stage.expect(
            "decided_by_successor",
            states == wanted and all(view == views[0] for view in views),
            f"all decided [bold]{took_s:.1f}[/] s after the kill, alike at every node: {states['confirmed']}"
            f" confirmed, {states['displaced']} displaced because somebody asked before",
        )

    async def _come_back(self, before: Places, ids: Sequence[str]) -> None:
        cast, stage = self.cast, self.stage
        home = cast.home.name
        decided = await self._places(cast.away, ids)
        took_s = await cast.revive()
        agreed = await cast.all_agree(AGREE_S_MAX)
        stage.show_board()
        views = [await self._confirmed(actor) for actor in cast.actors.values()]
        after = views[0]
        kept = sum(after.get(id_) == place for id_, place in before.items())
        stage.expect(
            "confirmed_kept",
            agreed and kept == len(before) and all(view == after for view in views),
            f"{home} is back after {took_s:.1f} s and knows what was decided without it: {kept} of"
            f" {len(before)} places that were confirmed before are as they were, at every node",
        )
        stage.expect(
            "handed_out_once",
            not _overlaps(after) and await self._places(cast.home, ids) == decided,
            f"of {few(len(after), 'confirmed place')} no two overlap, and {home} takes nothing back",
        )
        await self._tell_timeline()

    async def _tell_timeline(self) -> None:
        """Who held the seat when, as the node that was away knows it too."""
        cast, stage = self.cast, self.stage
        told = [await actor.tenures(self.choices.venue_id) for actor in cast.actors.values()]
        terms = told[0]
        self.figures["timeline"] = [
            {"term": t.term, "holder": t.holder, "since": t.since, "until": t.until or None}
            for t in terms
        ]
        stage.say(f"[dim]who held the seat of {quoted(self.choices.venue)}[/]")
        rows = Table.grid(padding=(0, 2))
        for tenure in terms:
            until = tenure.until[11:23] or "now"
            elected = f"elected by {listed(tenure.voters)}"
            span = f"{tenure.since[11:23]} to {until}"
            rows.add_row(f"term {tenure.term}", Text(tenure.holder, "bold"), span, elected)
        stage.table(rows)
        stage.expect(
            "timeline_known",
            len(terms) > 1
            and terms[0].holder == cast.home.name
            and terms[1].holder != cast.home.name
            and all(other == terms for other in told),
            f"{terms[0].holder} held it, then {terms[-1].holder}: every node tells the same",
        )

    # ---- looking

    async def _places(self, actor: Actor, ids: Sequence[str]) -> dict[str, Place]:
        """What some sessions have, as a node tells it."""
        records = {id_: await actor.read("sessions", id_) for id_ in ids}
        return {id_: place for id_, record in records.items() if (place := place_of(record))}

    async def _confirmed(self, actor: Actor) -> dict[str, Place]:
        """All places that are confirmed, as a node tells it."""
        found = {record["id"]: place_of(record) async for record in actor.all("sessions")}
        return {id_: p for id_, p in found.items() if p is not None and p.state == "confirmed"}

    async def _reasons(self, actor: Actor, ids: Sequence[str]) -> dict[str, list[str]]:
        """The sessions that stood in the way of each."""
        records = [await actor.read("sessions", id_) for id_ in ids]
        reasons = {record["id"]: (record["slot"].get("reason") or {}) for record in records}
        return {
            id_: [claim["id"] for claim in reason.get("claims", ())]
            for id_, reason in reasons.items()
        }

    def _place(self, slot: dict[str, Any]) -> str:
        return f"{quoted(self.names.of(slot['room']))} at {slot['local_start'][11:]}"


def place_of(record: dict[str, Any]) -> Place | None:
    """What a session has: the place that was granted, or else the one it asks for."""
    slot = record.get("slot")
    if slot is None:
        return None
    at = slot.get("granted") or slot
    where = at.get("room") or at.get("booth") or ""
    return Place(slot["state"], where, at["local_start"], at.get("end", ""), at.get("start", ""))


def _overlaps(places: Places) -> list[tuple[str, str]]:
    """Pairs of sessions that have one room at one time."""
    by_room = sorted((p.room, p.starts, p.ends, id_) for id_, p in places.items())
    return [(a[3], b[3]) for a, b in pairwise(by_room) if a[0] == b[0] and b[1] < a[2]]


def _slot_of(written: Written) -> dict[str, Any]:
    slot: dict[str, Any] = written.data["slot"]
    return slot
