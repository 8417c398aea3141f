"""What became of claims that are not places: a registration's seats, a release's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from konkordat.api.placed import claim_of
from konkordat.kernel.claim import ClaimState, DecidedClaim
from konkordat.kernel.record import Record
from konkordat.replica.claims import HELD
from konkordat.schedule.claims import (
    CANCELLED,
    NAME_PART,
    REGISTRATIONS,
    RELEASES,
    SEATS_PART,
    WAITLIST,
    value_of,
)
from konkordat.schedule.registrations import CHECKED_IN

HELD_SEATS_PART: Final = SEATS_PART + HELD  # seats kept while a change of how many was not granted
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def seats_json(record: Record, claims: Sequence[DecidedClaim]) -> bytes:
    """What became of a registration: its state, how many seats it has, and why not as many as it wants."""
    own = claim_of(claims, SEATS_PART)
    having = own if own is not None and own.state is ClaimState.CONFIRMED else None
    having = having or claim_of(claims, HELD_SEATS_PART)
    shown: dict[str, Any] = {"state": _seats_state(record, own, having)}
    shown["seats_held"] = 0 if having is None else having.claim.quantity
    if own is not None and own.state is ClaimState.DISPLACED:
        shown["reason"] = {"code": "sold_out"}  # not who has them: that is nobody's business
    return b"," + _encode(shown)[1:-1]


def _seats_state(record: Record, own: DecidedClaim | None, having: DecidedClaim | None) -> str:
    if value_of(record, CANCELLED) is True:
        return "cancelled"
    if having is not None:
        return "checked_in" if value_of(record, CHECKED_IN) is True else "confirmed"
    if own is None or own.state is not ClaimState.DISPLACED:
        return "pending"
    return "waitlisted" if value_of(record, WAITLIST) is True else "displaced"


def name_json(_: Record, claims: Sequence[DecidedClaim]) -> bytes:
    """What became of a release's name: another release may have been given it at the same time."""
    own = claim_of(claims, NAME_PART)
    state = ClaimState.TENTATIVE if own is None else own.state
    return b"," + _encode({"state": state.value})[1:-1]


OUTCOMES: Final[Mapping[str, Callable[[Record, Sequence[DecidedClaim]], bytes]]] = {
    REGISTRATIONS: seats_json,
    RELEASES: name_json,
}


def outcome_of(claims: Sequence[DecidedClaim]) -> Any:
    """What a version must tell of such claims; None where the record simply has what it asks for."""
    for part in (SEATS_PART, NAME_PART):
        own = claim_of(claims, part)
        if own is not None and own.state is not ClaimState.CONFIRMED:
            return (own.state.value, own.against)
    return None
