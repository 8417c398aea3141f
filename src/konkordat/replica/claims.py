"""The claim index during one commit: what records claim and who holds which place, kept up as records change.

Only what hangs together with a change through overlaps is decided anew, so the cost follows the crowd at one time in
one room, not the number of bookings of the room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from konkordat.kernel.claim import (
    Claim,
    ClaimId,
    ClaimState,
    DecidedClaim,
    Resource,
    decide,
)
from konkordat.kernel.hlc import AHEAD_MS_MAX
from konkordat.kernel.ids import RecordKey
from konkordat.kernel.record import Record
from konkordat.replica.domain import Domain
from konkordat.replica.sums import IN_THE_WAY, Sums, Tally
from konkordat.store.port import Reader, Span

ALWAYS = (-(1 << 62), 1 << 62)
# The part under which the index keeps the place that a claim still has while its move is undecided, or denied.
HELD = "@held"
# The part, with a seat behind it, under which the index keeps what is final of a claim there and is not seen from the
# claim: that a wish was denied which is not here yet, or a place that was let go and is not free yet.
SETTLED = "@settled:"


def settled_id(id: ClaimId, seat: str) -> ClaimId:
    """Under what the index keeps what is final of a claim at a seat and is not seen from the claim."""
    return ClaimId(id.owner, f"{id.part}{SETTLED}{seat}")


def held_claim(claim: Claim) -> Claim:
    """The place that a claim holds, as the index keeps it."""
    return Claim(
        held_id(claim.id),
        claim.resource,
        claim.start_ms,
        claim.until_ms,
        claim.quantity,
        claim.stamp,
    )


def own_id(id: ClaimId) -> ClaimId:
    """The claim that a row of the index is about."""
    return ClaimId(id.owner, id.part.partition("@")[0])


def held_id(id: ClaimId) -> ClaimId:
    """Under what the index keeps the place that a claim still has."""
    return ClaimId(id.owner, id.part + HELD)


class ClaimBook:
    """The claims of the store with those of this commit laid over them."""

    def __init__(
        self,
        store: Reader,
        domain: Domain,
        by_seats: bool = False,
        sums: Sums | None = None,
        now_ms: int = 0,
    ) -> None:
        """`sums` are kept over commits, by whoever makes them durable; only where seats decide. `now_ms` is the
        commit's time."""
        self._store = store
        self._domain = domain
        self._by_seats = by_seats  # or by the rule that the earlier keeps its place
        self._states = IN_THE_WAY if by_seats else (ClaimState.CONFIRMED,)
        # What ended before this is in nobody's way, though its end is not decided: a node may be cut off from whoever
        # does. Later than the end, since that node's clock may be behind ours: it would take the place for held still.
        self._ended_ms = now_ms - AHEAD_MS_MAX
        # By seats: which claims came, moved or went (as the commit found them, and as they are now), and resources of
        # which there is more or less than before.
        self.wished: dict[ClaimId, tuple[Claim | None, Claim | None]] = {}
        self.resized: dict[Resource, None] = {}
        self._laid: dict[
            ClaimId, DecidedClaim
        ] = {}  # new, moved or decided otherwise by this commit
        # The same by resource: a commit of many bookings must not look through all of them for each.
        self._laid_on: dict[Resource, dict[ClaimId, DecidedClaim]] = {}
        self._laid_by: dict[RecordKey, dict[ClaimId, DecidedClaim]] = {}  # and by owner
        # Ordered, as everything here that is iterated: a set of texts comes out in another order in every process.
        self._gone: dict[ClaimId, None] = {}
        self._seen: dict[ClaimId, DecidedClaim] = {}  # as the store has them, of what was read
        # Of these owners, all that the store has.
        self._stored: dict[RecordKey, Sequence[DecidedClaim]] = {}
        self._dirty: dict[Span, None] = {}  # where decisions must be looked at again
        self._tally = Tally(store, Sums() if sums is None else sums)

    def record_changed(self, old: Record | None, new: Record) -> None:
        """Book what a record's change does to its claims; `settle` then decides."""
        self._changed({c.id: c for c in self._domain.claims(old)} if old is not None else {}, new)

    def record_repaired(self, new: Record) -> None:
        """The same where bookkeeping had gone wrong: the index says what the record claimed, not the record."""
        held = self.of([new.key]).get(new.key, ())
        own = [d.claim for d in held if d.claim.id == own_id(d.claim.id)]
        self._changed({claim.id: claim for claim in own}, new)

    def _changed(self, was: Mapping[ClaimId, Claim], new: Record) -> None:
        now = {c.id: c for c in self._domain.claims(new)}
        if self._by_seats:
            self._wish(was, now, new)
            return
        for id, claim in was.items():
            if now.get(id) != claim:
                self._dirty[_span(claim)] = None
                if id not in now:
                    self._take_away(id)
                    self._gone[id] = None
        for id, claim in now.items():
            if was.get(id) != claim:
                self._dirty[_span(claim)] = None
                self._gone.pop(id, None)
                self._lay(DecidedClaim(claim, ClaimState.TENTATIVE))

    def _wish(
        self, was: Mapping[ClaimId, Claim], now: Mapping[ClaimId, Claim], record: Record
    ) -> None:
        """Whoever holds the seat decides; until then a claim is tentative. What takes nothing needs no decision."""
        for id, claim in was.items():
            if id not in now:
                self.withdraw(id)
                if claim.quantity:
                    self._note_wish(id, claim, None)
        for id, claim in now.items():
            before = was.get(id)
            if before == claim:
                continue
            self.tell(self._undecided(claim, record))
            if claim.quantity or (before is not None and before.quantity):
                self._note_wish(id, before, claim if claim.quantity else None)

    def _undecided(self, claim: Claim, record: Record) -> DecidedClaim:
        if not claim.quantity:
            return DecidedClaim(claim, ClaimState.CONFIRMED)
        expires_ms = self._domain.wanted(record, claim).expires_ms
        return DecidedClaim(claim, ClaimState.TENTATIVE, (), expires_ms)

    def _note_wish(self, id: ClaimId, old: Claim | None, new: Claim | None) -> None:
        first, _ = self.wished.get(id, (old, None))
        self.wished[id] = (first, new)

    def tell(self, decided: DecidedClaim) -> None:
        """What may be told of a claim from now on."""
        self._gone.pop(decided.claim.id, None)
        self._lay(decided)

    def withdraw(self, id: ClaimId) -> None:
        """Nothing is to be told of a claim any more."""
        told = id in self._laid or id in self._seen
        self._take_away(id)
        if told or id == own_id(id):
            self._gone[id] = None
            self._tally.changed(id.owner)

    def know(self, owners: Iterable[RecordKey]) -> None:
        """Read what the store tells of these records' claims, so that what stays as it was is not written again."""
        unknown = [owner for owner in dict.fromkeys(owners) if owner not in self._stored]
        found = self._store.claims_of(unknown) if unknown else {}
        for owner in unknown:
            claims = self._stored[owner] = found.get(owner, ())
            self._seen.update((d.claim.id, d) for d in claims)

    def was_told(self, id: ClaimId) -> bool:
        """Whether the index had the claim before this commit. Of a known owner."""
        return any(decided.claim.id == id for decided in self._stored[id.owner])

    def knows(self, owners: Iterable[RecordKey]) -> bool:
        """Whether nothing must be read of their claims any more."""
        return all(owner in self._stored for owner in owners)

    def capacity_changed(self, resource: Resource) -> None:
        """All claims of the resource are decided anew."""
        if self._by_seats:
            self.resized[resource] = None
            return
        self._dirty[Span(resource, *ALWAYS)] = None

    def on(self, spans: Iterable[Span]) -> dict[ClaimId, DecidedClaim]:
        """Claims that overlap one of the spans, as this commit sees them."""
        spans = list(spans)
        found: dict[ClaimId, DecidedClaim] = {}
        for decided in self._store.claims_on(spans):
            id = decided.claim.id
            self._seen.setdefault(id, decided)
            if id not in self._laid and id not in self._gone:
                found[id] = decided
        by_resource: dict[Resource, list[Span]] = {}
        for span in spans:
            by_resource.setdefault(span.resource, []).append(span)
        for resource, parts in by_resource.items():
            found |= {
                id: decided
                for id, decided in self._laid_on.get(resource, {}).items()
                if any(_overlaps(decided.claim, span) for span in parts)
            }
        return found

    def granted(self, resource: Resource, start_ms: int, until_ms: int) -> list[Claim]:
        """The claims that hold a place, or wait for it, earliest first."""
        found = self.on([Span(resource, start_ms, until_ms)]).values()
        held = [d.claim for d in found if self._holds(d)]
        return sorted(held, key=lambda c: (c.start_ms, c.order))

    def _holds(self, decided: DecidedClaim) -> bool:
        return decided.state in self._states and not decided.is_over(self._ended_ms)

    def taken(self, span: Span) -> int:
        """How much those take: of each record the largest quantity, added up. What ends is counted until its end is
        decided: sums change with commits, not with time. (Registrations never end.)"""
        if not self._by_seats:
            largest: dict[RecordKey, int] = {}
            for claim in self.granted(*span):
                owner = claim.id.owner
                largest[owner] = max(largest.get(owner, 0), claim.quantity)
            return sum(largest.values())
        return self._tally.taken(span, self)

    def held(self, owners: Iterable[RecordKey]) -> list[Claim]:
        """The claims of these records that hold a place, or wait for it."""
        wanted = list(dict.fromkeys(owners))
        self.know(wanted)
        present = [decided for owner in wanted for decided in self._present(owner)]
        return [d.claim for d in present if d.claim.quantity and self._holds(d)]

    def sums_after(self) -> dict[Span, int]:
        """What is taken when this commit is durable, of all that is kept in sums and that it changes."""
        return self._tally.after(self) if self._by_seats else {}

    def stood(self, owner: RecordKey) -> list[Claim]:
        """What of a known owner's claims was in the way of others before this commit."""
        return self._in_the_way(self._stored[owner])

    def stands(self, owner: RecordKey) -> list[Claim]:
        """What of them is now."""
        return self._in_the_way(self._present(owner))

    def _in_the_way(self, claims: Iterable[DecidedClaim]) -> list[Claim]:
        return [d.claim for d in claims if d.claim.quantity and d.state in self._states]

    def _present(self, owner: RecordKey) -> list[DecidedClaim]:
        """The claims of a record of which the store's are known, as this commit sees them."""
        laid, gone = self._laid_by.get(owner, {}), self._gone
        stored = self._stored[owner]
        kept = [d for d in stored if d.claim.id not in laid and d.claim.id not in gone]
        return [*kept, *laid.values()]

    def _lay(self, decided: DecidedClaim) -> None:
        """Put a claim over what the store has; one that moved leaves its old resource."""
        id = decided.claim.id
        before = self._laid.get(id)
        if before is not None and before.claim.resource != decided.claim.resource:
            self._take_away(id)
        self._laid[id] = decided
        self._laid_on.setdefault(decided.claim.resource, {})[id] = decided
        self._laid_by.setdefault(id.owner, {})[id] = decided
        self._tally.changed(id.owner)

    def _take_away(self, id: ClaimId) -> None:
        before = self._laid.pop(id, None)
        if before is not None:
            del self._laid_on[before.claim.resource][id], self._laid_by[id.owner][id]
            self._tally.changed(id.owner)

    def settle(self, owners: Mapping[RecordKey, Record | None]) -> None:
        """Decide everything that hangs together with what changed. `owners` gives the capacity of resources."""
        if not self._dirty:
            return
        by_resource: dict[Resource, dict[ClaimId, DecidedClaim]] = {}
        for id, decided in self._component(self._dirty).items():
            by_resource.setdefault(decided.claim.resource, {})[id] = decided
        self._dirty = {}
        for resource, present in by_resource.items():
            owner = self._domain.capacity_owner(resource)
            capacity = self._domain.capacity(owners.get(owner) if owner else None)
            decisions = decide((d.claim for d in present.values()), capacity)
            for id, decided in decisions.items():
                if decided != present[id]:
                    self._lay(decided)

    def dirty_owners(self) -> list[RecordKey]:
        """The records that say the capacity of what `settle` will look at."""
        if not self._dirty:
            return []
        resources = dict.fromkeys(span.resource for span in self._dirty)
        owners = [self._domain.capacity_owner(resource) for resource in resources]
        return [owner for owner in owners if owner is not None]

    def _component(self, dirty: Iterable[Span]) -> dict[ClaimId, DecidedClaim]:
        """All claims connected with the spans through overlaps: from round to round the set only grows, to all claims
        of the resources at most. Cutting it short would let nodes decide differently."""
        asked: dict[Span, None] = {}
        found: dict[ClaimId, DecidedClaim] = {}
        spans = list(dirty)
        while spans:
            asked |= dict.fromkeys(spans)
            found |= self.on(spans)
            reach = dict.fromkeys(_span(d.claim) for d in found.values())
            new = [span for span in reach if span not in asked]
            spans = [span for span in new if not any(_within(span, a) for a in asked)]
        return found

    def changed(self) -> list[DecidedClaim]:
        """What the commit must write."""
        return [d for id, d in self._laid.items() if self._seen.get(id) != d]

    def gone(self) -> list[ClaimId]:
        return list(self._gone)

    def whole(self, keys: Iterable[RecordKey]) -> dict[RecordKey, tuple[DecidedClaim, ...]]:
        """The same as a store's `claims_of` after this commit, of those for which nothing must be read."""
        return {
            key: tuple(sorted(self._present(key), key=lambda d: d.claim.id.part))
            for key in keys
            if key in self._stored
        }

    def of(self, keys: Iterable[RecordKey]) -> dict[RecordKey, list[DecidedClaim]]:
        """What these records claim, as this commit leaves it."""
        wanted = list(dict.fromkeys(keys))
        self.know(wanted)
        return {key: present for key in wanted if (present := self._present(key))}


def _span(claim: Claim) -> Span:
    return Span(claim.resource, claim.start_ms, claim.until_ms)


def _overlaps(claim: Claim, span: Span) -> bool:
    """Of a claim on the span's resource."""
    return claim.start_ms < span.until_ms and span.start_ms < claim.until_ms


def _within(inner: Span, outer: Span) -> bool:
    return (
        inner.resource == outer.resource
        and outer.start_ms <= inner.start_ms
        and inner.until_ms <= outer.until_ms
    )
