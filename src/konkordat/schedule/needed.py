"""What others still need: refused to be deleted, and told of when it changes under them. Pure.

A room, booth or speaker is needed by sessions to come (what is past needs nothing); an event by its sessions and
series, a venue by its rooms and booths, since who decides about them is found through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from konkordat.kernel import canonical
from konkordat.kernel.claim import Resource
from konkordat.kernel.ids import Collection, Group, RecordKey
from konkordat.kernel.refusal import Refusal
from konkordat.replica.domain import View
from konkordat.schedule import claims, rules
from konkordat.schedule.clashes import overbooked
from konkordat.schedule.commands import WARNINGS_MAX, WriteWarning, singular
from konkordat.schedule.drafts import Draft
from konkordat.schedule.keys import SYSTEM_TENANT
from konkordat.schedule.places import CONFLICTS_MAX, Places
from konkordat.schedule.rules import located
from konkordat.schedule.series import SERIES

# Later than any slot can be.
_FAR_MS: Final = 1 << 60

_CHILDREN: Final[Mapping[Collection, tuple[Collection, ...]]] = {
    claims.EVENTS: (claims.SESSIONS, SERIES),
    claims.VENUES: (claims.ROOMS, claims.BOOTHS),
}
# What of an event says when it is.
_DAYS: Final = frozenset(map(Group, ("start_date", "end_date", "time_zone", "day_starts_at")))


class Needs:
    """What the records of one command are needed for. Asked when their places are settled."""

    def __init__(self, view: View, drafts: Mapping[RecordKey, Draft], places: Places) -> None:
        self._view = view
        self._drafts = drafts
        self._places = places

    def check_deletions(self) -> Refusal | None:
        """Whether something is deleted that is still needed once the command is done."""
        for draft in self._drafts.values():
            if draft.deletes:
                refusal = self._needed_by_sessions(draft) or self._needed_by_children(draft)
                if refusal is not None:
                    return located(refusal, draft.operation)
        return None

    def warnings(self) -> Iterator[WriteWarning]:
        """What changes under those who need it."""
        yield from self._sessions_that_stay()
        yield from self._rooms_that_shrink()

    def _rooms_that_shrink(self) -> Iterator[WriteWarning]:
        """Rooms that take fewer at a time than are booked: nobody loses a place because of that."""
        for draft in self._drafts.values():
            resource = claims.owned_resource(draft.key)
            shrinks = draft.key.collection == claims.ROOMS and claims.MAX_CONCURRENT in draft.writes
            if not shrinks or resource is None or not (draft.was_alive and draft.alive):
                continue
            capacity = claims.sensible_capacity(rules.read(draft.values, claims.MAX_CONCURRENT))
            users = overbooked(self._places.holders(resource, self._view.now_ms, _FAR_MS), capacity)
            ids = tuple(dict.fromkeys(claim.id.owner.id for claim in users))
            if ids:
                detail = (
                    f"{len(ids)} bookings to come are more at a time than the room takes now ({capacity}). They keep"
                    " their places, and are `overbooked` in the clashes of their events."
                )
                yield WriteWarning(
                    "overbooked",
                    detail,
                    draft.operation,
                    f"/{claims.MAX_CONCURRENT}",
                    "",
                    ids[:CONFLICTS_MAX],
                )

    def _sessions_that_stay(self) -> Iterator[WriteWarning]:
        """Events that move while their sessions stay: nobody's booking moves because somebody else's date does."""
        for draft in self._drafts.values():
            if draft.key.collection != claims.EVENTS or not (draft.was_alive and draft.alive):
                continue
            moved = sorted(_DAYS & draft.writes.keys())
            count = self._living(draft.key, claims.SESSIONS) if moved else 0
            if count:
                some = "A session keeps its time" if count == 1 else f"{count} sessions keep theirs"
                detail = f"{some}; those outside the event's days are `outside` in its clashes."
                yield WriteWarning("sessions_stay", detail, draft.operation, f"/{moved[0]}", "")

    def _needed_by_sessions(self, draft: Draft) -> Refusal | None:
        resource = _needed_as(draft.key)
        users = self._places.holders(resource, self._view.now_ms, _FAR_MS) if resource else ()
        if not users:
            return None
        what = singular(draft.key.collection)
        some = (
            "A session to come needs" if len(users) == 1 else f"{len(users)} sessions to come need"
        )
        detail = f"{some} the {what} {draft.key.id}."
        return Refusal("in_use", detail, conflicts=tuple(users[:WARNINGS_MAX]))

    def _needed_by_children(self, draft: Draft) -> Refusal | None:
        for collection in _CHILDREN.get(draft.key.collection, ()):
            count = self._living(draft.key, collection)
            if count:
                what = singular(draft.key.collection)
                some = singular(collection) if count == 1 else str(collection)
                detail = f"The {what} {draft.key.id} has {count} {some}. Delete them first."
                return Refusal("in_use", detail, extra={str(collection): count})
        return None

    def _living(self, parent: RecordKey, collection: Collection) -> int:
        """How many there are once the command is done."""
        name = Group(parent.collection.removesuffix("s"))
        more = sum(
            draft.alive - draft.was_alive
            for draft in self._drafts.values()
            if draft.key.collection == collection
            and canonical.decode(draft.value(name)) == parent.id
        )
        return self._view.living(parent.tenant, collection, parent.id) + more


def _needed_as(key: RecordKey) -> Resource | None:
    if key.tenant == SYSTEM_TENANT:
        return None
    if key.collection == claims.SPEAKERS:
        return Resource(key.tenant, claims.speaker_name(key.id))
    return claims.owned_resource(key)
