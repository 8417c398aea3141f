"""When holds end: counted from now at the node that writes, then an instant that every node reads alike. Pure."""

from __future__ import annotations

from typing import Final

from konkordat.kernel import canonical
from konkordat.kernel.ids import Group
from konkordat.kernel.refusal import Refusal
from konkordat.schedule import rules
from konkordat.schedule.claims import EXPIRES_AT, HOLDS
from konkordat.schedule.drafts import Draft
from konkordat.schedule.holds import HOLD_SECONDS, HOLD_SECONDS_MAX
from konkordat.schedule.times import instant_ms, utc_text

TTL: Final = Group("ttl_seconds")


def settle_expiry(draft: Draft, now_ms: int) -> Refusal | None:
    """Give a hold that is written its end, or say why it cannot have the one it names."""
    if draft.key.collection != HOLDS or not draft.alive or not draft.writes:
        return None
    ttl_s = rules.read(draft.values, str(TTL))
    draft.forget(TTL)
    if ttl_s is not None:
        draft.set(EXPIRES_AT, _at(now_ms + ttl_s * 1_000))
    elif rules.read(draft.values, str(EXPIRES_AT)) is None:
        draft.set(EXPIRES_AT, _at(now_ms + HOLD_SECONDS * 1_000))
    elif EXPIRES_AT in draft.writes:
        expires_ms = instant_ms(rules.read(draft.values, str(EXPIRES_AT)))
        if expires_ms is None or not now_ms < expires_ms <= now_ms + HOLD_SECONDS_MAX * 1_000:
            detail = f"A hold ends after now, and at most {HOLD_SECONDS_MAX // 3_600} hours ahead."
            return Refusal("bad_expiry", detail, "/expires_at")
    return None


def _at(utc_ms: int) -> bytes:
    return canonical.encode(utc_text(utc_ms))
