"""How much is taken of resources, kept over commits, so that one more registration does not add up ten thousand.

A cache of what the store's index of claims says: loaded by one query when it is first asked for, then kept up by what
each commit changes, once that is durable. It is in memory alone; a start begins without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from konkordat.kernel.claim import Claim, ClaimState, Resource
from konkordat.kernel.ids import RecordKey
from konkordat.store.port import Reader, Span

# Sums that are kept, about 300 bytes each: the sessions for which people register in the same days. Beyond, those that
# were not asked for longest are forgotten, and are added up again when they are asked for.
RESOURCES_MAX: Final = 10_000
# Where seats decide: what waits for its decision may get the place.
IN_THE_WAY: Final = (ClaimState.CONFIRMED, ClaimState.TENTATIVE)


class Sums:
    """By resource: how much is taken of it in one time, as committed. The least lately used comes first."""

    def __init__(self, resources_max: int = RESOURCES_MAX) -> None:
        self._resources_max = resources_max
        self._kept: dict[Resource, tuple[Span, int]] = {}

    def get(self, span: Span) -> int | None:
        """The sum, if it is known."""
        kept = self._kept.pop(span.resource, None)
        if kept is None:
            return None
        self._kept[span.resource] = kept
        return kept[1] if kept[0] == span else None

    def keep(self, span: Span, taken: int) -> None:
        """What the store says. Of each resource the time that was asked for last is kept."""
        self._kept.pop(span.resource, None)
        self._kept[span.resource] = (span, taken)
        if len(self._kept) > self._resources_max:
            del self._kept[next(iter(self._kept))]

    def among(self, resources: Iterable[Resource]) -> list[Span]:
        """Of which of these something is kept, and for what time."""
        return [kept[0] for r in resources if (kept := self._kept.get(r)) is not None]

    def adopt(self, after: Mapping[Span, int]) -> None:
        """What a commit left, which is durable now. What was forgotten meanwhile stays forgotten."""
        for span, taken in after.items():
            kept = self._kept.get(span.resource)
            if kept is not None and kept[0] == span:
                self._kept[span.resource] = (span, taken)

    def forget(self) -> None:
        """Everything: the index was put right, and nobody knows what had been wrong."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)


class Book(Protocol):
    """The claims of owners in one commit, of those that are in the way of others."""

    def know(self, owners: Iterable[RecordKey]) -> None:
        """Read what is not known of these, in one query. Before the others."""

    def stood(self, owner: RecordKey) -> list[Claim]:
        """As the store has them."""

    def stands(self, owner: RecordKey) -> list[Claim]:
        """As the commit has them."""


class Tally:
    """The sums during one commit: what is committed, and what the commit changes so far. It is part of the book that it
    asks, so it is handed that and does not hold it: a commit in a circle would wait for the garbage collector."""

    def __init__(self, store: Reader, sums: Sums) -> None:
        self._store = store
        self._sums = sums
        self._tally: dict[Resource, dict[Span, int]] = {}  # of what was asked about
        self._uncounted: dict[RecordKey, None] = {}  # whose claims changed since they were counted
        self._counted: dict[RecordKey, list[Claim]] = {}  # what stood in the way then
        self._changed_on: dict[Resource, dict[RecordKey, None]] = {}  # their owners

    def changed(self, owner: RecordKey) -> None:
        """Something of the owner's claims is otherwise. Counted when somebody asks."""
        self._uncounted[owner] = None

    def taken(self, span: Span, book: Book) -> int:
        self._count(book)
        tally = self._tally.setdefault(span.resource, {})
        if span not in tally:
            tally[span] = self._committed(span) + self._difference(span, book)
        return tally[span]

    def after(self, book: Book) -> dict[Span, int]:
        """All that is kept and that the commit changes, as it will be."""
        if not len(self._sums):
            return {}
        self._count(book)
        return {span: self.taken(span, book) for span in self._sums.among(self._changed_on)}

    def _committed(self, span: Span) -> int:
        known = self._sums.get(span)
        if known is None:
            known = self._store.taken(span, IN_THE_WAY)
            self._sums.keep(span, known)
        return known

    def _difference(self, span: Span, book: Book) -> int:
        owners = self._changed_on.get(span.resource, ())
        stood = book.stood
        return sum(share(self._counted[o], span) - share(stood(o), span) for o in owners)

    def _count(self, book: Book) -> None:
        """Bring the tally up to date with what changed since the last time."""
        owners, self._uncounted = self._uncounted, {}
        book.know(owners)
        for owner in owners:
            before = self._counted.get(owner)
            if before is None:
                before = book.stood(owner)
            now = self._counted[owner] = book.stands(owner)
            for resource in dict.fromkeys(claim.resource for claim in (*before, *now)):
                self._changed_on.setdefault(resource, {})[owner] = None
                tally = self._tally.get(resource, {})
                for span in tally:
                    tally[span] += share(now, span) - share(before, span)


def share(claims: Iterable[Claim], span: Span) -> int:
    """What one record takes by its claims: one that is being changed holds its old place and wants a new one, so the
    larger counts."""
    return max([c.quantity for c in claims if _is_in(c, span)], default=0)


def _is_in(claim: Claim, span: Span) -> bool:
    return (
        claim.resource == span.resource
        and claim.start_ms < span.until_ms
        and span.start_ms < claim.until_ms
    )
