"""Where and when a command's sessions and holds are to be: checked against the rules, what others hold, and each other.

A session that stays where it is is never asked again, even if it was displaced meanwhile: editing its title must not
fail because of its room. A command that names the slot of a displaced session asks for it anew where it is free; else
the session stays displaced, and the answer says by whom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.ids import Group, RecordId, RecordKey
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import ALTERNATIVES_MAX, BUNDLE_WISHES_MAX
from konkordat.replica.domain import View
from konkordat.schedule import rules
from konkordat.schedule.afterwards import Afterwards
from konkordat.schedule.alternatives import LAST, Asking
from konkordat.schedule.claims import (
    EXPIRES_AT,
    HOLDS,
    PLACED,
    SESSIONS,
    SPEAKER_LIST,
    STATE,
    capacity_owner,
    decoded,
    is_cancelled,
    place_claim,
    speaker_name,
    speakers_in,
)
from konkordat.schedule.commands import NULL, DroppedSlot, WriteCommand, WriteWarning, singular
from konkordat.schedule.drafts import Draft
from konkordat.schedule.rulebook import Rulebook
from konkordat.schedule.rules import located
from konkordat.schedule.slots import (
    PLACING,
    SLOT,
    SLOT_PART,
    Candidate,
    Plan,
    placing_value,
    plan_from,
    plan_of,
)
from konkordat.schedule.slots_sent import named_twice, unreadable
from konkordat.schedule.times import Interval, instant_ms, utc_text

CONFLICTS_MAX: Final = 16  # claims named in one refusal
EVENT: Final = Group("event")
_NOTHING: Final[rules.Values] = {}
_WHERE_AND_WHO: Final = frozenset({SLOT, STATE, EXPIRES_AT, SPEAKER_LIST})


class Places:
    """The places of one command. `settle` first, then the rest may be asked."""

    def __init__(
        self,
        command: WriteCommand,
        view: View,
        drafts: Mapping[RecordKey, Draft],
        after: Afterwards,
    ) -> None:
        self.dropped: list[DroppedSlot] = []
        self._command = command
        self._view = view
        self._drafts = drafts
        self._after = after
        overridden = bool(command.override_reason)
        self._book = Rulebook(command.tenant, after.values, view.now_ms, overridden=overridden)
        self._moved: set[RecordKey] = set()  # what goes elsewhere, or away
        self._without: set[RecordKey] = (
            set()
        )  # sessions that name a slot again which they were denied
        self._restaffed: set[RecordKey] = set()  # sessions that stay with other speakers
        self._placed: list[Claim] = []  # what those two hold after the command
        self._plans: dict[RecordKey, Plan] = {}  # of what claims a place anew
        self._taken_over: set[RecordKey] = set()  # holds that give way to slots of the command
        self._displaced: list[WriteWarning] = []

    def settle(self) -> Refusal | None:
        """Check everything of the command that gets a place; drop slots where that was asked for."""
        drafts = [d for d in self._drafts.values() if d.key.collection in PLACED]
        self._without = self._denied([d.key for d in drafts if _is_named_again(d)])
        placed = [d for d in drafts if not _stays(d) or d.key in self._without]
        for draft in placed:
            self._sort(draft)
        for draft in placed:
            if draft.alive:
                refusal = self._settle(draft)
                if refusal is not None:
                    refusal = self._without_unwritten(refusal)
                    return located(_of_occurrence(refusal, draft), draft.operation)
        return self._bind()

    def drop(self, draft: Draft, refusal: Refusal) -> bool:
        """Take a slot that cannot be off its session, if the command prefers that to being refused."""
        operation = self._command.operations[draft.operation]
        if operation.on_conflict == "skip_occurrence" and draft.occurrence:
            draft.skip(refusal)
            return True
        if operation.on_conflict != "without_slot" or draft.key.collection != SESSIONS:
            return False
        slot = decoded(draft.value(SLOT))
        others = tuple([claim.id.owner.id for claim in refusal.conflicts])
        self.dropped.append(
            DroppedSlot(draft.operation, draft.key.id, refusal.code, refusal.detail, slot, others)
        )
        draft.clear(SLOT)
        return True

    def holders(self, resource: Resource, start_ms: int, until_ms: int) -> list[Claim]:
        """Who holds a place on a resource in that time, as the command leaves it."""
        away = self._moved | self._taken_over
        if capacity_owner(resource) is None:
            away = away | self._restaffed
        held = self._view.granted(resource, start_ms, until_ms)
        found = [claim for claim in held if claim.id.owner not in away]
        return found + [
            claim
            for claim in self._placed
            if claim.resource == resource
            and claim.start_ms < until_ms
            and start_ms < claim.until_ms
        ]

    # One session or hold -------------------------------------------------------------------------

    def _sort(self, draft: Draft) -> None:
        before: rules.Values = _NOTHING
        if draft.base is not None and draft.base.alive:
            before = rules.values_of(draft.base)
        after = draft.values if draft.alive else _NOTHING
        if _claimed(before) != _claimed(after):
            self._moved.add(draft.key)
        elif _speakers(before) != _speakers(after):
            self._restaffed.add(draft.key)
        if draft.hold:
            self._taken_over.add(RecordKey(self._command.tenant, HOLDS, RecordId(draft.hold)))

    def _settle(self, draft: Draft) -> Refusal | None:
        refusal = unreadable(draft)
        wish = _wish(draft.values) if refusal is None else None
        if wish is not None and draft.key in self._moved:
            plan = self._plan(draft)
            refusal = self._unfit(draft, plan) or self._place(draft, plan)
        elif wish is not None and not self._ask_again(draft):
            self._staff(draft, wish.place.interval)
        return None if refusal is None or self.drop(draft, refusal) else refusal

    def _plan(self, draft: Draft) -> Plan:
        """What the draft's slot asks for, with the buffers of today."""
        candidates = plan_from(draft.value(SLOT)).candidates
        operation = self._command.operations[draft.operation]
        return Plan(
            tuple([self._book.buffered(one) for one in candidates]),
            self._places_before(draft),
            draft.hold,
            waits=operation.on_conflict == "tentative",
        )

    def _place(self, draft: Draft, plan: Plan) -> Refusal | None:
        """Claim the first place that is free; or any, where the command would rather wait than be refused."""
        asking = self._asking(draft)
        granted = next((one for one in plan.candidates if not asking.blocking(one)), None)
        if granted is None:
            taken = self._taken(draft, plan.candidates[0])
            if not plan.waits:
                return taken
            self._displaced.append(_displaced(draft, taken))
        self._claim(draft, plan, granted)
        return None

    def _denied(self, keys: Sequence[RecordKey]) -> set[RecordKey]:
        """Those of the sessions that neither have the place they ask for nor wait for a decision on it."""
        held = self._view.held(keys) if keys else ()
        return set(keys) - {claim.id.owner for claim in held if claim.id.part == SLOT_PART}

    def _ask_again(self, draft: Draft) -> bool:
        """Claim the place that a session names again, if it is free by now or the command would rather wait for it.
        True if it did. Nothing is refused: else the session stays as it was, and in line if it stood there."""
        if draft.key not in self._without or draft.base is None:
            return False
        was_waiting = plan_of(draft.base).waits
        plan = self._plan(draft)
        plan = plan._replace(waits=plan.waits or was_waiting)
        if self._unfit(draft, plan) is not None:
            return False
        asking = self._asking(draft)
        granted = next((one for one in plan.candidates if not asking.blocking(one)), None)
        if granted is None:
            self._displaced.append(_displaced(draft, self._taken(draft, plan.candidates[0])))
            if was_waiting or not plan.waits:
                return False
        self._moved.add(draft.key)
        self._claim(draft, plan, granted)
        return True

    def _places_before(self, draft: Draft) -> tuple[Candidate, ...]:
        """The places that the record holds or may still be granted, so that they can be shown while it moves."""
        if draft.base is None or not draft.base.alive:
            return ()
        plan = plan_of(draft.base)
        known = dict.fromkeys((*plan.candidates, *plan.was))
        return tuple([one for one in known if self._is_held(draft.key, one)])

    def _is_held(self, key: RecordKey, place: Candidate) -> bool:
        resource, taken = Resource(key.tenant, place.name), place.taken
        held = self._view.granted(resource, taken.start_ms, taken.until_ms)
        return any(claim.id.owner == key and place.is_at(claim) for claim in held)

    def _claim(self, draft: Draft, plan: Plan, granted: Candidate | None) -> None:
        """Write the claim, and book what it is likely to get."""
        # Also a session that was cancelled and is not any more claims its place now, not when it first did.
        draft.claim_again(SLOT)
        draft.put(PLACING, placing_value(plan))
        self._plans[draft.key] = plan
        if granted is not None:
            self._placed.append(place_claim(draft.key, granted, LAST))
            self._staff(draft, granted.place.interval)

    def _staff(self, draft: Draft, interval: Interval) -> None:
        """Book the speakers' time."""
        if draft.key not in self._moved | self._restaffed:
            return
        for speaker in _speakers(draft.values):
            name = speaker_name(speaker)
            resource = Resource(draft.key.tenant, name)
            start_ms, until_ms = interval.start_ms, interval.until_ms
            self._placed.append(
                Claim(ClaimId(draft.key, name), resource, start_ms, until_ms, 0, LAST)
            )

    # Rules ---------------------------------------------------------------------------------------

    def _unfit(self, draft: Draft, plan: Plan) -> Refusal | None:
        """The first rule that the wish, an alternative or the hold to be taken over breaks."""
        slot = decoded(draft.value(SLOT))
        if len(slot.get("alternatives") or ()) > ALTERNATIVES_MAX:
            detail = f"A slot names at most {ALTERNATIVES_MAX} alternatives."
            return Refusal("too_many_alternatives", detail, "/slot/alternatives")
        event, venue = decoded(draft.value(EVENT)), self._book.venue(plan.candidates[0].name)
        for number, candidate in enumerate(plan.candidates):
            pointer = f"/slot/alternatives/{number - 1}" if number else "/slot"
            refusal = self._book.broken(candidate, event, pointer)
            if refusal is not None:
                return refusal
            if self._book.venue(candidate.name) != venue:
                detail = "An alternative is at another venue, and one venue cannot decide for two."
                return Refusal("several_seats", detail, pointer)
        return self._unfit_hold(draft, venue)

    def _unfit_hold(self, draft: Draft, venue: str) -> Refusal | None:
        """Whether the hold that a slot wants to take over is none, is over, or is at another venue."""
        if not draft.hold:
            return None
        hold = self._after.values(HOLDS, draft.hold)
        if hold is None:
            return Refusal(
                "unknown_reference", f"There is no hold {draft.hold} here.", "/slot/hold"
            )
        expires_ms = instant_ms(rules.read(hold, EXPIRES_AT))
        if expires_ms is None or expires_ms <= self._view.now_ms:
            return Refusal("hold_expired", f"The hold {draft.hold} has expired.", "/slot/hold")
        key = RecordKey(draft.key.tenant, HOLDS, RecordId(draft.hold))
        if key not in self._drafts and not self._view.held([key]):
            detail = f"The hold {draft.hold} holds nothing: it was taken over, or lost its place."
            return Refusal("hold_expired", detail, "/slot/hold")
        held = plan_from(hold.get(SLOT, NULL)).candidates
        if held and self._book.venue(held[0].name) != venue:
            detail = "The hold is at another venue, and one venue cannot decide for two."
            return Refusal("several_seats", detail, "/slot/hold")
        return None

    def _asking(self, draft: Draft) -> Asking:
        def holders(resource: Resource, start_ms: int, until_ms: int) -> list[Claim]:
            """A place that the session keeps is not in its own way."""
            found = self.holders(resource, start_ms, until_ms)
            return [claim for claim in found if claim.id.owner != draft.key]

        return Asking(self._book, holders, draft.key, decoded(draft.value(EVENT)))

    def _taken(self, draft: Draft, wish: Candidate) -> Refusal:
        asking = self._asking(draft)
        blocking = asking.blocking(wish)
        wished = {
            "session": draft.key.id,
            "event": asking.event,
            "seats": rules.read(draft.values, "seats"),
            "slot": wish.as_slot(),
        }
        return Refusal(
            "slot_taken",
            self._taken_detail(wish, blocking),
            "/slot",
            conflicts=blocking[:CONFLICTS_MAX],
            extra={"wished": wished},  # what is free instead is looked for by whoever tells it
        )

    def _is_made(self, key: RecordKey) -> bool:
        """True of a session that a series of the command would make: nobody knows its id, and it is not there."""
        draft = self._drafts.get(key)
        return draft is not None and bool(draft.occurrence) and not draft.was_alive

    def _without_unwritten(self, refusal: Refusal) -> Refusal:
        """A refused command wrote nothing, so what its series would have made cannot be looked up."""
        there = tuple([claim for claim in refusal.conflicts if not self._is_made(claim.id.owner)])
        return msgspec.structs.replace(refusal, conflicts=there)

    def _taken_detail(self, wish: Candidate, blocking: Sequence[Claim]) -> str:
        """Who is there, from when to when by their own times. Buffers are told where only they are in the way."""
        first = blocking[0]
        own = self._own_interval(first)
        more = f" and {len(blocking) - 1} more" if len(blocking) > 1 else ""
        by = f"{singular(first.id.owner.collection)} {first.id.owner.id}"
        if self._is_made(first.id.owner):
            by = "another occurrence of the same request"
        between = "" if own.overlaps(wish.place.interval) else ", with what is kept free between"
        return (
            f"The {wish.name.replace('/', ' ')} is taken from {utc_text(own.start_ms)} to"
            f" {utc_text(own.until_ms)} by {by}{more}{between}."
        )

    def _own_interval(self, claim: Claim) -> Interval:
        key = claim.id.owner
        plan, record = self._plans.get(key), self._view.record(key)
        if plan is None and record is not None:
            plan = plan_of(record)
        found = plan.at(claim) if plan is not None else None
        return found.place.interval if found else Interval(claim.start_ms, claim.until_ms)

    # Bundles -------------------------------------------------------------------------------------

    def _bind(self) -> Refusal | None:
        """Sessions that move in one command are granted all or none, so that no swap ends half-way; if the command
        does not say otherwise, and as far as a seat can."""
        bound = [key for key in self._plans if self._fails(key)]
        if self._command.together:
            refusal = self._unbindable(bound)
            if refusal is not None:
                return refusal
        if not 2 <= len(bound) <= BUNDLE_WISHES_MAX:
            return None
        for key in bound:
            plan = self._plans[key]._replace(together=True)
            self._drafts[key].put(PLACING, placing_value(plan))
        return None

    def _fails(self, key: RecordKey) -> bool:
        return self._command.operations[self._drafts[key].operation].on_conflict == "fail"

    def _unbindable(self, bound: Sequence[RecordKey]) -> Refusal | None:
        if len(bound) > BUNDLE_WISHES_MAX:
            detail = f"{len(bound)} places are asked for together, at most {BUNDLE_WISHES_MAX}."
            return Refusal("too_many_together", detail)
        venues = {self._book.venue(self._plans[key].candidates[0].name) for key in bound}
        if len(venues) > 1:
            detail = f"The places lie at {len(venues)} venues, which decide each for itself."
            return Refusal("several_seats", detail)
        return None

    # Soft clashes --------------------------------------------------------------------------------

    def warnings(self) -> list[WriteWarning]:
        """What the command breaks of the rules that refuse nothing."""
        found = list(self._displaced)
        pairs: set[tuple[str, frozenset[str]]] = set()
        for draft in self._drafts.values():
            if draft.key.collection == SESSIONS and draft.alive:
                found += self._double_bookings(draft, pairs)
                found += self._too_small(draft)
            if SLOT in draft.writes and draft.alive:
                found += named_twice(draft)
        return found

    def _double_bookings(
        self, draft: Draft, pairs: set[tuple[str, frozenset[str]]]
    ) -> Iterator[WriteWarning]:
        """Speakers of a session that would have to be in another one at that time; each pair is told once."""
        wish = _wish(draft.values)
        if wish is None or draft.key not in self._moved | self._restaffed:
            return
        id_, interval = draft.key.id, wish.place.interval
        for number, speaker in enumerate(_speakers(draft.values)):
            resource = Resource(draft.key.tenant, speaker_name(speaker))
            held = self.holders(resource, interval.start_ms, interval.until_ms)
            ids = {claim.id.owner.id for claim in held} - {id_}
            others = sorted(o for o in ids if (speaker, frozenset({id_, o})) not in pairs)
            pairs |= {(speaker, frozenset({id_, other})) for other in others}
            if others:
                detail = f"Speaker {speaker} is in another session at that time: {others[0]}."
                yield WriteWarning(
                    "speaker_clash",
                    detail,
                    draft.operation,
                    f"/speakers/{number}",
                    id_,
                    tuple(others[:CONFLICTS_MAX]),
                    speaker,
                )

    def _too_small(self, draft: Draft) -> Iterator[WriteWarning]:
        if draft.writes.keys().isdisjoint({SLOT, Group("seats")}):
            return
        wish = _wish(draft.values)
        if wish is None:
            return
        seats = rules.read(draft.values, "seats")
        room = rules.read(self._book.site(wish.name), "capacity")
        if isinstance(seats, int) and isinstance(room, int) and seats > room:
            detail = f"The session offers {seats} seats, the room has {room}."
            yield WriteWarning("room_too_small", detail, draft.operation, "/seats", draft.key.id)


