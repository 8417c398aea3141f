"""How much of the profile's effort a law is worth: merge laws take all of it, dearer ones a share."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

EXAMPLES_MIN: Final = 50  # fewer would hardly be a trial


def share(of: float) -> settings:
    """The profile with a part of its examples, for laws whose examples are dear or whose cases are few."""
    wanted = int(settings.default.max_examples * of)  # type: ignore[union-attr]
    return settings(max_examples=max(EXAMPLES_MIN, wanted))
