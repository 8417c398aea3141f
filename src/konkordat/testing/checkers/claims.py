"""I3: nothing scarce is promised twice. Over everything that was ever told by any node, in answers, reads and the feed:

    capacity    claims told as confirmed never exceed what there is at any instant, as long as their owners keep them
    reason      nobody is denied a place because of what is not in its way
    constancy   what was told as confirmed becomes nothing else but by its owner, its end or what replaced it
    finality    no later term leaves out what the holder of an earlier one said to be final
    decision    after healing every claim is decided whose seat has a majority of its members
    index       what a node tells in the end is what the pure oracle makes of its log
    memory      a node that starts again knows the same places to be taken

What excuses a change is looked for in the logs and not in decisions: a later write of the owner, made before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Group, NodeName, Origin, RecordKey
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.kernel.seat import Decide, candidates
from konkordat.replica.claims import SETTLED
from konkordat.replica.domain import Domain
from konkordat.replica.rosters import Governed
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import (
    Agreed,
    Constituted,
    DiskChanged,
    Entry,
    Final,
    History,
    Read,
    Started,
    Told,
    Wrote,
)
from konkordat.testing.oracle import entries_of, most_at_once
from konkordat.testing.rulings import (
    HELD,
    Log,
    Row,
    Seat,
    as_row,
    index_of,
    lives_by_majority,
    rosters_of,
    seats_of,
)

NAME = "I3"
OVER = (ClaimState.RELEASED, ClaimState.EXPIRED)


def check(history: History, domain: Domain) -> list[Violation]:
    """Everything that was told of claims, in the order in which it was."""
    if not any(isinstance(h, Constituted) for h in history):
        return []
    domain = Governed(domain)  # changes of rosters are claims, too
    finals = [h for h in history if isinstance(h, Final)]
    logs = Logs(history, finals, domain)
    told = list(told_in(history))
    found = [*_too_many(told, logs), *_same_version(logs)]
    if not _much_is_lost(history, logs):
        found += [*_without_reason(told, logs), *_changed(history, told, logs)]
    if (
        not logs.has_two_first
    ):  # else whoever has both has stopped deciding, at whatever point that was
        for final, expected in _with_oracle(finals, domain):
            found += _unlike_oracle(final, expected, domain, logs)
    return [Violation(NAME, what) for what in found]


# What was told -----------------------------------------------------------------------------------


class Telling(NamedTuple):
    """A node told something of a claim: in a commit, to a reader or in an answer."""

    at_us: int
    node: NodeName
    in_order: bool  # as its commits are; an answer is told later than what it tells was true
    decided: DecidedClaim


def told_in(history: History) -> Iterator[Telling]:
    """All that was told of claims that take something."""
    for h in history:
        if isinstance(h, Wrote | Read | Told):
            for decided in h.claims:
                if decided.claim.quantity and SETTLED not in decided.claim.id.part:
                    yield Telling(h.at_us, h.node, not isinstance(h, Told), decided)


def base(id: ClaimId) -> ClaimId:
    """The claim that a place belongs to which it still holds."""
    return ClaimId(id.owner, id.part.removesuffix(HELD))


class Logs:
    """What all logs together say, and when each batch was first on any disk."""

    def __init__(self, history: History, finals: Iterable[Final], domain: Domain) -> None:
        self.domain = domain
        self.made_us: dict[tuple[Origin, int], int] = {}
        self._capacities: dict[Resource, list[tuple[int, int]]] = {}  # since when, how much
        self.latest_ms: list[
            tuple[int, int]
        ] = []  # when, and the latest that any clock said by then
        self._read(history)
        rows = {(b.origin, b.seq): b for final in finals for b in final.batches}
        self.entries = entries_of(rows[at] for at in sorted(rows))
        self.of_owner: dict[RecordKey, list[Entry]] = {}
        self.replaced_us: dict[ClaimId, int] = {}  # when somebody else first wished to take it over
        self.waiting: set[ClaimId] = set()  # claims that were ever asked again after a denial
        self.expires_ms: dict[tuple[ClaimId, Stamp], int] = {}
        self.wished: dict[ClaimId, list[Claim]] = {}  # every place that a claim ever asked for
        self.together: dict[Stamp, list[Claim]] = {}
        for entry in self.entries:
            self._note(entry)
        self.frontier: dict[Origin, int] = {}
        for origin, seq in rows:
            self.frontier[origin] = max(self.frontier.get(origin, 0), seq)
        self.seats = seats_of(self.entries, self.frontier)
        # By version, oldest first; more than one only where two nodes said first rosters apart.
        self.rosters = rosters_of(self.entries, self.seats)
        self.living = {h.node: h.origin for h in history if isinstance(h, Started)}
        self.agreed = any(isinstance(h, Agreed) for h in history)

    @property
    def has_two_first(self) -> bool:
        """Nodes that did not know of each other said two."""
        return len(self.rosters.get(1, ())) > 1

    def _read(self, history: History) -> None:
        latest = 0
        for h in history:
            if isinstance(h, Wrote):
                for batch in h.batches:
                    self.made_us.setdefault((batch.origin, batch.seq), h.at_us)
                for resource, capacity in h.capacities.items():
                    self._capacities.setdefault(resource, []).append((h.at_us, capacity))
                if h.now_ms > latest:
                    latest = h.now_ms
                    self.latest_ms.append((h.at_us, latest))

    def _note(self, entry: Entry) -> None:
        groups = self.domain.claim_groups(entry.key.collection)
        if not groups:
            return
        self.of_owner.setdefault(entry.key, []).append(entry)
        if entry.life % 2 == 0:
            return
        record = alone(entry)
        for claim in self.domain.claims(record):
            wanted = self.domain.wanted(record, claim)
            self.wished.setdefault(claim.id, []).extend((claim, *wanted.alternatives))
            if wanted.together:
                self.together.setdefault(claim.stamp, []).extend((claim, *wanted.alternatives))
            for id in wanted.replaces:
                at = self.made_us.get((entry.stamp.origin, entry.seq), 0)
                self.replaced_us[id] = min(self.replaced_us.get(id, at), at)
            if wanted.waits:
                self.waiting.add(claim.id)
            if wanted.expires_ms:
                self.expires_ms[claim.id, claim.stamp] = wanted.expires_ms

    def may_be_over(self, claim: Claim, at_us: int) -> bool:
        """True if by then anything had happened for which the claim's place may be let go."""
        id = base(claim.id)
        if self.replaced_us.get(id, at_us + 1) <= at_us:
            return True
        expires_ms = self.expires_ms.get((id, claim.stamp), 0)
        if expires_ms and self._clock_by(at_us) >= expires_ms:
            return True
        own = next((e for e in self.of_owner.get(id.owner, ()) if e.stamp == claim.stamp), None)
        if own is None:
            return True  # the wish itself is in no log any more: all disks that had it were lost
        return any(
            self.made_us.get((entry.stamp.origin, entry.seq), 0) <= at_us
            for entry in self.of_owner.get(id.owner, ())
            if entry.stamp != claim.stamp and self._matters(entry, own)
        )

    def _clock_by(self, at_us: int) -> int:
        return max((ms for when, ms in self.latest_ms if when <= at_us), default=0)

    def _matters(self, entry: Entry, own: Entry) -> bool:
        """True if a write may have ended the wish of another: it is not simply overwritten by that."""
        if entry.life > own.life:
            return True
        if entry.life < own.life:
            return False
        relevant = self.domain.claim_groups(entry.key.collection) & {Group(g) for g in entry.fields}
        return bool(relevant) and (
            entry.stamp > own.stamp or not relevant <= {Group(g) for g in own.fields}
        )

    def most(self, resource: Resource, at_us: int) -> int:
        """The most that there ever was of a resource until then, at any node."""
        known = self._capacities.get(resource, ())
        return max([self.domain.capacity(None), *[most for when, most in known if when <= at_us]])


