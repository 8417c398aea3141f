"""How many examples a law is tried on: KONKORDAT_LAWS=quick|ci|soak."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline: a slow machine is not a broken law.
settings.register_profile("quick", max_examples=100, deadline=None)
settings.register_profile(
    "ci", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "soak", max_examples=50_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("KONKORDAT_LAWS", "quick"))
