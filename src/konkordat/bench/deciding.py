"""What it costs to decide one more claim on a resource that has few or many granted ones: the machine alone, and a
whole node. No network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from functools import partial
from typing import Final

from konkordat.bench.registering import registering_us
from konkordat.bench.results import Figure, Section, below
from konkordat.bench.run import Setting
from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Origin, Tenant, node_of, record_key
from konkordat.kernel.seat import Request, Roster, SeatId, SeatSpec, Wish
from konkordat.protocol.seats.machine import Seats

FEW: Final = 10
MANY: Final = 10_000
VENUES: Final = 1_000  # each with a seat
DECIDED: Final = 400  # after the granted ones; their median counts
MINUTE_MS: Final = 60_000
ME: Final = Origin("zurich.1")
SEAT: Final = SeatId("acme/venues/1")
ROOM: Final = Resource(Tenant("acme"), "room/1")


async def measure_deciding(setting: Setting) -> Section:
    """The machine that decides, and a node, on one resource with 10 and with 10 000 granted claims."""
    setting.say(f"{FEW} and {MANY} granted claims")
    apart = _ratio(partial(_claims, step=MINUTE_MS))
    same = _ratio(partial(_claims, step=0), capacity=2 * MANY)
    setting.say(f"a node with {FEW} and {MANY} registrations for one session")
    few_us, many_us = (
        registering_us(setting.folder / str(present), present, DECIDED) for present in (FEW, MANY)
    )
    setting.say(f"a node with {VENUES} seats")
    seated_us = registering_us(setting.folder / "seats", FEW, DECIDED, VENUES)
    return Section(
        "deciding",
        "Cost of deciding one claim, with few and with many granted ones",
        (
            Figure("few_us", f"{FEW} granted", apart[0], "µs"),
            Figure("many_us", f"{MANY} granted", apart[1], "µs"),
            below("ratio", "ratio, one after the other in a room", apart[1] / apart[0], 2.0, "×"),
            below("same_ratio", "ratio, seats of one session", same[1] / same[0], 2.0, "×"),
            Figure("node_few_us", f"a whole node, {FEW} registrations", few_us, "µs"),
            Figure("node_many_us", f"a whole node, {MANY} registrations", many_us, "µs"),
            below("node_ratio", "ratio, a whole node", many_us / few_us, 2.0, "×"),
            below("seats_ratio", f"ratio, with {VENUES} more seats", seated_us / few_us, 2.0, "×"),
        ),
        f"Medians of {DECIDED} decisions, by the machine alone, and by a node with a SQLite store: processor time from "
        "the command to its answer, one registration a commit.",
    )


def _ratio(claims: partial[Iterable[Claim]], capacity: int = 1) -> tuple[float, float]:
    few, many = (_median_us(claims, granted, capacity) for granted in (FEW, MANY))
    return few, many


def _median_us(claims: partial[Iterable[Claim]], granted: int, capacity: int) -> float:
    seats = Seats(ME, Roster(1, (ME,)))
    seats.establish(SeatSpec(SEAT, node_of(ME)))
    seats.reached({})
    seats.due(10_000, {})
    took: list[float] = []
    for number, claim in enumerate(claims(granted + DECIDED)):
        seats.reached({ME: number + 1})
        began = time.perf_counter()
        seats.decide(SEAT, [Request((Wish(claim),))], {ROOM: capacity})
        if number >= granted:
            took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def _claims(count: int, step: int) -> Iterable[Claim]:
    for number in range(count):
        id = ClaimId(record_key("acme", "sessions", f"{number:08d}"), "slot")
        start = number * step
        yield Claim(id, ROOM, start, start + MINUTE_MS, 1, Stamp(Hlc(number + 1), ME))