def alone(entry: Entry) -> Record:
    """The record that one write makes by itself."""
    fields = {Group(g): Register(entry.stamp, value) for g, value in entry.fields.items()}
    return Record(entry.key, entry.life, fields, entry.stamp, entry.stamp, entry.actor)


# Capacity ----------------------------------------------------------------------------------------


def _too_many(told: Iterable[Telling], logs: Logs) -> Iterator[str]:
    """Sweep over each place as it is first told to be confirmed, together with those that are surely kept."""
    kept: dict[Resource, dict[Claim, None]] = {}
    seen: set[Claim] = set()
    latest: dict[ClaimId, Stamp] = {}
    for telling in told:
        claim = _as_own(telling.decided.claim)
        latest[claim.id] = max(latest.get(claim.id, claim.stamp), claim.stamp)
        if telling.decided.state is not ClaimState.CONFIRMED or claim in seen:
            continue
        seen.add(claim)
        on = kept.setdefault(claim.resource, {})
        rivals = [c for c in on if c.id != claim.id and c.overlaps(claim)]
        for rival in rivals:
            # A later wish may be in no log any more, its disks being lost, and was told of all the same.
            if latest[rival.id] > rival.stamp or logs.may_be_over(rival, telling.at_us):
                del on[rival]
        sure = [_cut(c, claim) for c in rivals if c in on]
        most = logs.most(claim.resource, telling.at_us)
        if most_at_once([*sure, claim]) > max(most, 0) and not logs.may_be_over(
            claim, telling.at_us
        ):
            others = ", ".join("/".join((*c.id.owner, c.id.part)) for c in sure) or "nobody"
            yield (
                f"{telling.node} tells {'/'.join(claim.id.owner)} of {claim.resource.name} from "
                f"{claim.start_ms} to {claim.until_ms} as confirmed, beside {others}: {most} at most"
            )
        on[claim] = None