def _of_occurrence(refusal: Refusal, draft: Draft) -> Refusal:
    """The refusal with the occurrence of a series that it is about."""
    if not draft.occurrence:
        return refusal
    extra = {**refusal.extra, "occurrence": draft.occurrence}
    return msgspec.structs.replace(refusal, extra=extra)


def _stays(draft: Draft) -> bool:
    """True of a record whose place, time and speakers the command does not write."""
    was_there = draft.was_alive and draft.alive
    return was_there and not draft.hold and draft.writes.keys().isdisjoint(_WHERE_AND_WHO)


def _is_named_again(draft: Draft) -> bool:
    """True of a session that is to have a place and of which a command names the slot that it has anyway."""
    is_session = draft.key.collection == SESSIONS
    return is_session and draft.says_again(SLOT) and _claimed(draft.values) is not None


def _claimed(values: rules.Values) -> tuple[bytes, bytes] | None:
    """What a claim on a place follows from: the slot, and of a hold its end; None if there is none, or cancelled."""
    slot = values.get(SLOT, NULL)
    if slot == NULL or is_cancelled(rules.read(values, STATE)):
        return None
    return slot, values.get(EXPIRES_AT, NULL)


def _wish(values: rules.Values) -> Candidate | None:
    """The place that a session or hold asks for first, without buffers."""
    candidates = plan_from(values.get(SLOT, NULL)).candidates if _claimed(values) else ()
    return candidates[0] if candidates else None


def _displaced(draft: Draft, taken: Refusal) -> WriteWarning:
    others = tuple([claim.id.owner.id for claim in taken.conflicts])
    return WriteWarning("slot_taken", taken.detail, draft.operation, "/slot", draft.key.id, others)


def _speakers(values: rules.Values) -> tuple[str, ...]:
    return speakers_in(values.get(SPEAKER_LIST, NULL))
