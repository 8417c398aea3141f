"""What may be told of claims, computed from the log alone, in the plainest way there is.

No machine, no ledger, no increments: read what stands in the logs, find the terms that count, go through their
decisions in order, and take of each claim the last that is final. What a node tells must equal this.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from konkordat.kernel.claim import Claim, ClaimId
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Origin, RecordKey, record_key
from konkordat.kernel.record import Record
from konkordat.replica.domain import Domain
from konkordat.testing.history import Entry

UNBOUNDED = 1 << 62
SYSTEM, SEATS, DECISIONS, ROSTERS = "_system", "seats", "decisions", "rosters"
CHANGES = "roster_changes"
# The record of a change is named after what comes of it, which only the node knows that is asked for one.
ANY_CHANGE = record_key(SYSTEM, CHANGES, "any")
ROSTER_SEAT, VERSION = "_system/rosters", "version"
HELD = "@held"

Key = tuple[int, str]  # a term and its holder
Records = Mapping[RecordKey, Record]
Place = tuple[str, int, int, int]  # resource, from, until, how much


class Row(NamedTuple):
    """What may be told of a claim."""

    state: str  # released stands for expired too: which of the two it is depends on the clock of who tells it
    stamp: Stamp
    place: Place
    against: frozenset[tuple[Any, ...]] = frozenset()


class Ruled(NamedTuple):
    """A decision about one claim."""

    seq: int
    verdict: str
    stamp: Stamp
    place: Place
    against: frozenset[tuple[Any, ...]]


class Term:
    """One term of one seat, as its holder's log tells."""

    def __init__(self, opening: Mapping[str, Any], seq: int, holder: str) -> None:
        self.opened, self.holder = seq, holder
        self.number = int(opening["term"])
        self.last: Mapping[str, Any] | None = opening["last"]
        self.roster = int(opening["roster"])  # version under which it was opened
        self.by_home = opening["decide"] == "home"
        self.rulings: list[tuple[int, Mapping[str, Any]]] = []
        self.told_final = 0

    @property
    def final_upto(self) -> int:
        """Up to where its own decisions are final."""
        return UNBOUNDED if self.by_home else self.told_final


