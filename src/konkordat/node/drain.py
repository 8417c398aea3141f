"""What the owner thread hands to the event loop after each drain of its inbox: one immutable value, one wake-up."""

from __future__ import annotations

import msgspec

from konkordat.replica.messages import Answered, Committed, Journaled
from konkordat.replica.status import ReplicaStatus


class Drained(msgspec.Struct, frozen=True):
    """What came of one drain. Everything in it is about state that is already durable."""

    answered: tuple[Answered, ...]
    committed: tuple[Committed, ...]
    journaled: tuple[Journaled, ...]
    status: ReplicaStatus | None  # with every tick
    seconds: float  # from taking the inputs to having their effects performed
    commands: int  # how many of the inputs were commands
    now_ms: int  # the time that the inputs were handled at
