"""The judge of claims (I3) on histories in which the roster changes: after all of the story of a seat, Bern leaves."""

from __future__ import annotations

import msgspec

from konkordat.kernel.change import Change, SealedBatch
from konkordat.kernel.claim import Claim, ClaimState, DecidedClaim
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Origin
from konkordat.kernel.record import Record
from konkordat.kernel.seat import (
    Candidacy,
    Decide,
    Decision,
    Finality,
    Opening,
    Roster,
    Ruling,
    Verdict,
)
from konkordat.replica.rosters import ROSTER_SEAT, claim_of, proposal_key
from konkordat.replica.seat_log import MEMBERS
from konkordat.testing.checkers import judge
from konkordat.testing.checkers.claims import alone
from konkordat.testing.domain import TrialDomain
from konkordat.testing.history import Final, History, Started
from konkordat.testing.oracle import entries_of
from konkordat.testing.rulings import ANY_CHANGE, rosters_of, seats_of
from simulation import seat_stories as seats
from simulation.stories import BERN, OF_BERN, OF_ZURICH, ZURICH, asked, final, us, verdict, wrote

LEFT = Roster(2, (OF_ZURICH,))
OTHER = Roster(2, (OF_BERN,))


def log_of(origin: Origin, told: tuple[SealedBatch, ...] = seats.ALL) -> seats.Log:
    """What a node wrote in the story, to be gone on with."""
    log = seats.Log(origin)
    log.batches = [batch for batch in told if batch.batch.origin == origin]
    return log


def proposal(log: seats.Log, second: int, roster: Roster) -> tuple[SealedBatch, Claim]:
    value = msgspec.json.encode(roster.members)
    cause = f"operator/{second}"
    batch = log.write(second, [Change(proposal_key(roster), 1, {MEMBERS: value})], cause)
    claim = claim_of(_record(batch))
    assert claim is not None
    return batch, claim


def _record(batch: SealedBatch) -> Record:
    (entry,) = entries_of(final(ZURICH, *seats.ALL, batch).batches)[-1:]
    return alone(entry)


def granted(*claims: Claim) -> list[Decision]:
    return [Decision(ROSTER_SEAT, 1, (Ruling(Verdict.GRANTED, claim),)) for claim in claims]


def history(*rosters: Roster, index: tuple[DecidedClaim, ...] | None = None) -> History:
    """Operators ask at Bern; Zurich grants what they ask for, and all of it is final."""
    bern, zurich = log_of(OF_BERN), log_of(OF_ZURICH)
    made = [proposal(bern, 16 + n, roster) for n, roster in enumerate(rosters)]
    claims = [claim for _, claim in made]
    opening = Opening(ROSTER_SEAT, 1, 1, Decide.MAJORITY, None, (OF_BERN, OF_ZURICH))
    opened = zurich.say(20, Candidacy(ROSTER_SEAT, 1, 1), opening)
    decided = zurich.say(21, *granted(*claims))
    ended = zurich.say(22, Finality(ROSTER_SEAT, 1, len(zurich.batches)))
    more = [*(batch for batch, _ in made), opened, decided, ended]
    told = tuple([DecidedClaim(claim, ClaimState.CONFIRMED) for claim in claims])
    all_told = (*seats.INDEX, *(told if index is None else index))
    past = [h for h in seats.true_history() if not isinstance(h, Final)]
    for number in range(len(more)):
        had = (*seats.ALL, *more[:number])
        is_last = number == len(more) - 1
        step = wrote(ZURICH, 23 + number, [more[number]], had, told if is_last else ())
        past.append(step)
    asks = [
        asked("operator", 15, f"operator/{16 + n}", BERN, ANY_CHANGE, kind="leave")
        for n in range(len(rosters))
    ]
    ends = [final(node, *seats.ALL, *more, claims=all_told) for node in (ZURICH, BERN)]
    return [*asks, *past, *ends]


def test_a_true_change_of_the_roster_passes_every_judge() -> None:
    assert judge(history(LEFT), TrialDomain()) == []


def test_the_oracle_reads_the_rosters_from_the_log() -> None:
    (end, _) = [h for h in history(LEFT) if isinstance(h, Final)]
    entries = entries_of(end.batches)
    assert rosters_of(entries, seats_of(entries, end.frontier)) == {
        1: [(OF_BERN, OF_ZURICH)],
        2: [(OF_ZURICH,)],
    }


def test_a_roster_that_was_proposed_and_not_granted_is_none() -> None:
    batch, _ = proposal(log_of(OF_BERN), 16, LEFT)
    end = final(ZURICH, *seats.ALL, batch)
    entries = entries_of(end.batches)
    assert list(rosters_of(entries, seats_of(entries, end.frontier))) == [1]


def test_two_rosters_of_one_version_are_found() -> None:
    found = judge(history(LEFT, OTHER), TrialDomain())
    assert {violation.checker for violation in found} == {"I3"}
    assert any("2 rosters were granted version 2" in violation.what for violation in found)


def test_a_change_that_a_node_does_not_tell_is_found() -> None:
    assert verdict(history(LEFT, index=())) == {"I3"}


def test_a_roster_that_nobody_asked_for_is_found() -> None:
    assert verdict(history(LEFT)[1:]) == {"I2"}


def test_losing_who_left_excuses_nothing() -> None:
    """Of the latest roster everybody is there; what bern was told of is still judged."""
    late = seats.read(40, seats.KEY_C, seats.tentative(seats.C))
    spoilt = history(LEFT)
    lost = Started(us(39), BERN, Origin("bern.2"), Hlc(0), {}, final(BERN).root)
    assert verdict([*spoilt[:-2], lost, late, *spoilt[-2:]]) == {"I3"}
