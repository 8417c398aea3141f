"""Seats of sessions: what a command's registrations, and changes to sessions and attendees, may do. Pure.

    rule                    broken by
    not_registrable         registering for a session without seats, or for a cancelled one
    beyond_capacity         wanting more seats than the session has
    sold_out                wanting more than are left, without waiting for them
    not_confirmed           coming in without a seat
    seats_below_registered  giving a session fewer seats than are taken
    in_use                  deleting a session or attendee with registrations in force

This is the check before a local write: it refuses what can be seen from here to be impossible. Two nodes that cannot
see each other may both let the last seat pass; then the claims decide (schedule/claims.py, schedule/seats.py). Seats
that were confirmed stay confirmed, also where a merge leaves a session with fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from konkordat.kernel.claim import Resource
from konkordat.kernel.ids import Group, RecordKey
from konkordat.kernel.refusal import Refusal
from konkordat.replica.domain import View
from konkordat.schedule import rules
from konkordat.schedule.afterwards import Afterwards
from konkordat.schedule.claims import (
    ATTENDEE,
    ATTENDEES,
    CANCELLED,
    QUANTITY,
    REGISTRATIONS,
    SEATS,
    SEATS_GROUPS,
    SEATS_PART,
    SEATS_TIME,
    SESSION,
    SESSIONS,
    STATE,
    WAITLIST,
    attendee_name,
    decoded,
    is_cancelled,
    quantity_of,
    seats_in,
    seats_name,
    session_in,
)
from konkordat.schedule.commands import WriteWarning
from konkordat.schedule.drafts import Draft

CHECKED_IN: Final = Group("checked_in")


class Registrations:
    """The seats that one command asks for, gives back, makes or takes away."""

    def __init__(self, view: View, drafts: Mapping[RecordKey, Draft], after: Afterwards) -> None:
        self._view = view
        self._after = after
        self._drafts = drafts
        # By session: the seats that the command's registrations have before it.
        self._before: dict[str, dict[RecordKey, int]] | None = None
        self._asked: set[RecordKey] = (
            set()
        )  # of these: what they ask for is granted, or not decided yet
        self._taken: dict[str, int] = {}  # by session: as the command leaves it, so far

    def settle(self) -> Refusal | None:
        """Check everything that has to do with seats, and claim what is to be claimed."""
        registrations = [d for d in self._drafts.values() if d.key.collection == REGISTRATIONS]
        for draft in registrations:
            self._count(draft)
        for draft in registrations:
            refusal = self._settle(draft) if draft.alive else None
            if refusal is not None:
                return _located(refusal, draft.operation)
        for draft in self._drafts.values():
            refusal = self._diminished(draft)
            if refusal is not None:
                return _located(refusal, draft.operation)
        return None

    def warnings(self) -> Iterator[WriteWarning]:
        """Sessions that are cancelled though people have seats there: somebody should tell them."""
        for draft in self._drafts.values():
            if draft.key.collection != SESSIONS or not draft.was_alive or not draft.alive:
                continue
            if STATE not in draft.writes or not is_cancelled(rules.read(draft.values, STATE)):
                continue
            taken = self._taken_in(draft.key.id)
            if taken:
                some = "1 seat is" if taken == 1 else f"{taken} seats are"
                detail = f"{some} taken in the session. They stay, and nobody else gets one."
                yield WriteWarning(
                    "has_registrations", detail, draft.operation, "/state", draft.key.id
                )

    # One registration ----------------------------------------------------------------------------

    def _count(self, draft: Draft) -> None:
        """Book what the registration keeps of its seats. What it wants more is looked at when all that is given back
        is known, so the order of operations does not matter."""
        session = rules.read(draft.values, SESSION)
        if isinstance(session, str):
            kept = min(_wanted(draft.values), self._held(session).get(draft.key, 0))
            self._taken[session] = self._taken_in(session) + (kept if draft.alive else 0)

    def _settle(self, draft: Draft) -> Refusal | None:
        claims = not SEATS_GROUPS.isdisjoint(draft.writes)
        if claims and SESSION not in draft.writes:
            # The claim has the stamp of this group: another quantity is another wish.
            draft.claim_again(SESSION)
        session = rules.read(draft.values, SESSION)
        wanted = _wanted(draft.values)
        if not isinstance(session, str) or not wanted:
            return None
        held = self._held(session).get(draft.key, 0)
        if not claims and self._may_have_now(draft, session, wanted - held):
            draft.claim_again(SESSION)
            claims = True
        if CHECKED_IN in draft.writes and not held:
            return _unready(draft)
        return self._grow(draft, session, wanted, held) if claims and wanted > held else None

    def _may_have_now(self, draft: Draft, session: str, more: int) -> bool:
        """Whether a command says a registration again that was denied, and there are as many seats now. Whoever waits
        keeps its turn."""
        is_said = any(draft.says_again(group) for group in SEATS_GROUPS)
        if not is_said or draft.key in self._asked or rules.read(draft.values, WAITLIST) is True:
            return False
        values = self._after.values(SESSIONS, session)
        if values is None or is_cancelled(rules.read(values, STATE)):
            return False
        return more <= seats_in(rules.read(values, SEATS)) - self._taken_in(session)

    def _grow(self, draft: Draft, session: str, wanted: int, held: int) -> Refusal | None:
        """Take more seats, if there are as many or it waits for them."""
        values = self._after.values(SESSIONS, session)
        seats = rules.read(values, SEATS) if values is not None else None
        if values is None or seats is None or is_cancelled(rules.read(values, STATE)):
            why = "has no seats to register for" if seats is None else "is cancelled"
            return Refusal("not_registrable", f"The session {session} {why}.", "/session")
        if wanted > seats_in(seats):
            detail = f"The session has {seats} seats in all, and {wanted} are asked for."
            return Refusal("beyond_capacity", detail, "/quantity", extra={"seats": seats})
        left = max(seats_in(seats) - self._taken_in(session), 0)
        if wanted - held <= left:
            self._taken[session] += wanted - held
            return None
        return None if rules.read(draft.values, WAITLIST) is True else _sold_out(seats, left)

    # Sessions and attendees ----------------------------------------------------------------------

    def _diminished(self, draft: Draft) -> Refusal | None:
        """Whether an attendee or session goes that has registrations, or a session loses seats that somebody has."""
        if draft.deletes and draft.key.collection == ATTENDEES:
            return self._needed(draft, attendee_name(draft.key.id))
        if draft.key.collection != SESSIONS or draft.base is None or not draft.was_alive:
            return None
        if draft.deletes:
            return self._needed(draft, seats_name(draft.key.id))
        if SEATS not in draft.writes:
            return None
        register = draft.base.fields.get(SEATS)
        before = seats_in(decoded(register.value)) if register is not None else 0
        seats = seats_in(rules.read(draft.values, SEATS))
        taken = self._taken_in(draft.key.id)
        if seats >= before or seats >= taken:
            return None
        detail = f"{taken} seats of the session {draft.key.id} are taken; it cannot have {seats}."
        return Refusal("seats_below_registered", detail, "/seats", extra={"seats_taken": taken})

    def _needed(self, draft: Draft, name: str) -> Refusal | None:
        """Whether what is deleted still has registrations, once the command is done."""
        held = self._view.granted(Resource(draft.key.tenant, name), *SEATS_TIME)
        owners = {claim.id.owner for claim in held} - self._drafts.keys()
        remaining = len(owners) + sum(
            _wanted(other.values) > 0 and self._is_for(other, name)
            for other in self._drafts.values()
            if other.key.collection == REGISTRATIONS and other.alive
        )
        if not remaining:
            return None
        what = draft.key.collection.removesuffix("s")
        some = "A registration is" if remaining == 1 else f"{remaining} registrations are"
        detail = f"{some} in force for the {what} {draft.key.id}."
        return Refusal("in_use", detail, extra={"registrations": remaining})

    def _is_for(self, registration: Draft, name: str) -> bool:
        session = rules.read(registration.values, SESSION)
        attendee = rules.read(registration.values, ATTENDEE)
        return name in {seats_name(str(session)), attendee_name(str(attendee))}

    # What is there -------------------------------------------------------------------------------

    def _taken_in(self, session: str) -> int:
        """Seats of a session that are taken: by registrations outside the command, and by those counted so far."""
        if session not in self._taken:
            seats = Resource(self._after.tenant, seats_name(session))
            own = sum(self._held(session).values())
            self._taken[session] = self._view.taken(seats, *SEATS_TIME) - own
        return self._taken[session]

    def _held(self, session: str) -> dict[RecordKey, int]:
        """Seats by registration of the command, before it. One that is being changed holds its old ones and wants the
        new: the larger counts."""
        if self._before is None:
            self._before = self._seats_before()
        return self._before.get(session, {})

    def _seats_before(self) -> dict[str, dict[RecordKey, int]]:
        before: dict[str, dict[RecordKey, int]] = {}
        own = [key for key in self._drafts if key.collection == REGISTRATIONS]
        for claim in self._view.held(own):
            session = session_in(claim.resource)
            if session is not None:
                held, owner = before.setdefault(session, {}), claim.id.owner
                held[owner] = max(held.get(owner, 0), claim.quantity)
                if claim.id.part == SEATS_PART:
                    self._asked.add(owner)
        return before


def _wanted(values: rules.Values) -> int:
    """The seats a registration wants; 0 if it is cancelled."""
    if rules.read(values, CANCELLED) is True:
        return 0
    return quantity_of(rules.read(values, QUANTITY)) or 0


def _unready(draft: Draft) -> Refusal | None:
    """Nobody comes in on a seat that somebody else has."""
    if rules.read(draft.values, CHECKED_IN) is not True:
        return None
    detail = f"The registration {draft.key.id} has no seat yet."
    return Refusal("not_confirmed", detail, "/checked_in")


def _sold_out(seats: int, left: int) -> Refusal:
    some = "No seat is left" if not left else f"{left} of {seats} seats are left"
    detail = f"{some}. With `waitlist` the registration waits for seats to come free."
    return Refusal("sold_out", detail, "/quantity", extra={"seats": seats, "seats_left": left})


def _located(refusal: Refusal, operation: int) -> Refusal:
    """The refusal with the operation it is about."""
    return msgspec.structs.replace(refusal, extra={**refusal.extra, "operation": operation})
