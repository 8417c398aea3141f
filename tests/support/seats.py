"""A few nodes with the machine of seats, told by hand who hears what: transcripts of what can happen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import NodeName, Origin, Tenant, node_of, record_key
from konkordat.kernel.seat import At, Entry, Request, Roster, SeatId, SeatSpec, Wish
from konkordat.protocol.seats.machine import Seats, rebuilt
from konkordat.protocol.seats.patience import TAKEOVER_AFTER_MS

A, B, C, D = Origin("a.1"), Origin("b.1"), Origin("c.1"), Origin("d.1")
ROSTER = Roster(1, (A, B, C))
SEAT = SeatId("venue/v")
SPEC = SeatSpec(SEAT, NodeName("a"))
ROOM = Resource(Tenant("t"), "room")
HALL = Resource(Tenant("t"), "hall")
CAPACITY = {ROOM: 1, HALL: 3}


def claim(
    name: str, start: int, until: int, resource: Resource = ROOM, at: int = 1, quantity: int = 1
) -> Claim:
    id = ClaimId(record_key("t", "sessions", name), "slot")
    return Claim(id, resource, start, until, quantity, Stamp(Hlc(at), A))


def wish(*places: Claim, replaces: Sequence[Claim] = ()) -> Wish:
    return Wish(places[0], tuple(places[1:]), tuple(c.id for c in replaces))


def wants(*places: Claim) -> Request:
    return Request((wish(*places),))


class Nodes:
    """Nodes on one clock. Logs are shared by `sync`, acknowledgements by `tell`; nothing moves by itself."""

    def __init__(
        self, origins: Sequence[Origin] = (A, B, C), roster: Roster = ROSTER, spec: SeatSpec = SPEC
    ) -> None:
        self.now_ms = 100_000
        self.roster, self.spec = roster, spec
        self.logs: dict[Origin, dict[Origin, list[tuple[Entry, ...]]]] = {}
        self.seats: dict[Origin, Seats] = {}
        for origin in origins:
            self.logs[origin] = {}
            self.seats[origin] = self._new(origin)

    def _new(self, origin: Origin) -> Seats:
        seats = Seats(origin, self.roster)
        seats.establish(self.spec)
        return seats

    def frontier(self, node: Origin) -> dict[Origin, int]:
        return {origin: len(log) for origin, log in self.logs[node].items()}

    def write(self, node: Origin, entries: Iterable[Entry]) -> list[Entry]:
        """Commit what the machine of a node said."""
        written = list(entries)
        if written:
            self.logs[node].setdefault(node, []).append(tuple(written))
            self.seats[node].reached(self.frontier(node))
        return written

    def pull(self, node: Origin, source: Origin) -> None:
        """A node gets all that another has."""
        for origin, log in self.logs[source].items():
            mine = self.logs[node].setdefault(origin, [])
            while len(mine) < len(log):
                mine.append(log[len(mine)])
                for entry in mine[-1]:
                    self.seats[node].applied(entry, At(origin, len(mine)))
        self.seats[node].reached(self.frontier(node))

    def sync(self, *nodes: Origin) -> None:
        for node in nodes:
            for source in nodes:
                self.pull(node, source)

    def tell(self, to: Origin, by: Origin, frontier: Mapping[Origin, int] | None = None) -> None:
        self.seats[to].acknowledged(by, self.frontier(by) if frontier is None else frontier)

    def act(self, node: Origin, *heard: Origin) -> list[Entry]:
        """A node does what is due, having just heard some others."""
        return self.write(
            node, self.seats[node].due(self.now_ms, dict.fromkeys(heard, self.now_ms))
        )

    def rounds(self, *nodes: Origin, count: int = 4) -> None:
        """Everybody named hears everybody named, for a while."""
        for _ in range(count):
            self.now_ms += 100
            self.sync(*nodes)
            for to in nodes:
                for by in nodes:
                    self.tell(to, by)
            for node in nodes:
                self.act(node, *nodes)
        self.sync(*nodes)

    def silence(self) -> None:
        """Long enough for patience to end."""
        self.now_ms += 2 * TAKEOVER_AFTER_MS

    def decide(self, node: Origin, *requests: Request) -> list[Entry]:
        return self.write(node, self.seats[node].decide(SEAT, requests, CAPACITY))

    def told(self, node: Origin, claim: Claim) -> ClaimState:
        return self.seats[node].state(SEAT, claim.id, claim.stamp).state

    def restart(self, node: Origin) -> None:
        entries = [
            (entry, At(origin, seq))
            for origin, log in self.logs[node].items()
            for seq, batch in enumerate(log, 1)
            for entry in batch
        ]
        self.seats[node] = rebuilt(lambda: self._new(node), entries, self.frontier(node))

    def holders(self, node: Origin) -> list[tuple[int, str]]:
        return [(t.term, node_of(t.holder)) for t in self.seats[node].tenures(SEAT)]


def elected(*origins: Origin) -> Nodes:
    """Nodes of which the home node holds the seat, and everybody knows."""
    nodes = Nodes(origins or (A, B, C))
    nodes.rounds(*(origins or (A, B, C)))
    assert nodes.seats[A].deciding(SEAT)
    return nodes
