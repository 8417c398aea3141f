"""When a holder may say that its decisions are final."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import Finality
from konkordat.protocol.seats.acknowledgements import Acknowledgements
from konkordat.protocol.seats.history import Term
from konkordat.protocol.seats.rosters import Rosters
from konkordat.protocol.seats.rules import Rules
from konkordat.protocol.seats.seat import Seat


def finality(
    seat: Seat,
    me: Origin,
    frontier: Mapping[Origin, int],
    acked: Acknowledgements,
    rosters: Rosters,
    rules: Rules,
) -> Finality | None:
    """The furthest point of our log that a majority has, if a decision or the opening waits for it.

    `frontier` is ours with the batch in the making: what that batch says is as durable as the batch. A member counts
    only if it has all that the term adopts too, so that no two of a minority hold the only copies of what is confirmed.
    """
    term = seat.ruling
    if term is None or term.key.holder != me:
        return None
    if not seat.waits(me) or term.final_upto >= _last(term, frontier[me]):
        return None
    roster = rosters.get(term.opening.roster)
    assert roster is not None  # it was known when we stood under it
    adopted = [(step.term.key.holder, step.cutoff) for step in seat.history.chain(term)][1:]
    reach: dict[Origin, int] = {}
    for member in roster.members:
        theirs = frontier if member == me else acked.latest.get(member, {})
        if all(theirs.get(holder, 0) >= cutoff for holder, cutoff in adopted):
            later = seat.history.first_vote_after(member, term.key.term)
            reach[member] = rules.acknowledged(me, theirs, later)
    for point in sorted(set(reach.values()), reverse=True):
        upto = _last(term, point)
        if upto <= term.final_upto:
            return None
        if rules.majority(roster, [member for member in reach if reach[member] >= point]):
            return Finality(seat.id, term.key.term, upto)
    return None


def _last(term: Term, point: int) -> int:
    """The last decision, or the opening, at or before a point of the holder's log; 0 if there is none."""
    if point < term.seq:
        return 0
    count = bisect_right(term.decided, point)
    return max(term.seq, term.decided[count - 1]) if count else term.seq