class Seat:
    """All that the logs say of one seat."""

    def __init__(self) -> None:
        self.terms: dict[Key, Term] = {}
        self.counted: list[
            tuple[Term, int]
        ] = []  # terms that count, oldest first, each with its cut-off
        self.ruled: dict[tuple[Any, ...], list[Ruled]] = {}  # final decisions by claim, in order
        self.resources: set[tuple[str, str]] = set()  # that it ever decided of
        self.void = 0  # decisions that do not count
        self.undone: list[tuple[int, str, int]] = []  # final ones among them
        self.handed: list[tuple[int, str, str]] = []  # a term, who hands it over, to whom

    def take(self, said: Mapping[str, Any], origin: str, seq: int) -> None:
        """An entry, in the order of its log."""
        key = (int(said["term"]), origin)
        if said["is"] == "opening":
            self.terms.setdefault(key, Term(said, seq, origin))
        elif said["is"] == "decision" and key in self.terms:
            self.terms[key].rulings += [(seq, ruling) for ruling in said["rulings"]]
            of = [ruling["claim"]["resource"] for ruling in said["rulings"]]
            self.resources.update((tenant, name) for tenant, name in of)
        elif said["is"] == "finality" and key in self.terms:
            term = self.terms[key]
            term.told_final = max(term.told_final, int(said["upto"]))
        elif said["is"] == "handover":
            self.handed.append((key[0], origin, said["to"]))

    def fold(self, frontier: Mapping[Origin, int]) -> None:
        """Find the terms that count, and what they decided finally."""
        for key in sorted(self.terms, reverse=True):
            chain = self._chain(self.terms[key], frontier)
            if chain is not None:
                self.counted = chain[::-1]
                break
        final_from = max((n for n, (t, _) in enumerate(self.counted) if t.final_upto), default=-1)
        counted = 0
        for number, (term, cutoff) in enumerate(self.counted):
            upto = cutoff if number < final_from else min(cutoff, term.final_upto)
            counted += sum(seq <= cutoff for seq, _ in term.rulings)
            for seq, ruling in term.rulings:
                if seq <= upto:
                    self.ruled.setdefault(_id(ruling["claim"]["id"]), []).append(
                        _ruled(seq, ruling)
                    )
        self.void = sum(len(term.rulings) for term in self.terms.values()) - counted
        self.undone = list(self._undone())

    def _undone(self) -> Iterator[tuple[int, str, int]]:
        """What a holder said to be final of a term, and a later term did not adopt: term, holder, batch."""
        upto = {(term.number, term.holder): cutoff for term, cutoff in self.counted}
        ruling = self.counted[-1][0].number if self.counted else 0
        for key, term in self.terms.items():
            final = [seq for seq, _ in term.rulings if seq <= term.told_final]
            if final and term.number < ruling and final[-1] > upto.get(key, 0):
                yield (*key, final[-1])

    def _chain(self, term: Term, frontier: Mapping[Origin, int]) -> list[tuple[Term, int]] | None:
        """The term and those it adopts, latest first; None if something of it is not there."""
        chain = [(term, UNBOUNDED)]
        while (link := chain[-1][0].last) is not None:
            earlier = self.terms.get((link["term"], link["holder"]))
            if earlier is None or frontier.get(Origin(link["holder"]), 0) < link["cutoff"]:
                return None
            chain.append((earlier, link["cutoff"]))
        return chain

    def last(self, claim: tuple[Any, ...]) -> Ruled | None:
        """The decision that answers its latest wish: who loses the place kept in a denied move stays denied."""
        last = None
        for ruled in self.ruled.get(claim, ()):
            kept = last is not None and last.verdict == "denied" and last.stamp != ruled.stamp
            if not (kept and ruled.verdict == "freed"):
                last = ruled
        return last

    def holds(self, claim: tuple[Any, ...]) -> Ruled | None:
        """The decision that gave the claim the place it has."""
        gave = [r for r in self.ruled.get(claim, ()) if r.verdict != "denied"]
        return gave[-1] if gave and gave[-1].verdict == "granted" else None


def _id(told: list[Any]) -> tuple[Any, ...]:
    return (*told[0], told[1])


def _ruled(seq: int, ruling: Mapping[str, Any]) -> Ruled:
    claim = ruling["claim"]
    place = (claim["resource"][1], claim["start_ms"], claim["until_ms"], claim["quantity"])
    against = frozenset(_id(id) for id in ruling["against"])
    return Ruled(seq, ruling["verdict"], Stamp(*claim["stamp"]), place, against)


def seats_of(entries: Iterable[Entry], frontier: Mapping[Origin, int]) -> dict[str, Seat]:
    """Every seat that is spoken of."""
    seats: dict[str, Seat] = {}
    in_logs = sorted(entries, key=lambda e: (e.stamp.origin, e.seq, e.position))
    for entry in in_logs:
        if entry.key.tenant == SYSTEM and entry.key.collection in (SEATS, DECISIONS):
            seat = seats.setdefault(entry.key.id, Seat())
            for said in json.loads(entry.fields["entries"]):
                seat.take(said, entry.stamp.origin, entry.seq)
    for seat in seats.values():
        seat.fold(frontier)
    return seats


def rosters_of(
    entries: Iterable[Entry], seats: Mapping[str, Seat]
) -> dict[int, list[tuple[Origin, ...]]]:
    """The rosters by version: the first was said, those after it were proposed and finally granted their version. More
    than one of a version is one too many."""
    decider = seats.get(ROSTER_SEAT, Seat())
    found: dict[int, set[tuple[Origin, ...]]] = {}
    for entry in entries:
        if entry.key.tenant != SYSTEM or "members" not in entry.fields:
            continue
        version = int(entry.key.id.partition(".")[0])
        said = entry.key.collection == ROSTERS and version == 1
        granted = entry.key.collection == CHANGES and decider.holds((*entry.key, VERSION))
        if said or granted:
            found.setdefault(version, set()).add(tuple(json.loads(entry.fields["members"])))
    return {version: sorted(found[version]) for version in sorted(found)}


