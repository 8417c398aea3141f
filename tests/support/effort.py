"""How much of the profile's effort a law is worth: merge laws take more than all of it, dear ones a share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeVar

from hypothesis import settings

T = TypeVar("T")

EXAMPLES_MIN: Final = 50  # fewer would hardly be a trial


# Examples of each merge law in CI: everything else rests on these, and they are cheap.
MERGE_EXAMPLES: Final = 2_000


def share_of(cases: Sequence[T]) -> Sequence[T]:
    """The first of some cases that each take minutes of processor time for the same property; in CI, which has a
    quarter of an hour for everything. Elsewhere all of them."""
    return cases[:1] if os.environ.get("CI") else cases


def full() -> settings:
    """What a merge law is worth: in CI more than the profile says, in a soak all of it."""
    usual: int = settings.default.max_examples  # type: ignore[union-attr]
    in_ci = settings.get_current_profile_name() == "ci"
    return settings(max_examples=max(usual, MERGE_EXAMPLES) if in_ci else usual)


def share(of: float) -> settings:
    """The profile with a part of its examples, for laws whose examples are dear or whose cases are few."""
    wanted = int(settings.default.max_examples * of)  # type: ignore[union-attr]
    return settings(max_examples=max(EXAMPLES_MIN, wanted))
