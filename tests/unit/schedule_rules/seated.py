"""The same small programme on a real replica that holds its own seats: what a client is told after each command."""

from __future__ import annotations

from typing import Any

from konkordat.kernel.claim import DecidedClaim
from konkordat.kernel.ids import RecordKey, record_key
from konkordat.kernel.refusal import Refusal
from konkordat.replica.messages import Accepted
from konkordat.schedule.commands import Operation, WriteCommand
from konkordat.schedule.domain import ScheduleDomain
from konkordat.schedule.slots import plan_of
from konkordat.testing.workbench import Workbench
from unit.schedule_rules.world import FORUM, NOW_MS, TENANT, uid

NODE = "zurich"


class Seated:
    """One node, a member of a roster of one, so what it decides is final at once."""

    def __init__(self) -> None:
        self.table = Workbench(NODE, domain=ScheduleDomain, members=[NODE])
        self.table.clock.advance(NOW_MS - self.table.clock.now_ms)
        self.table.tick()

    def ask(self, *ops: Operation, reason: str = "", together: bool = False) -> Accepted | Refusal:
        outcome = self.table.write(NODE, WriteCommand(TENANT, ops, reason, together))
        assert isinstance(outcome, Accepted | Refusal)
        return outcome

    def carry_out(self, *ops: Operation, **options: Any) -> Accepted:
        outcome = self.ask(*ops, **options)
        assert isinstance(outcome, Accepted), outcome
        return outcome

    def refused(self, *ops: Operation, **options: Any) -> Refusal:
        outcome = self.ask(*ops, **options)
        assert isinstance(outcome, Refusal), outcome
        return outcome

    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.table.tick(ms)
        self.table.tick()

    def claims(self, name: str, collection: str = "sessions") -> list[DecidedClaim]:
        key = self.key(name, collection)
        return list(self.table[NODE].store.claims_of([key]).get(key, ()))

    def told(self, name: str, collection: str = "sessions") -> dict[str, str]:
        """The state of each place of a session or hold, by part of the claim."""
        return {
            d.claim.id.part: str(d.state) for d in self.claims(name, collection) if d.claim.quantity
        }

    def place(self, name: str, part: str = "slot", collection: str = "sessions") -> dict[str, Any]:
        """The place behind one of a record's claims, as a slot with the session's own times."""
        record = self.table[NODE].record(self.key(name, collection))
        assert record is not None
        (decided,) = [d for d in self.claims(name, collection) if d.claim.id.part == part]
        found = plan_of(record).at(decided.claim)
        assert found is not None, "the record knows the places that it may hold"
        return found.as_slot()

    def key(self, name: str, collection: str = "sessions") -> RecordKey:
        return record_key(TENANT, collection, uid(name))


def seated_forum() -> Seated:
    """The forum of `world.forum`, on a replica."""
    seated = Seated()
    seated.carry_out(*FORUM)
    return seated
