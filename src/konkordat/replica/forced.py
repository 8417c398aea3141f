"""A roster that one surviving member forces when the majority is lost for good: what it says, and what it closes.

    _system/rosters/<version>   members    a JSON array of one origin: the survivor, in whose log it stands
                                forced     a JSON object: `after`, the roster that the survivor knew, and `closed`, of
                                           who else ever was a member the last batch that it has

No majority can decide it, so it is safe only because it ends what was before. The logs of all other members are closed:
what they wrote beyond is not taken in by whoever has the forced roster. A node of before that hears of it stops, since
what it decided beyond, or decides next, nobody else will have. And a node that knows a roster after the one it follows,
decided by a majority, takes nothing more from the survivor. So old members that come back are a visible fault, and no
second holder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from konkordat.kernel.change import Batch, Change
from konkordat.kernel.ids import ORIGIN_PATTERN, Group, NodeName, Origin, node_of
from konkordat.kernel.seat import At, Roster
from konkordat.replica.seat_log import (
    FIRST_LIFE,
    MEMBERS,
    is_roster,
    roster_changes_before,
    roster_in,
    roster_key,
)
from konkordat.store.port import Reader

FORCED: Final = Group("forced")
# The next version may still come of a change that was under way, and was granted in the survivor's own log.
VERSIONS_ON: Final = 2


class Forced(NamedTuple):
    """A roster that was forced, and where it stands."""

    roster: Roster
    after: int
    closed: Mapping[Origin, int]
    at: At

    @property
    def by(self) -> Origin:
        return self.at.origin


class ForceRoster(msgspec.Struct, frozen=True):
    """The node itself is to be the only member. Said by an operator at the stopped node, never over the API."""

    frontier: dict[Origin, int]  # all that the node has


class ClosedOutError(Exception):
    """{by} forced roster {version} without this node. Nothing was changed. The node must not go on as it is."""

    def __init__(self, forced: Forced) -> None:
        self.by: NodeName = node_of(forced.by)
        super().__init__(f"{self.by} forced roster {forced.roster.version} without this node")


class _Told(msgspec.Struct, frozen=True):
    after: int
    closed: dict[str, int]


def forced_change(me: Origin, after: int, closed: Mapping[Origin, int]) -> Change:
    """The change that says it."""
    told = _Told(after, {str(origin): seq for origin, seq in closed.items()})
    fields = {
        MEMBERS: msgspec.json.encode((me,)),
        FORCED: msgspec.json.encode(told, order="deterministic"),
    }
    return Change(roster_key(after + VERSIONS_ON), FIRST_LIFE, fields)


def forced_in(change: Change, at: At) -> Forced | None:
    """What a change forces; None for what forces nothing. Only its author can be the member."""
    if not is_roster(change.key) or FORCED not in change.fields:
        return None
    roster = roster_in(change.key.id, change.fields)
    try:
        told = msgspec.json.decode(change.fields[FORCED], type=_Told)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if roster is None or roster.members != (at.origin,) or at.origin in told.closed:
        return None
    if told.after < 1 or roster.version != told.after + VERSIONS_ON:
        return None
    if not all(map(ORIGIN_PATTERN.fullmatch, told.closed)):
        return None
    return Forced(roster, told.after, {Origin(o): seq for o, seq in told.closed.items()}, at)


def forced_of(batch: Batch) -> Iterator[Forced]:
    """What a batch forces."""
    at = At(batch.origin, batch.seq)
    for transaction in batch.transactions:
        for change in transaction.changes:
            forced = forced_in(change, at) if is_roster(change.key) else None
            if forced is not None:
                yield forced


def forced_before(store: Reader) -> list[Forced]:
    """What was forced, oldest first, as the log has it: the record shows only what was written to it last."""
    found = [forced_in(change, at) for change, at in roster_changes_before(store)]
    return sorted([each for each in found if each is not None], key=lambda f: f.roster.version)
