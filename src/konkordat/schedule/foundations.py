"""What seats rest on: facts about records that must not change while places are granted because of them. Pure.

A seat is found through fields of records (a room names its venue, a session its event). Were such a field to change,
two seats would each grant the same place, neither knowing of the other. So those fields are fixed once they are set,
and a room that was deleted does not come back under its id: nobody could tell any more whose it was.
"""

from __future__ import annotations

from typing import Final

from konkordat.kernel import canonical
from konkordat.kernel.ids import Collection, Group
from konkordat.kernel.refusal import Refusal
from konkordat.schedule.claims import BOOTHS, EVENTS, ROOMS, VENUES
from konkordat.schedule.commands import NULL
from konkordat.schedule.drafts import Draft
from konkordat.schedule.seats import FOUNDED

# Deleted for good: what was granted there by the seat of their venue may still stand.
_WITHOUT_RETURN: Final[frozenset[Collection]] = frozenset({ROOMS, BOOTHS, VENUES})
_WITH_SEATS: Final[frozenset[Collection]] = frozenset({VENUES, EVENTS})


def check_foundations(draft: Draft) -> Refusal | None:
    """Whether what the draft becomes moves what a seat rests on."""
    if draft.spec.is_frozen and draft.was_alive and not draft.is_as_it_was:
        what = draft.key.collection.removesuffix("s").replace("_", " ")
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
            what = draft.key.collection.removesuffix("s")
            detail = f"The {name} of a {what} cannot change. Make another {what} there."
            return Refusal("fixed", detail, f"/{name}")
    return None


def _returned(draft: Draft) -> Refusal | None:
    if draft.key.collection not in _WITHOUT_RETURN:
        return None
    detail = f"The {draft.key.collection.removesuffix('s')} {draft.key.id} was deleted, which is for good."
    return Refusal("deleted_for_good", detail, "/id")


def note_roster(draft: Draft, roster: int) -> None:
    """Write down under which roster the seat of a new venue or event is made; `roster` is the latest known, 0 where
    nobody decides by seats. An event that comes back keeps the earliest, since deleting forgot its own."""
    if draft.alive and draft.base is None and draft.key.collection in _WITH_SEATS:
        draft.set(FOUNDED, canonical.encode(max(roster, 1)))
