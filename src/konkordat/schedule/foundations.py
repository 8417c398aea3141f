"""What seats rest on: facts about records that must not change while places are granted because of them. Pure.

A seat is found through fields of records (a room names its venue, a session its event). Were such a field to change,
two seats would each grant the same place, neither knowing of the other. So those fields are fixed once they are set,
and a room that was deleted does not come back under its id: nobody could tell any more whose it was.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from konkordat.kernel import canonical
from konkordat.kernel.ids import Collection, Group, NodeName
from konkordat.kernel.refusal import Refusal
from konkordat.schedule.claims import BOOTHS, ROOMS, VENUES
from konkordat.schedule.commands import NULL, WriteWarning, singular
from konkordat.schedule.drafts import Draft
from konkordat.schedule.rules import read
from konkordat.schedule.seats import FOUNDED, REGION, SEATED

# Deleted for good: what was granted there by the seat of their venue may still stand.
_WITHOUT_RETURN: Final[frozenset[Collection]] = frozenset({ROOMS, BOOTHS, VENUES})


def check_foundations(draft: Draft) -> Refusal | None:
    """Whether what the draft becomes moves what a seat rests on."""
    if draft.spec.is_frozen and draft.was_alive and not draft.is_as_it_was:
        what = singular(draft.key.collection)
        return Refusal("frozen", f"The {what} {draft.key.id} never changes.")
    if not draft.alive or draft.base is None:
        return None
    if not draft.was_alive:
        return _returned(draft)
    for name in sorted(draft.spec.fixed):
        group = Group(name)
        register = draft.base.fields.get(group)
        before = NULL if register is None else register.value
        if before not in {NULL, draft.value(group)}:
            what = singular(draft.key.collection)
            detail = f"The {name} of a {what} cannot change. Make another {what} there."
            return Refusal("fixed", detail, f"/{name}")
    return None


def _returned(draft: Draft) -> Refusal | None:
    if draft.key.collection not in _WITHOUT_RETURN:
        return None
    detail = f"The {singular(draft.key.collection)} {draft.key.id} was deleted, which is for good."
    return Refusal("deleted_for_good", detail, "/id")


def note_roster(draft: Draft, roster: int) -> None:
    """Write down under which roster the seat of a new venue or event is made; `roster` is the latest known, 0 where
    nobody decides by seats. An event that comes back keeps the earliest, since deleting forgot its own."""
    if draft.alive and draft.base is None and draft.key.collection in SEATED:
        draft.set(FOUNDED, canonical.encode(max(roster, 1)))


def unknown_region(draft: Draft, members: Container[NodeName]) -> WriteWarning | None:
    """Say so where a venue or event is written whose region is no member's name: nobody is at home there, so any member
    decides. It may be a typing error, or a node that is still to join."""
    if draft.key.collection not in SEATED or not draft.alive or REGION not in draft.writes:
        return None
    region = read(draft.values, REGION)
    if not isinstance(region, str) or NodeName(region) in members:
        return None
    detail = f"No member of the roster is called {region!r}; until one is, any of them decides."
    return WriteWarning("unknown_region", detail, draft.operation, f"/{REGION}", "")