def _as_own(claim: Claim) -> Claim:
    return Claim(
        base(claim.id), claim.resource, claim.start_ms, claim.until_ms, claim.quantity, claim.stamp
    )


def _cut(claim: Claim, to: Claim) -> Claim:
    """Of a claim, the part during another."""
    start, until = max(claim.start_ms, to.start_ms), min(claim.until_ms, to.until_ms)
    return Claim(claim.id, claim.resource, start, until, claim.quantity, claim.stamp)


def _same_version(logs: Logs) -> Iterator[str]:
    """Rosters of one version, of which each may have a majority. The first are said and not decided: two of them stop
    everything."""
    for version, said in logs.rosters.items():
        if version > 1 and len(said) > 1:
            yield f"{len(said)} rosters were granted version {version}"


# Reasons -----------------------------------------------------------------------------------------


def _without_reason(told: Iterable[Telling], logs: Logs) -> Iterator[str]:
    """Who is denied a place is told what stands there; that must have been wished there, at that time, by somebody. Of
    what goes together, one may be in the way of all."""
    seen: set[DecidedClaim] = set()
    for decided in [t.decided for t in told if t.decided.state is ClaimState.DISPLACED]:
        if decided in seen or not decided.against or decided.claim.id in decided.against:
            continue
        seen.add(decided)
        bundle = logs.together.get(decided.claim.stamp, ())
        rivals = [c for id in decided.against for c in logs.wished.get(id, ())]
        if not any(_in_the_way(r, c) for r in rivals for c in (decided.claim, *bundle)):
            names = ", ".join("/".join((*id.owner, id.part)) for id in decided.against)
            yield f"{_name(decided)} is displaced because of {names}, which is not there"


def _in_the_way(one: Claim, other: Claim) -> bool:
    return one.resource == other.resource and one.overlaps(other)


# Constancy ---------------------------------------------------------------------------------------


