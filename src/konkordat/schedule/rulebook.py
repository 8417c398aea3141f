"""What a place must fulfil before it may be claimed: day, venue, hours, and not long past. Pure; it looks records up
through a function, so a command in the making and an answer about what is free ask the same rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from zoneinfo import ZoneInfo

from konkordat.kernel.claim import Resource
from konkordat.kernel.ids import Collection, Tenant
from konkordat.kernel.refusal import Refusal
from konkordat.schedule import rules
from konkordat.schedule.claims import (
    EVENTS,
    MAX_CONCURRENT,
    VENUES,
    capacity_owner,
    sensible_capacity,
)
from konkordat.schedule.slots import Candidate
from konkordat.schedule.times import MINUTE_MS, utc_text, zone

# How long ago a place may have been left and still be claimed, unless a reason is given. Archives of earlier editions
# are imported; what is older is a typing error, and would be decided and kept like anything else.
PAST_DAYS_MAX: Final = 10 * 366
_DAY_MS: Final = 24 * 60 * MINUTE_MS
_NOTHING: Final[rules.Values] = {}

# A record's groups by collection and id, None for what is not alive.
LookUp = Callable[[Collection, object], rules.Values | None]


class Rulebook:
    """The rules as they are for one tenant at one moment."""

    def __init__(
        self, tenant: Tenant, look_up: LookUp, now_ms: int, *, overridden: bool = False
    ) -> None:
        self._tenant = tenant
        self._look_up = look_up
        self._now_ms = now_ms
        self._overridden = overridden  # a reason was given for what may be overridden
        self._sites: dict[str, rules.Values] = {}  # rooms and booths that were looked up

    def values(self, collection: Collection, id: object) -> rules.Values | None:
        """A record's groups, None for what is not alive."""
        return self._look_up(collection, id)

    def site(self, name: str) -> rules.Values:
        """The room or booth of that resource name."""
        found = self._sites.get(name)
        if found is None:
            owner = capacity_owner(Resource(self._tenant, name))
            assert owner is not None
            found = self._sites[name] = self._look_up(owner.collection, owner.id) or _NOTHING
        return found

    def venue(self, name: str) -> str:
        """The id of a place's venue, whose seat decides there."""
        return str(rules.read(self.site(name), "venue") or "")

    def capacity(self, name: str) -> int:
        """How many the place may host at one time."""
        return sensible_capacity(rules.read(self.site(name), MAX_CONCURRENT))

    def buffered(self, candidate: Candidate) -> Candidate:
        """The place with the buffers that its room has now."""
        buffers = rules.buffers_of(self.site(candidate.name))
        return candidate.with_buffers(buffers.before_minutes, buffers.after_minutes)

    def broken(self, candidate: Candidate, event_id: object, pointer: str) -> Refusal | None:
        """The first rule that the place breaks for a session of the event. `pointer` is that of its slot."""
        interval, what = candidate.place.interval, candidate.name.replace("/", " ")
        at = f"{pointer}/local_start"
        if self._is_long_past(interval.until_ms):
            detail = f"{utc_text(interval.start_ms)} is more than {PAST_DAYS_MAX} days ago."
            return Refusal("in_the_past", detail, at)
        event = self._look_up(EVENTS, event_id)
        frame = rules.frame_of(event) if event else None
        if frame is not None and not rules.within_event(interval, frame):
            detail = f"{utc_text(interval.start_ms)} is not on a day of the event."
            return Refusal("outside_event", detail, at)
        site = self.site(candidate.name)
        owned_by = rules.read(site, "event")
        if owned_by is not None and owned_by != event_id:
            return Refusal("wrong_place", f"The {what} is kept for another event.", pointer)
        if frame is not None and frame.venues and rules.read(site, "venue") not in frame.venues:
            return Refusal("wrong_place", f"The {what} is in no venue of the event.", pointer)
        if not self._overridden and not self._is_open(candidate, site):
            return Refusal("outside_hours", f"The {what} cannot be booked at that time of day.", at)
        return None

    def _is_long_past(self, until_ms: int) -> bool:
        return not self._overridden and until_ms < self._now_ms - PAST_DAYS_MAX * _DAY_MS

    def _is_open(self, candidate: Candidate, site: rules.Values) -> bool:
        """True if the place may be booked then. Hours are the venue's wall time, and the session's own times count:
        the room is set up before the doors open."""
        if not rules.read(site, "bookable_hours"):
            return True
        venue = self._look_up(VENUES, rules.read(site, "venue")) or _NOTHING
        found = zone(str(rules.read(venue, "time_zone") or candidate.time_zone))
        return isinstance(found, ZoneInfo) and rules.within_hours(
            candidate.place.interval, site, found
        )
