"""The judge of claims (I3) is shown a true history of a seat, which it must pass, and spoilt ones."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from konkordat.kernel.claim import ClaimState, DecidedClaim
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Origin
from konkordat.replica.claims import held_id
from konkordat.testing.checkers import judge
from konkordat.testing.domain import TrialDomain
from konkordat.testing.history import Started, Wrote
from simulation import seat_stories as seats
from simulation.stories import BERN, ZURICH, final, is_wrote, put_after, replaced, us, verdict


def test_a_true_history_of_a_seat_passes_every_judge() -> None:
    assert judge(seats.true_history(), TrialDomain()) == []


def test_two_claims_told_as_confirmed_for_one_place_are_found() -> None:
    """Also if only one reader was ever shown it."""
    both = seats.read(8.5, seats.KEY_B, seats.confirmed(seats.B))
    assert verdict(put_after(seats.true_history(), is_wrote("zurich", 8), both)) == {"I3"}


def test_a_place_told_as_confirmed_after_its_owner_left_it_stands_in_nobodys_way() -> None:
    late = seats.read(13.5, seats.KEY_A, seats.confirmed(seats.A))
    history = put_after(seats.true_history(), is_wrote("zurich", 13), late)
    assert judge(history, TrialDomain()) == []


def test_a_confirmed_claim_that_is_told_as_tentative_again_is_found() -> None:
    again = (seats.tentative(seats.C),)
    spoilt = seats.read(15, seats.KEY_C, *again)
    assert verdict([*seats.true_history()[:-4], spoilt, *seats.true_history()[-4:]]) == {"I3"}


def test_a_confirmed_claim_that_is_released_by_nobody_is_found() -> None:
    spoilt = seats.read(15, seats.KEY_C, DecidedClaim(seats.C, ClaimState.RELEASED))
    assert verdict([*seats.true_history()[:-4], spoilt, *seats.true_history()[-4:]]) == {"I3"}


def test_a_claim_confirmed_here_and_denied_there_is_found() -> None:
    denied = msgspec.structs.replace(
        seats.read(5.5, seats.KEY_A, seats.displaced(seats.A, seats.B)), node=BERN
    )
    assert verdict(put_after(seats.true_history(), is_wrote("zurich", 5), denied)) == {"I3"}


def test_one_wish_confirmed_for_two_places_is_found() -> None:
    other = replaced(seats.C, start_ms=40, until_ms=50)
    spoilt = replaced(seats.read(15, seats.KEY_C, seats.confirmed(other)), node=BERN)
    assert verdict([*seats.true_history()[:-4], spoilt, *seats.true_history()[-4:]]) == {"I3"}


@pytest.mark.parametrize(
    "index",
    [
        (*seats.INDEX[:2], seats.tentative(seats.C)),
        seats.INDEX[:2],
        (*seats.INDEX, seats.confirmed(replaced(seats.A, id=held_id(seats.A.id)))),
        (seats.INDEX[0], seats.displaced(seats.B, seats.C), seats.INDEX[2]),
    ],
    ids=["not told", "missing", "kept for nothing", "another reason"],
)
def test_an_index_that_is_not_what_the_log_makes_is_found(index: Sequence[DecidedClaim]) -> None:
    history = [*seats.true_history()[:-2], *seats.finals(*index)]
    assert verdict(history) == {"I3"}


def test_a_claim_that_nobody_decides_although_a_majority_is_there_is_found() -> None:
    """As if the holder had never come to the last booking."""
    decided = len(seats.ALL) - 2
    short = [final(n, *seats.ALL[:decided], claims=_undecided()) for n in (ZURICH, BERN)]
    history = [*seats.true_history()[:-2], *short]
    history = [h for h in history if not (isinstance(h, Wrote) and h.at_us > us(12.5))]
    assert verdict(history) == {"I3"}


def test_without_a_majority_nobody_need_decide() -> None:
    decided = len(seats.ALL) - 2
    short = [final(n, *seats.ALL[:decided], claims=_undecided()) for n in (ZURICH, BERN)]
    lost = Started(us(15), BERN, Origin("bern.2"), Hlc(0), short[1].frontier, short[1].root)
    history = [*seats.true_history()[:-4], lost, *seats.true_history()[-4:-2], *short]
    history = [h for h in history if not (isinstance(h, Wrote) and h.at_us > us(12.5))]
    assert judge(history, TrialDomain()) == []


def _undecided() -> tuple[DecidedClaim, ...]:
    return (*seats.INDEX[:2], seats.tentative(seats.C))
