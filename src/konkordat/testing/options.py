"""What a run is made of, all of it drawn from its seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from konkordat.kernel.seat import Decide
from konkordat.protocol.seats.patience import TAKEOVER_AFTER_MS, SeatSettings
from konkordat.testing.randomness import Source

NODES: Final = ("zurich", "geneva", "basel", "lugano", "bern")

# What goes wrong, by what is there to go wrong with. A profile is a set of these.
NETWORK_FAULTS: Final = (
    "split",
    "one way",
    "bridge",
    "flapping",
    "isolated",
    "clogged",
    "loss",
    "duplicates",
    "reordering",
    "slow",
    "narrow",
    "damage",
)
PROCESS_FAULTS: Final = ("kill", "power", "io error", "pause")
CLOCK_FAULTS: Final = ("skew", "jump", "jump a day")
DISK_FAULTS: Final = ("disk lost", "restored", "restored untold")
HOSTILE_FAULTS: Final = ("poison", "newer release", "broken chain")
# Not among all faults: while a record is wrong, the judge of convergence must look away.
REPAIR_FAULTS: Final = ("wrong record", "split", "loss", "kill", "pause")
# What moves seats from node to node.
SEAT_FAULTS: Final = ("split", "isolated", "one way", "bridge", "clogged", "slow", "pause", "kill")
ALL_FAULTS: Final = NETWORK_FAULTS + PROCESS_FAULTS + CLOCK_FAULTS + DISK_FAULTS + HOSTILE_FAULTS
PROFILES: Final[Mapping[str, tuple[str, ...]]] = {
    "quiet": (),  # Galera's last bugs showed without any fault
    "network": NETWORK_FAULTS,
    "process": PROCESS_FAULTS,
    "clock": CLOCK_FAULTS,
    "disk": DISK_FAULTS,
    "hostile": HOSTILE_FAULTS,
    "repair": REPAIR_FAULTS,
    "seats": SEAT_FAULTS,
    "all": ALL_FAULTS,
}


LONG_OPERATIONS: Final = 5_000
LONG_LEAP_MS: Final = 2 * 3_600_000
DOMAINS: Final = ("trial", "schedule")


class Options(msgspec.Struct, frozen=True):
    """One run. Printed first, so that a log says what it is the log of."""

    seed: int
    domain: str  # "trial" or "schedule": whose commands the clients send
    profile: str
    faults: tuple[str, ...]
    nodes: int
    clients: int
    tenants: int
    operations: int
    think_ms: int  # between two operations of a client, typically
    window_ms: int  # how long faults stay before they are drawn anew, typically
    quiet_windows: float  # share of windows without a fault
    faults_at_once: int
    second_fault: bool  # one more while the cluster recovers
    same_millisecond: bool  # clients act in step, so that stamps collide
    items: int  # records that a tenant's clients fight for
    leap_ms: int  # now and then the whole world sleeps for about so long; 0 = it does not
    backlog: int  # writes that one node makes while cut off; 0 = no such thing
    members: int = 0  # so many nodes, the first by name, decide by seats; 0 = nobody does, the earlier keeps its place
    seats: int = 1  # of a tenant, each at home at another node
    decide: str = Decide.MAJORITY.value
    takeover_ms: int = TAKEOVER_AFTER_MS  # short in most runs, so that seats move often
    deadline_ms: int = 120_000  # for agreement after the last fault
    orders_ms: int = (
        0  # between two orders of operators about seats and rosters, typically; 0 = there are none
    )

    @property
    def homes(self) -> tuple[str, ...]:
        """Where a tenant's seats are at home."""
        return tuple([NODES[(self.seed + n) % self.nodes] for n in range(self.seats)])

    @property
    def patience(self) -> SeatSettings:
        """How long members wait before they stand for a seat, in the proportions of production."""
        whole = SeatSettings()
        return SeatSettings(
            self.takeover_ms,
            whole.rank_step_ms * self.takeover_ms // TAKEOVER_AFTER_MS,
            whole.election_ms * self.takeover_ms // TAKEOVER_AFTER_MS,
        )

    def text(self) -> str:
        """One line for people."""
        told = " ".join(f"{k}={v}" for k, v in msgspec.to_builtins(self).items() if k != "faults")
        return f"{told} faults={','.join(self.faults) or 'none'}"


def drawn(
    seed: int,
    nodes: int = 0,
    profile: str = "",
    operations: int = 0,
    backlog: int = 0,
    domain: str = "",
) -> Options:
    """The options of a seed; what is given overrides what would be drawn."""
    source = Source(f"options/{seed}")
    chosen = source.weighted({"quiet": 1, "all": 4, "one kind": 3, **dict.fromkeys(_KINDS, 0.6)})
    faults = PROFILES.get(chosen, ())
    if chosen == "one kind":
        faults = (source.choice(ALL_FAULTS),)
    if profile:
        chosen, faults = profile, PROFILES[profile]
    count = _or_drawn(nodes, source.choice((3, 3, 4, 5)))
    by_seats, operators = source.fork("seats"), source.fork("operators")
    orders_ms = operators.choice(_ORDERS_MS)
    if orders_ms and len(faults) > 1 and chosen != "repair" and operators.chance(0.6):
        faults = (*faults, "disk lost")  # whoever lost it is to be replaced
    return Options(
        seed=seed,
        domain=domain or source.fork("domain").choice(("trial", "trial", "schedule")),
        profile=chosen,
        faults=faults,
        nodes=count,
        clients=source.choice((3, 4, 6, 8)),
        tenants=source.choice((1, 2, 2, 3)),
        operations=_or_drawn(operations, 400),
        think_ms=source.choice((20, 60, 150)),
        window_ms=source.choice((1_000, 3_000, 6_000)),
        quiet_windows=0.25,
        faults_at_once=source.choice((1, 2, 3)),
        second_fault=source.chance(0.2),
        same_millisecond=source.chance(0.3),
        items=source.choice((2, 6, 20)),
        leap_ms=0,
        backlog=_or_drawn(backlog, source.choice((0, 0, 0, 0, 600))),
        members=_members(by_seats, count),
        seats=by_seats.choice((1, 1, 2, 3)),
        decide=by_seats.weighted({Decide.MAJORITY.value: 5, Decide.HOME.value: 1}),
        takeover_ms=by_seats.choice((300, 500, 1_000, TAKEOVER_AFTER_MS)),
        orders_ms=orders_ms,
    )


def _members(source: Source, nodes: int) -> int:
    """Mostly all nodes; now and then some of them; seldom is there no roster at all."""
    some = source.randint(1, nodes - 1)
    return int(source.weighted({str(nodes): 7, str(some): 2, "0": 1}))


def drawn_long(seed: int) -> Options:
    """Five nodes, 5 000 operations over about 24 hours, most of which the world sleeps through."""
    short = drawn(seed, nodes=5, operations=LONG_OPERATIONS)
    think_ms = 60  # with this many clients at work a quarter of a minute a burst
    return msgspec.structs.replace(short, think_ms=think_ms, leap_ms=LONG_LEAP_MS, backlog=0)


def _or_drawn(given: int, drawn_: int) -> int:
    return given or drawn_


_ORDERS_MS: Final = (0, 0, 0, 0, 0, 0, 400, 1_000, 1_000, 3_000)
_KINDS: Final = ("network", "process", "clock", "disk", "hostile", "repair", "seats")
