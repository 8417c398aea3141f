"""A refusal: normal work, so a value and not an exception. The API turns its code into a status and
a problem document."""

from __future__ import annotations

from typing import Any

import msgspec

from konkordat.kernel.claim import Claim
from konkordat.kernel.record import Record


class Refusal(msgspec.Struct, frozen=True):
    """Why a command was not carried out. Nothing was written."""

    code: str  # stable, snake_case; the API's table of codes gives status and title
    detail: str  # one sentence for people: what happened and what to do
    pointer: str = ""  # JSON pointer into the request
    conflicts: tuple[Claim, ...] = ()  # granted claims that stand in the way
    current: Record | None = None  # the present state, for a failed precondition
    retry_after_ms: int | None = None
    extra: dict[str, Any] = {}  # further members for the problem document
