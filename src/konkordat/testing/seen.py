"""Which situations a run has met. A campaign that never met what its judges are there for has proved nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise
from typing import Final

from konkordat.kernel.claim import ClaimId, ClaimState, DecidedClaim
from konkordat.kernel.frontier import Frontier
from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.testing.history import Constituted, Entry, History, Started, Wrote
from konkordat.testing.history import Final as FinalState
from konkordat.testing.oracle import entries_of
from konkordat.testing.rulings import HELD, ROSTER_SEAT, Seat, rosters_of, seats_of

NEIGHBOURS: Final = 5  # writes of one group that are compared with each other, in order of stamps

# All of these must be above zero over a campaign.
REQUIRED: Final = (
    "equal hybrid times of two origins",
    "concurrent writes of one group",
    "three branches of one group",
    "late edit of a deleted record",
    "displaced claim in the end",
    "died between commit and answer",
    "paused between commit and answer",
    "stopped by PowerLost",
    "stopped by StoreWriteError",
    "stopped by OwnHistoryLostError",
    "second fault during recovery",
    "repeated request recognised elsewhere",
    "repeated request recognised by the same node",
    "answer lost on its way to the client",
    "told refused:idempotency_key_reused",
    "told refused:clock_fenced",
    "told refused:conflict",
    "read refused: node is behind",
    "session moved to another node",
    "foreign id tried",
    "origin_quarantined",
    "origin_released",
    "waited for stamps from the future",
    "token given up after a disk was lost",
    "backlog",
    "page cut short",
    "told refused:too_large",
    "digest_mismatch",
    "records_repaired",
    "frame refused",
    "cut off",
    "damaged",
    "held up",
    "late",
    "lost",
    "reordered",
    "repeated",
    "seat taken over",
    "void decision",
    "holder back from a pause, and followed",
    "holder died between decision and answer",
    "same place asked on both sides of a partition",
    "move denied",
    "waiting list moved up",
    "expired claim",
    "seat handed over",
    "roster changed",
    "member added",
    "member removed",
    "lost member replaced",
    "of two changes of roster one won",
    "change of roster asked of a split cluster",
    "operator told refused:roster_change_running",
    "operator told refused:no_majority",
)


def situations(history: History) -> Counter[str]:
    """What the logs of a run show, of one node that has everything."""
    seen: Counter[str] = Counter()
    finals = [h for h in history if isinstance(h, FinalState)]
    if not finals:
        return seen
    fullest = max(finals, key=lambda final: sum(final.frontier.values()))
    trail = entries_of(fullest.batches)
    seen["equal hybrid times of two origins"] = _equal_times(trail)
    seen["displaced claim in the end"] = sum(
        decided.state == "displaced" for decided in fullest.claims.values()
    )
    seen["late edit of a deleted record"] = _late_edits(trail)
    _concurrency(trail, made_on(history), seen)
    _seats(trail, fullest.frontier, seen)
    _told_of_claims(history, seen)
    return seen


def _seats(trail: Iterable[Entry], frontier: Frontier, seen: Counter[str]) -> None:
    """What the log tells of seats."""
    seats = seats_of(trail, frontier)
    _rosters(trail, seats, seen)
    for seat in seats.values():
        handed = {(number, to) for number, _by, to in seat.handed}
        for term, _ in seat.counted:
            before = term.last["term"] if term.last is not None else 0
            seen["seat handed over"] += (before, node_of(Origin(term.holder))) in handed
        lasts = [(term.holder, term.last) for term in seat.terms.values() if term.last is not None]
        seen["seat taken over"] += sum(last["holder"] != holder for holder, last in lasts)
        seen["void decision"] += seat.void


def _rosters(trail: Iterable[Entry], seats: Mapping[str, Seat], seen: Counter[str]) -> None:
    """How rosters followed each other, and which proposals lost their version to another."""
    rosters = [set(said[0]) for said in rosters_of(trail, seats).values()]
    for before, after in pairwise(rosters):
        came, gone = after - before, before - after
        again = {node_of(origin) for origin in came} & {node_of(origin) for origin in gone}
        seen["roster changed"] += 1
        seen["member added"] += bool(came) and not again
        seen["member removed"] += bool(gone) and not again
        seen["lost member replaced"] += bool(again)
    decider = seats.get(ROSTER_SEAT, Seat())
    lost = [claim[2] for claim in decider.ruled if decider.holds(claim) is None]
    beaten = [id for id in lost if int(id.partition(".")[0]) <= len(rosters)]
    seen["of two changes of roster one won"] += len(beaten)


def _told_of_claims(history: History, seen: Counter[str]) -> None:
    """What became of claims, as commits told it."""
    if not any(isinstance(h, Constituted) for h in history):
        return
    before: dict[tuple[NodeName, ClaimId], DecidedClaim] = {}
    for wrote in [h for h in history if isinstance(h, Wrote)]:
        told = {decided.claim.id: decided for decided in wrote.claims}
        for id, now in told.items():
            seen["expired claim"] += now.state is ClaimState.EXPIRED
            kept = ClaimId(id.owner, id.part + HELD)
            was = before.get((wrote.node, id))
            if now.state is ClaimState.DISPLACED:
                seen["move denied"] += kept in told or (wrote.node, kept) in before
            elif was is not None and was.state is ClaimState.DISPLACED:
                again = was.claim.stamp == now.claim.stamp and now.state is ClaimState.CONFIRMED
                seen["waiting list moved up"] += again
            before[wrote.node, id] = now
        for id in wrote.gone:
            before.pop((wrote.node, id), None)


def made_on(history: History) -> dict[tuple[Origin, int], Frontier]:
    """For each batch, what its origin had when it made it."""
    present: dict[NodeName, Origin] = {}
    frontiers: dict[tuple[Origin, int], Frontier] = {}
    for happening in history:
        if isinstance(happening, Started):
            present[happening.node] = happening.origin
        elif isinstance(happening, Wrote):
            for batch in happening.batches:
                if batch.origin == present.get(happening.node):
                    frontiers[batch.origin, batch.seq] = happening.frontier
    return frontiers


def _equal_times(trail: Iterable[Entry]) -> int:
    origins: dict[int, set[Origin]] = {}
    for entry in trail:
        origins.setdefault(entry.stamp.hlc, set()).add(entry.stamp.origin)
    return sum(len(found) - 1 for found in origins.values())


def _late_edits(trail: Iterable[Entry]) -> int:
    """Edits with later stamps than a deletion that their writers did not know of."""
    lives: dict[object, int] = {}
    late = 0
    for entry in trail:
        late += entry.life < lives.get(entry.key, 0)
        lives[entry.key] = max(lives.get(entry.key, 0), entry.life)
    return late


def _concurrency(
    trail: Iterable[Entry], frontiers: dict[tuple[Origin, int], Frontier], seen: Counter[str]
) -> None:
    """Writes of one group by nodes that did not know of each other's."""
    writes: dict[tuple[object, str], list[Entry]] = {}
    for entry in trail:
        for group in entry.fields:
            writes.setdefault((entry.key, group), []).append(entry)
    for entries in writes.values():
        for at in range(len(entries)):
            near = entries[max(0, at - NEIGHBOURS) : at]
            apart = [e for e in near if _concurrent(e, entries[at], frontiers)]
            seen["concurrent writes of one group"] += len(apart)
            seen["three branches of one group"] += sum(
                _concurrent(one, other, frontiers) for one, other in combinations(apart, 2)
            )


def _concurrent(one: Entry, other: Entry, frontiers: dict[tuple[Origin, int], Frontier]) -> bool:
    a, b = one.stamp.origin, other.stamp.origin
    if a == b:
        return False
    known_to_one = frontiers.get((a, one.seq), {}).get(b, 0)
    known_to_other = frontiers.get((b, other.seq), {}).get(a, 0)
    return known_to_one < other.seq and known_to_other < one.seq
