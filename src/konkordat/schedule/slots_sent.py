"""What of a slot as a command writes it makes no sense, whatever else there is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from konkordat.kernel.refusal import Refusal
from konkordat.schedule.claims import decoded
from konkordat.schedule.commands import NULL, WriteWarning
from konkordat.schedule.drafts import Draft
from konkordat.schedule.slots import SLOT, Place, alternative_slots, plan_from
from konkordat.schedule.times import to_utc_ms


def unreadable(draft: Draft) -> Refusal | None:
    """Whether a written slot, or an alternative of it, has no time: an unknown zone, or a wall time that is skipped."""
    slot = decoded(draft.writes.get(SLOT, NULL))
    if not isinstance(slot, dict):
        return None
    refusal = _no_time(slot, "/slot")
    for number, other in enumerate(alternative_slots(slot)):
        refusal = refusal or _no_time(other, f"/slot/alternatives/{number}")
    return refusal


def _no_time(slot: Mapping[str, Any], pointer: str) -> Refusal | None:
    local, zone_name = str(slot.get("local_start")), str(slot.get("time_zone"))
    start = to_utc_ms(local, zone_name, int(slot.get("fold") or 0))
    if isinstance(start, int):
        return None
    field = "local_start"
    if start.code == "unknown_time_zone":
        pointer, field = "/slot", "time_zone"
    suggestions = list(getattr(start, "suggestions", ()))
    extra = {"suggestions": suggestions} if suggestions else {}
    return Refusal(start.code, f"{start}.", f"{pointer}/{field}", extra=extra)


def named_twice(draft: Draft) -> Iterator[WriteWarning]:
    """Alternatives that are the wish itself, or one that comes before."""
    seen: set[Place] = set()
    for number, candidate in enumerate(plan_from(draft.value(SLOT)).candidates):
        if candidate.place in seen:
            detail = (
                "This alternative is the slot itself or one that comes before; it adds nothing."
            )
            pointer = f"/slot/alternatives/{number - 1}"
            yield WriteWarning(
                "duplicate_alternative", detail, draft.operation, pointer, draft.key.id
            )
        seen.add(candidate.place)
