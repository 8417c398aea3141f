"""Whether speakers can be where a programme wants them: soft rules, told as warnings. Pure.

    speaker_unavailable   a session at a time at which one of its speakers cannot come
    speaker_gap           less time between two sessions of a speaker than the event leaves them

That somebody would have to be in two places at once is `speaker_clash` (places.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from konkordat.kernel.claim import Resource
from konkordat.kernel.ids import Group, RecordKey
from konkordat.schedule import rules
from konkordat.schedule.afterwards import Afterwards
from konkordat.schedule.claims import (
    EVENT,
    EVENTS,
    SESSIONS,
    SPEAKER_LIST,
    SPEAKERS,
    STATE,
    is_cancelled,
    speaker_name,
    speakers_in,
)
from konkordat.schedule.commands import NULL, WriteWarning
from konkordat.schedule.drafts import Draft
from konkordat.schedule.fields import AVAILABILITY_MAX, BUFFER_MINUTES_MAX
from konkordat.schedule.places import CONFLICTS_MAX, Places
from konkordat.schedule.slots import SLOT, place_of
from konkordat.schedule.times import MINUTE_MS, Interval, to_utc_ms

AVAILABILITY: Final = Group("availability")
GAP: Final = Group("speaker_gap_minutes")
_TOUCHING: Final = frozenset({SLOT, SPEAKER_LIST, STATE})


class People:
    """The speakers of one command's sessions. Asked once everything has its place."""

    def __init__(
        self, drafts: Mapping[RecordKey, Draft], after: Afterwards, places: Places
    ) -> None:
        self._drafts = drafts
        self._after = after
        self._places = places

    def warnings(self) -> Iterator[WriteWarning]:
        """What the command breaks of the rules of this module."""
        for draft in self._drafts.values():
            if draft.key.collection != SESSIONS or not draft.alive:
                continue
            interval = _interval(draft.values)
            if interval is None or _TOUCHING.isdisjoint(draft.writes):
                continue
            for number, speaker in enumerate(speakers_in(draft.value(SPEAKER_LIST))):
                pointer = f"/speakers/{number}"
                yield from self._unavailable(draft, interval, speaker, pointer)
                yield from self._hurried(draft, interval, speaker, pointer)

    def _unavailable(
        self, draft: Draft, interval: Interval, speaker: str, pointer: str
    ) -> Iterator[WriteWarning]:
        values = self._after.values(SPEAKERS, speaker) or {}
        if not is_available(interval, values):
            detail = f"Speaker {speaker} cannot come at that time."
            id = draft.key.id
            yield WriteWarning(
                "speaker_unavailable", detail, draft.operation, pointer, id, (), speaker
            )

    def _hurried(
        self, draft: Draft, interval: Interval, speaker: str, pointer: str
    ) -> Iterator[WriteWarning]:
        """The speaker's sessions before and after that come too near. Of two in one command both tell."""
        event = rules.read(draft.values, EVENT)
        values = self._after.values(EVENTS, event) or {}
        gap_ms = _gap_ms(values)
        if not gap_ms:
            return
        start, until = interval.start_ms, interval.until_ms
        resource = Resource(draft.key.tenant, speaker_name(speaker))
        near = self._places.holders(resource, start - gap_ms, until + gap_ms)
        others = {
            claim.id.owner.id
            for claim in near
            if claim.id.owner != draft.key
            and not Interval(claim.start_ms, claim.until_ms).overlaps(interval)
        }
        if others:
            named = tuple(sorted(others)[:CONFLICTS_MAX])
            minutes = gap_ms // MINUTE_MS
            detail = f"Speaker {speaker} has less than {minutes} minutes to or from {named[0]}."
            id = draft.key.id
            yield WriteWarning("speaker_gap", detail, draft.operation, pointer, id, named, speaker)


def is_available(interval: Interval, speaker: rules.Values) -> bool:
    """True if the speaker can come all that time; who says nothing always can. Times that meet are one."""
    said = rules.read(speaker, AVAILABILITY)
    windows = sorted(_windows(said)) if isinstance(said, list) else []
    if not windows:
        return True
    reached = interval.start_ms
    for window in windows:
        if window.start_ms <= reached < window.until_ms:
            reached = window.until_ms
    return reached >= interval.until_ms


def _windows(said: Iterable[object]) -> Iterator[Interval]:
    """The times that make sense: a peer may have sent others."""
    for number, window in enumerate(said):
        if number == AVAILABILITY_MAX:
            return
        if not isinstance(window, dict):
            continue
        zone = str(window.get("time_zone"))
        start = to_utc_ms(str(window.get("local_start")), zone)
        # The later of two equal wall times: who is here until the clocks go back is here while they do.
        until = to_utc_ms(str(window.get("local_end")), zone, 1)
        if isinstance(start, int) and isinstance(until, int) and start < until:
            yield Interval(start, until)


def _interval(values: rules.Values) -> Interval | None:
    slot = values.get(SLOT, NULL)
    if slot == NULL or is_cancelled(rules.read(values, STATE)):
        return None
    place = place_of(slot)
    return None if place is None else place.interval


def _gap_ms(event: rules.Values) -> int:
    minutes = rules.read(event, GAP)
    sound = isinstance(minutes, int) and not isinstance(minutes, bool) and minutes > 0
    return min(minutes, BUFFER_MINUTES_MAX) * MINUTE_MS if sound else 0