def _changed(history: History, told: Iterable[Telling], logs: Logs) -> Iterator[str]:
    """Per wish: one place; never denied by anybody; and nobody takes back what it told."""
    replaced = {(h.node, h.at_us) for h in history if isinstance(h, DiskChanged)}
    confirmed: dict[tuple[ClaimId, Stamp], DecidedClaim] = {}
    displaced: dict[tuple[ClaimId, Stamp], Telling] = {}
    at_node: dict[tuple[NodeName, ClaimId], DecidedClaim] = {}
    changes = sorted(replaced, key=lambda change: change[1])
    for telling in told:
        # What was told in the same microsecond was told before: the node is down after it.
        while changes and changes[0][1] < telling.at_us:
            node, _ = changes.pop(0)
            at_node = {key: d for key, d in at_node.items() if key[0] != node}
        decided = telling.decided
        if decided.claim.id.part.endswith(HELD):
            continue
        wish = (decided.claim.id, decided.claim.stamp)
        if decided.state is ClaimState.CONFIRMED:
            first = confirmed.setdefault(wish, decided)
            if _place(first) != _place(decided):
                yield f"{_name(decided)} is confirmed for {_place(first)} and for {_place(decided)}"
        elif decided.state is ClaimState.DISPLACED:
            displaced.setdefault(wish, telling)
        before = at_node.get((telling.node, decided.claim.id))
        if before is not None:
            yield from _taken_back(before, telling, logs)
        if telling.in_order:
            at_node[telling.node, decided.claim.id] = decided
    for both in sorted(confirmed.keys() & displaced.keys()):
        if both[0] not in logs.waiting:
            who = displaced[both].node
            yield f"{who} tells {_name(confirmed[both])} as displaced, which was confirmed elsewhere"


def _taken_back(before: DecidedClaim, telling: Telling, logs: Logs) -> Iterator[str]:
    now = telling.decided
    same = before.claim.stamp == now.claim.stamp
    if not same or before.state is not ClaimState.CONFIRMED or now.state is ClaimState.CONFIRMED:
        return
    if not telling.in_order:
        return
    if logs.may_be_over(now.claim, telling.at_us):
        return  # also as tentative: the decision on a later wish may be here before that wish
    yield f"{telling.node} told {_name(now)} as confirmed, and then as {now.state}"


def _much_is_lost(history: History, logs: Logs) -> bool:
    """True if what was final may be on no disk any more: of a majority, or, decided at home, of one."""
    lost = _lost_origins(history)
    (names,) = [h.members for h in history if isinstance(h, Constituted)]
    first = {h.node: h.origin for h in reversed(history) if isinstance(h, Started)}
    # The first roster may be on no disk any more, and another first one have been said since.
    rosters = [{first[name] for name in names if name in first}]
    rosters += [set(members) for said in logs.rosters.values() for members in said]
    by_home = any(term.by_home for seat in logs.seats.values() for term in seat.terms.values())
    at_home = by_home and any(members & lost for members in rosters)
    return at_home or any(len(members & lost) * 2 > len(members) for members in rosters)


def _lost_origins(history: History) -> set[Origin]:
    """The incarnations of which a disk was lost, or had an old copy put in its place."""
    present: dict[NodeName, Origin] = {}
    lost: set[Origin] = set()
    for h in history:
        if isinstance(h, Started):
            present[h.node] = h.origin
        elif isinstance(h, DiskChanged) and h.node in present:
            lost.add(present[h.node])
    return lost


def _place(decided: DecidedClaim) -> tuple[str, int, int, int]:
    claim = decided.claim
    return (claim.resource.name, claim.start_ms, claim.until_ms, claim.quantity)


def _name(decided: DecidedClaim) -> str:
    return "/".join((*decided.claim.id.owner, decided.claim.id.part))


# The end -----------------------------------------------------------------------------------------


class Expected(NamedTuple):
    """What the oracle makes of a log."""

    seats: Mapping[str, Seat]
    rows: Mapping[ClaimId, Row]


