"""What is free instead of a place: looked for on this node's copy, beside the owner of the data, whose time is dear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from konkordat.kernel import canonical
from konkordat.kernel.claim import Claim, ClaimState, Resource
from konkordat.kernel.ids import Collection, RecordId, RecordKey, Tenant, record_key
from konkordat.kernel.record import Record
from konkordat.schedule import rules
from konkordat.schedule.alternatives import Asking, free_rooms, free_times
from konkordat.schedule.claims import ROOMS, SESSIONS, owned_resource
from konkordat.schedule.rulebook import Rulebook
from konkordat.schedule.slots import Candidate, plan_from
from konkordat.store.port import Reader, Span

ROOMS_MAX: Final = 500  # of a venue that are looked at
_HOLDING: Final = frozenset({ClaimState.CONFIRMED, ClaimState.TENTATIVE})


class Copy:
    """This node's copy, as the schedule's rules look at it."""

    def __init__(self, reader: Reader, tenant: Tenant, now_ms: int) -> None:
        self._reader = reader
        self._tenant = tenant
        self.book = Rulebook(tenant, self.values, now_ms)

    def values(self, collection: Collection, id: object) -> rules.Values | None:
        key = record_key(self._tenant, collection, str(id))
        record = self._reader.load([key]).get(key)
        return _values(record) if record is not None and record.alive else None

    def asking(self, key: RecordKey, event: object) -> Asking:
        """On behalf of a session, whose own places are in nobody's way."""

        def holders(resource: Resource, start_ms: int, until_ms: int) -> Sequence[Claim]:
            found = self._reader.claims_on([Span(resource, start_ms, until_ms)])
            held = [d.claim for d in found if d.state in _HOLDING]
            return [claim for claim in held if claim.id.owner != key]

        return Asking(self.book, holders, key, event)

    def rooms(self, asking: Asking, wish: Candidate, seats: object) -> list[dict[str, Any]]:
        """Other rooms of the venue at the same time. A booth has no size, so there are none instead of it."""
        if not wish.name.startswith("room/"):
            return []
        venue = self.book.venue(wish.name)
        records = self._reader.scan(self._tenant, ROOMS, RecordId(""), ROOMS_MAX, venue)
        named = [(owned_resource(room.key), _values(room)) for room in records]
        others = [(resource.name, values) for resource, values in named if resource is not None]
        need = seats if isinstance(seats, int) else None
        return free_rooms(asking, self.book.buffered(wish), others, need)


def _values(record: Record) -> rules.Values:
    return {group: register.value for group, register in record.fields.items()}


def free_instead(reader: Reader, tenant: Tenant, wished: dict[str, Any]) -> list[dict[str, Any]]:
    """Slots instead of the one that a refused session wished for: at other times, then in other rooms."""
    candidates = plan_from(canonical.encode(wished["slot"])).candidates
    if not candidates:
        return []
    copy = Copy(reader, tenant, 0)
    asking = copy.asking(record_key(tenant, SESSIONS, wished["session"]), wished["event"])
    wish = copy.book.buffered(candidates[0])
    return free_times(asking, wish) + copy.rooms(asking, wish, wished["seats"])
