"""What a judge says."""

from __future__ import annotations

from typing import Final

import msgspec

TOLD_MAX: Final = 20  # violations named by one judge of one run; more would help nobody


class Violation(msgspec.Struct, frozen=True):
    """A broken invariant, and where it shows."""

    checker: str  # "I2"
    what: str
