"""Deciding what is ours to decide: from what is on the agenda to decisions of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, Resource
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.seat import (
    BUNDLE_WISHES_MAX,
    Decision,
    Request,
    SeatId,
    Verdict,
    Wish,
)
from konkordat.protocol.seats.machine import Seats
from konkordat.replica.agenda import Agenda
from konkordat.replica.commit import Commit
from konkordat.replica.domain import Domain, Wanted

READ_AHEAD: Final = 64  # records of those who wait, in one query; mostly one place comes free

SeatFor = Callable[[Resource, Commit], SeatId | None]
Has = Callable[[Stamp], bool]  # whether the transaction of a stamp is here
Fresh = Mapping[ClaimId, tuple[Claim, Wanted]]  # what this commit's new records ask for


def wish_of(domain: Domain, id: ClaimId, commit: Commit) -> tuple[Claim, Wanted] | None:
    """What a record asks for by this claim now; None if it asks for nothing any more."""
    record = commit.record(id.owner)
    if record is None:
        return None
    for claim in domain.claims(record):
        if claim.id == id:
            return claim, domain.wanted(record, claim)
    return None


def is_over(wanted: Wanted, now_ms: int) -> bool:
    """True for what expired."""
    return 0 < wanted.expires_ms <= now_ms


class Decider:
    """What the holder of seats does in each commit."""

    def __init__(
        self,
        domain: Domain,
        machine: Seats,
        agenda: Agenda,
        seat_for: SeatFor,
        has: Has,
        fresh: Fresh,
    ) -> None:
        self._domain = domain
        self._machine = machine
        self._agenda = agenda
        self._seat_for = seat_for
        self._has = has
        self._fresh = fresh
        self._deciding: set[SeatId] = set()
        self._changed: dict[SeatId, None] = {}  # perhaps not ours any more, or ours now

    def changed(self, seats: Iterable[SeatId]) -> None:
        """Something was said of these seats."""
        self._changed.update(dict.fromkeys(seats))

    def has_work(self) -> bool:
        """True if a seat may be ours now or not any more, or something is asked of one that is."""
        return bool(self._changed) or any(map(self._machine.deciding, self._agenda.busy()))

    def wait(self, seat: SeatId, claim: Claim, wanted: Wanted, commit: Commit) -> None:
        """It was denied, finally, and waits for a place. If one came free while that was not final, nobody would look
        again."""
        self._agenda.wait(seat, claim)
        if not self._machine.deciding(seat):
            return
        # What belongs together comes here one after the other: with the last of it, it is looked at as a whole.
        if self._fits(seat, self._again(seat, claim, wanted, commit), commit):
            self._agenda.place_freed(seat, [claim.resource])

    def decide(self, commit: Commit) -> list[Decision]:
        """Decisions on all that is asked of the seats that we hold."""
        decisions: list[Decision] = []
        changed, self._changed = self._changed, {}
        for seat in {**changed, **dict.fromkeys(self._agenda.busy())}:
            if not self._machine.deciding(seat):
                if seat in self._deciding:
                    self._deciding.remove(seat)
                    self._agenda.not_ours(seat)
                continue
            if seat not in self._deciding:
                self._deciding.add(seat)
                self._come_to_decide(seat, commit)
            decisions += self._decide_for(seat, commit)
        return decisions

    def _come_to_decide(self, seat: SeatId, commit: Commit) -> None:
        """The seat is ours: all that is open is asked, and places that nobody wants any more are let go."""
        self._agenda.ask_all(seat)
        if not self._agenda.must_look_over(seat):
            return
        held = self._machine.all_held(seat)
        commit.load(dict.fromkeys(id.owner for id in held))
        for id in held:
            if self._is_unwanted(seat, id, commit):
                self._agenda.let_go(seat, id)

    def _is_unwanted(self, seat: SeatId, id: ClaimId, commit: Commit) -> bool:
        """Whether a place is held that nobody asks for any more, as far as we know."""
        wish = self._wish(id, commit)
        if wish is None or is_over(wish[1], commit.now_ms):
            return True
        claim = wish[0]
        now_at = self._seat_for(claim.resource, commit)
        if now_at is None or now_at == seat:
            return False
        return self._machine.state(now_at, id, claim.stamp).state is ClaimState.CONFIRMED

    def _decide_for(self, seat: SeatId, commit: Commit) -> list[Decision]:
        agenda = self._agenda
        let_go = [id for id in agenda.take_frees(seat) if self._machine.held(seat, id)]
        commit.load(dict.fromkeys(id.owner for id in let_go))
        frees = [id for id in let_go if self._may_free(seat, id, commit)]
        asked = agenda.take_asked(seat)
        requests = [Request(frees=part) for part in _parts(frees)]
        requests += self._requests(seat, asked, commit)
        decisions = self._move_up(seat, commit)
        for turn in self._turns(seat, requests):
            decisions += self._ask(seat, turn, commit) + self._move_up(seat, commit)
        return decisions

    def _turns(self, seat: SeatId, requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
        """Requests that may be answered at one time. What one lets go is for those who wait, and not for who comes
        next, so where somebody waits nothing is asked together with what comes before it and may let go of a place."""
        if not self._agenda.waiting.get(seat):
            yield requests
            return
        turn: list[Request] = []
        for request in requests:
            turn.append(request)
            held = (self._machine.held(seat, wish.claim.id) for wish in request.wishes)
            if request.frees or any(wish.replaces for wish in request.wishes) or any(held):
                yield turn
                turn = []
        yield turn

    def _may_free(self, seat: SeatId, id: ClaimId, commit: Commit) -> bool:
        """Whether its owner does not want the place any more, or may not have it."""
        if not self.knows_wish(seat, id):
            self._agenda.let_go(seat, id)  # to be looked at again
            return False
        return self._is_unwanted(seat, id, commit)

    def knows_wish(self, seat: SeatId, id: ClaimId) -> bool:
        """Whether we have the wish that was answered last. Another holder may have decided on what is still on its way
        to us: what our record says then is older than that."""
        answered = self._machine.answered_last(seat, id)
        return answered is None or self._has(answered)

    def is_hidden(self, seat: SeatId, id: ClaimId, commit: Commit) -> bool:
        """A wish was denied that never counted here: whoever denied it had a write of another group that lets it count,
        say that a session is not cancelled, and that we have not got yet. Once it counts nobody decides it anew."""
        record, stamp = commit.record(id.owner), self._machine.answered_last(seat, id)
        if record is None or stamp is None or commit.claims.was_told(id):
            return False
        is_denied = self._machine.answered(seat, id, stamp) is Verdict.DENIED
        is_written = any(register.stamp == stamp for register in record.fields.values())
        return is_denied and is_written and self._wish(id, commit) is None

    def _ask(self, seat: SeatId, requests: Sequence[Request], commit: Commit) -> list[Decision]:
        if not requests:
            return []
        before = [
            held.resource
            for request in requests
            for wish in request.wishes
            if (held := self._machine.held(seat, wish.claim.id)) is not None
        ]
        decisions = self._machine.decide(seat, requests, self._capacities(requests, commit))
        freed = [
            r.claim.resource for d in decisions for r in d.rulings if r.verdict is Verdict.FREED
        ]
        self._agenda.place_freed(seat, [*before, *freed])
        return decisions

    def _requests(self, seat: SeatId, ids: Iterable[ClaimId], commit: Commit) -> list[Request]:
        """Wishes in the order of their stamps; those that belong together as one."""
        ids = list(ids)
        requests: list[Request] = []
        commit.load(dict.fromkeys(id.owner for id in ids))
        bundles: dict[object, list[Wish]] = {}
        found = [(wish, id) for id in ids if (wish := self._wish(id, commit)) is not None]
        for (claim, wanted), id in sorted(found, key=lambda each: each[0][0].order):
            if self._seat_for(claim.resource, commit) != seat:
                continue
            if not self.knows_wish(seat, id):
                self._agenda.undecided(seat, id)  # to be looked at again
                continue
            if is_over(wanted, commit.now_ms):
                requests.append(Request((Wish(claim),), lapsed=True))
                continue
            name: object = claim.stamp if wanted.together else id
            bundles.setdefault(name, []).append(
                Wish(claim, self._of_seat(wanted.alternatives, seat, commit), wanted.replaces)
            )
        for wishes in bundles.values():
            if len(wishes) <= BUNDLE_WISHES_MAX:
                requests.append(Request(tuple(wishes)))
            else:  # nobody here writes this; one after the other is the most that can be promised
                requests += [Request((wish,)) for wish in wishes]
        return requests

    def _of_seat(self, claims: Iterable[Claim], seat: SeatId, commit: Commit) -> tuple[Claim, ...]:
        """Only places that are ours to give."""
        return tuple([c for c in claims if self._seat_for(c.resource, commit) == seat])

    def _move_up(self, seat: SeatId, commit: Commit) -> list[Decision]:
        """Give places that were freed to who waits for them: each to the first in line who can use it. What only one
        further behind can use is not kept empty, else that one had better not wait but come anew. Nothing is read of
        those who want as much as somebody for whom there was no room."""
        freed = dict.fromkeys(self._agenda.take_freed(seat))
        waiting = self._agenda.waiting.get(seat)
        if not freed or not waiting:
            return []
        line = sorted((c for c in waiting.values() if c.resource in freed), key=lambda c: c.order)
        decisions: list[Decision] = []
        no_room: dict[Resource, list[Claim]] = {}
        asked: set[Stamp] = set()  # what belongs together is asked once
        for number, each in enumerate(line):
            if number % READ_AHEAD == 0:
                ahead = line[number : number + READ_AHEAD]
                commit.load(c.id.owner for c in ahead if not self._is_hopeless(seat, c, no_room))
            if self._is_hopeless(seat, each, no_room):
                continue
            wish = self._wish(each.id, commit)
            if wish is None:
                continue
            claim, wanted = wish
            if wanted.together and claim.stamp in asked:
                continue
            asked.add(claim.stamp)
            request = self._again(seat, claim, wanted, commit)
            if self._fits(seat, request, commit):
                decisions += self._ask(seat, [request], commit)
            elif len(request.wishes) == 1:
                no_room.setdefault(claim.resource, []).append(claim)
        return decisions

    def _is_hopeless(
        self, seat: SeatId, claim: Claim, no_room: Mapping[Resource, Iterable[Claim]]
    ) -> bool:
        """Whether there is no room for another who wants no more of the same; who has a part already may need less."""
        return self._machine.held(seat, claim.id) is None and any(
            claim.start_ms <= other.start_ms
            and other.until_ms <= claim.until_ms
            and other.quantity <= claim.quantity
            for other in no_room.get(claim.resource, ())
        )

    def _again(self, seat: SeatId, claim: Claim, wanted: Wanted, commit: Commit) -> Request:
        """What one who waits asks for, with all that waits and belongs together with it."""
        wishes = {claim.id: Wish(claim, (), wanted.replaces)}
        waiting = self._agenda.waiting.get(seat, {}).values() if wanted.together else ()
        mates = [other.id for other in waiting if other.stamp == claim.stamp]
        if len(mates) <= BUNDLE_WISHES_MAX:
            commit.load(dict.fromkeys(id.owner for id in mates))
            for id in mates:
                wish = self._wish(id, commit)
                if wish is not None and wish[0].stamp == claim.stamp and wish[1].together:
                    wishes[id] = Wish(wish[0], (), wish[1].replaces)
        return Request(tuple(wishes.values()), again=True)

    def _fits(self, seat: SeatId, request: Request, commit: Commit) -> bool:
        return self._machine.fits(seat, request, self._capacities([request], commit))

    def _wish(self, id: ClaimId, commit: Commit) -> tuple[Claim, Wanted] | None:
        return self._fresh.get(id) or wish_of(self._domain, id, commit)

    def _capacities(self, requests: Iterable[Request], commit: Commit) -> dict[Resource, int]:
        wishes = [wish for request in requests for wish in request.wishes]
        resources = dict.fromkeys(c.resource for w in wishes for c in (w.claim, *w.alternatives))
        return {resource: self._capacity(resource, commit) for resource in resources}

    def _capacity(self, resource: Resource, commit: Commit) -> int:
        """How much there is; nothing of what was deleted."""
        key = self._domain.capacity_owner(resource)
        owner = commit.record(key) if key is not None else None
        if owner is not None and not owner.alive:
            return 0
        return self._domain.capacity(owner)


def _parts(ids: Sequence[ClaimId]) -> Iterator[tuple[ClaimId, ...]]:
    for first in range(0, len(ids), BUNDLE_WISHES_MAX):
        yield tuple(ids[first : first + BUNDLE_WISHES_MAX])