def _with_oracle(finals: Iterable[Final], domain: Domain) -> Iterator[tuple[Final, Expected]]:
    """Every node with what is expected of it, found once for those that have the same in the end, as most do."""
    found: list[tuple[Final, Expected]] = []
    for final in finals:
        same = [e for other, e in found if _has_the_same(other, final)]
        if not same:
            log = Log(entries_of(final.batches), final.frontier, final.records)
            same = [Expected(log.seats, index_of(log, domain))]
        found.append((final, same[0]))
    yield from found


def _has_the_same(one: Final, other: Final) -> bool:
    """As far as the oracle looks."""
    return (one.batches, one.frontier, one.records) == (
        other.batches,
        other.frontier,
        other.records,
    )


def _unlike_oracle(final: Final, expected: Expected, domain: Domain, logs: Logs) -> Iterator[str]:
    seats, wanted = expected
    for name, seat in seats.items():
        for term, holder, seq in seat.undone:
            yield f"batch {seq} of {holder} was final in term {term} of {name}, and is void"
    told = {
        id: as_row(d.claim, str(d.state), d.against)
        for id, d in final.claims.items()
        if SETTLED not in id.part
    }
    for id in sorted(wanted.keys() | told.keys()):
        if wanted.get(id) != told.get(id) and not _is_homeless(id, final, domain, wanted, told):
            yield f"{final.node} tells {id} as {told.get(id)}, its log makes {wanted.get(id)}"
    for what in final.forgotten:
        yield f"{final.node}, started again, would remember otherwise {what}"
    if not logs.agreed or final.quarantined:
        return
    for id, decided in final.claims.items():
        if decided.state is ClaimState.TENTATIVE and _could_be_decided(decided, final, seats, logs):
            yield f"{final.node} still tells {id} as tentative, and its seat has a majority"
        elif (
            SETTLED not in id.part
            and decided.state in OVER
            and not _may_be_over_in_the_end(decided, logs)
        ):
            yield f"{final.node} tells {id} as {decided.state}, and nobody let it go"


def _is_homeless(
    id: ClaimId,
    final: Final,
    domain: Domain,
    *indices: Mapping[ClaimId, Row],
) -> bool:
    """True if a place is in a room that was deleted meanwhile: a node that started since cannot tell who decided there,
    and stays with less than it knew. Nobody gets a place there any more."""
    rows = [index[key] for index in indices for key in (id, base(id)) if key in index]
    resources = [Resource(id.owner.tenant, row.place[0]) for row in rows]
    return any(domain.seat(resource, final.records.get) is None for resource in resources)


def _may_be_over_in_the_end(decided: DecidedClaim, logs: Logs) -> bool:
    """Its owner still wishes it: so its time is over, or something replaced it."""
    wish = (decided.claim.id, decided.claim.stamp)
    return wish in logs.expires_ms or decided.claim.id in logs.replaced_us


def _could_be_decided(
    decided: DecidedClaim, final: Final, seats: Mapping[str, Seat], logs: Logs
) -> bool:
    """True if the latest roster has a majority, and so have those before it, back to the one under which the seat was
    held last: only their members know what is final there."""
    spec = logs.domain.seat(decided.claim.resource, final.records.get)
    if spec is None or not logs.rosters:
        return False
    seat, living = seats.get(spec.id, Seat()), set(logs.living.values())
    last = seat.counted[-1][0] if seat.counted else None
    since = last.roster if last is not None else spec.roster
    concerned = [said[0] for version, said in logs.rosters.items() if version >= since]
    if not all(lives_by_majority(roster, living) for roster in concerned):
        return False
    roster = concerned[-1]
    if not (last.by_home if last is not None else spec.decide is Decide.HOME):
        return True
    if last is None:
        return candidates(spec.id, spec.home, roster)[0] in living
    gave_up = any(handed[:2] == (last.number, last.holder) for handed in seat.handed)
    return last.holder in living and last.holder in roster and not gave_up
