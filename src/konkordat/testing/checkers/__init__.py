"""One judge per invariant of the project's proof. Each looks at a history and at nothing else."""

from __future__ import annotations

from konkordat.replica.domain import Domain
from konkordat.testing.checkers import (
    audit,
    claims,
    clocks,
    convergence,
    deletions,
    durability,
    failures,
    idempotency,
    liveness,
    poison,
    reads,
    tenants,
)
from konkordat.testing.checkers.verdict import TOLD_MAX, Violation
from konkordat.testing.history import History

__all__ = ["Violation", "judge"]


def judge(history: History, domain: Domain) -> list[Violation]:
    """The verdicts of all judges; empty when every invariant held."""
    verdicts = [
        convergence.check(history, domain),
        durability.check(history),
        claims.check(history, domain),
        audit.check(history),
        reads.check(history),
        tenants.check(history),
        idempotency.check(history),
        deletions.check(history),
        clocks.check(history),
        liveness.check(history),
        failures.check(history),
        poison.check(history),
    ]
    return [violation for verdict in verdicts for violation in verdict[:TOLD_MAX]]
