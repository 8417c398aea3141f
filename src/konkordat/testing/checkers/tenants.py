"""I6: nothing of one tenant ever reaches another. Every value that clients write names its tenant; every value and key
that a client is shown is looked at for other names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import Asked, History, Read, Sight, Told

NAME = "I6"
CANARY = re.compile(rb"<([a-z0-9-]+)>")


def check(history: History) -> list[Violation]:
    """Everything that clients were shown."""
    tenant_of = {h.client: h.tenant for h in history if isinstance(h, Asked | Read)}
    found: list[str] = []
    for happening in history:
        if isinstance(happening, Told):
            tenant = tenant_of.get(happening.client, "")
            for sight in happening.sights:
                found += _strange(sight, tenant, f"{happening.client}, told of {happening.cause},")
        elif isinstance(happening, Read) and happening.sight is not None:
            who = f"{happening.client}, reading at {happening.node},"
            found += _strange(happening.sight, happening.tenant, who)
    return [Violation(NAME, what) for what in found]


def _strange(sight: Sight, tenant: str, who: str) -> Iterable[str]:
    if sight.key.tenant != tenant:
        yield f"{who} of {tenant} is shown {sight.key}"
    for value in sight.values.values():
        for name in CANARY.findall(value):
            if name.decode() != tenant:
                yield f"{who} of {tenant} is shown {value!r}"