class Log:
    """What a node has: its records, and what its logs say of seats, to the latest stamp of each."""

    def __init__(
        self, entries: Iterable[Entry], frontier: Mapping[Origin, int], records: Records
    ) -> None:
        listed = list(entries)
        self.seats = seats_of(listed, frontier)
        self.records = records
        self._latest: dict[Origin, int] = {}
        for entry in listed:
            stamp = entry.stamp
            self._latest[stamp.origin] = max(self._latest.get(stamp.origin, 0), stamp.hlc)

    def has(self, stamp: Stamp) -> bool:
        return self._latest.get(stamp.origin, 0) >= stamp.hlc


def index_of(log: Log, domain: Domain) -> dict[ClaimId, Row]:
    """What a node with this log tells of each claim."""
    records, seats = log.records, log.seats
    index = _on_their_way(log)
    decides = {r: name for name, seat in seats.items() for r in seat.resources}
    for record in records.values():
        for claim in domain.claims(record):
            name = _seat_name(claim, records, decides, domain) if claim.quantity else None
            index[claim.id] = row = _row(record, claim, seats.get(name or ""), domain)
            if name is None or row.state not in ("tentative", "displaced"):
                continue
            id = _id([claim.id.owner, claim.id.part])
            held = [h for seat in seats.values() if (h := seat.holds(id)) is not None]
            if held:
                part = ClaimId(claim.id.owner, claim.id.part + HELD)
                latest = max(held, key=lambda ruled: ruled.stamp)
                index[part] = Row("confirmed", latest.stamp, latest.place)
    return index


def _on_their_way(log: Log) -> dict[ClaimId, Row]:
    """Places that were given to wishes which are not here."""
    index = {}
    for seat in log.seats.values():
        for claim in seat.ruled:
            holds = seat.holds(claim)
            if holds is not None and not log.has(holds.stamp):
                *key, part = claim
                id = ClaimId(record_key(*key), part)
                index[id] = Row("confirmed", holds.stamp, holds.place)
    return index


def _seat_name(
    claim: Claim,
    records: Mapping[RecordKey, Record],
    decides: Mapping[tuple[str, str], str],
    domain: Domain,
) -> str | None:
    """The seat that ever decided of this resource; else the one that the records name."""
    tenant, resource = claim.resource
    name = decides.get((tenant, resource))
    spec = domain.seat(claim.resource, records.get) if name is None else None
    return name if spec is None else spec.id


def _row(record: Record, claim: Claim, seat: Seat | None, domain: Domain) -> Row:
    place = (claim.resource.name, claim.start_ms, claim.until_ms, claim.quantity)
    if not claim.quantity:
        return Row("confirmed", claim.stamp, place)
    last = seat.last(_id([claim.id.owner, claim.id.part])) if seat is not None else None
    if last is None or last.stamp != claim.stamp:
        return Row("tentative", claim.stamp, place)
    if last.verdict == "granted":
        return Row("confirmed", claim.stamp, last.place)
    lapsed = not last.against and bool(domain.wanted(record, claim).expires_ms)
    state = "displaced" if last.verdict == "denied" and not lapsed else "released"
    return Row(state, claim.stamp, place, last.against)


def as_row(claim: Claim, state: str, against: Iterable[ClaimId]) -> Row:
    """What a node tells, to be compared."""
    place = (claim.resource.name, claim.start_ms, claim.until_ms, claim.quantity)
    told = "released" if state == "expired" else state
    return Row(told, claim.stamp, place, frozenset(_id([id.owner, id.part]) for id in against))


def lives_by_majority(roster: Iterable[Origin], living: Iterable[Origin]) -> bool:
    """True if more than half of the members are there."""
    members = set(roster)
    return len(members & set(living)) * 2 > len(members)
