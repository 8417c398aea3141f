"""On every node of a cluster, what is kept of how many seats are taken is what its rows say: whatever is registered,
changed, cancelled and deleted, wherever, whatever arrives late, and whoever is started anew."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from konkordat.kernel.claim import Resource
from konkordat.kernel.ids import Tenant
from konkordat.replica.claims import IN_THE_WAY
from konkordat.replica.messages import Accepted
from konkordat.schedule.attendance import registration_id
from konkordat.schedule.commands import Operation, WriteCommand, operation
from konkordat.schedule.domain import ScheduleDomain
from konkordat.schedule.registry import COLLECTIONS
from konkordat.testing.workbench import Workbench
from unit.schedule_rules.world import TENANT, body, create, delete, patch, talk, uid

pytestmark = pytest.mark.row("S0-35")

NODES = ("bern", "geneva", "zurich")
PEOPLE = ("ada", "ben", "cleo", "dora")
SESSIONS = ("workshop", "lab")
RESOURCES = [Resource(Tenant(TENANT), f"session/{uid(name)}") for name in SESSIONS]

nodes = st.sampled_from(NODES)
sessions = st.sampled_from(SESSIONS)
people = st.sampled_from(PEOPLE)
quantities = st.integers(1, 3)


def ident(who: str, session: str) -> str:
    return registration_id(uid(session), uid(who))


def changed(who: str, session: str, **fields: Any) -> Operation:
    made = msgspec.convert(fields, COLLECTIONS["registrations"].patch)
    return operation("patch", "registrations", ident(who, session), made)


class Sold(RuleBasedStateMachine):
    """Three nodes. Nothing moves between them by itself."""

    @initialize(
        decide=st.sampled_from(["majority", "home"]),
        members=st.sampled_from([NODES, NODES, ("bern",), None]),
    )
    def begin(self, decide: str, members: tuple[str, ...] | None) -> None:
        self.seated = members is not None
        self.table = Workbench(*NODES, domain=ScheduleDomain, members=members)
        self.table.settle(500)
        event: dict[str, Any] = {
            "slug": "forum-2027",
            "name": {"de": "Forum"},
            "time_zone": "Europe/Zurich",
            "start_date": "2027-06-01",
            "end_date": "2027-06-03",
            "region": "bern",
            "decide": decide,
        }
        made = self.write(
            "bern",
            create("events", "forum", **event),
            talk("workshop", seats=4),
            talk("lab", seats=2),
            *(create("attendees", who, name=who.title()) for who in PEOPLE),
        )
        assert isinstance(made, Accepted), made
        self.table.settle(1_000)

    def write(self, node: str, *ops: Operation, **more: Any) -> Any:
        return self.table.write(node, WriteCommand(Tenant(TENANT), ops), **more)

    # What is asked for -----------------------------------------------------------------------

    @rule(
        node=nodes,
        who=st.lists(people, min_size=1, max_size=3, unique=True),
        session=sessions,
        quantity=quantities,
        waitlist=st.booleans(),
        dry_run=st.sampled_from([False, False, True]),
    )
    def register(
        self,
        node: str,
        who: list[str],
        session: str,
        quantity: int,
        waitlist: bool,
        dry_run: bool,
    ) -> None:
        fields = {"quantity": quantity, "waitlist": waitlist}
        made = [
            operation(
                "upsert",
                "registrations",
                ident(name, session),
                body("registrations", session=uid(session), attendee=uid(name), **fields),
            )
            for name in who
        ]
        self.write(node, *made, dry_run=dry_run)

    @rule(node=nodes, who=people, session=sessions, quantity=quantities)
    def want_more_or_fewer(self, node: str, who: str, session: str, quantity: int) -> None:
        self.write(node, changed(who, session, quantity=quantity))

    @rule(node=nodes, who=people, session=sessions, cancelled=st.booleans())
    def cancel_or_come_back(self, node: str, who: str, session: str, cancelled: bool) -> None:
        self.write(node, changed(who, session, cancelled=cancelled))

    @rule(node=nodes, who=people, session=sessions)
    def remove(self, node: str, who: str, session: str) -> None:
        self.write(node, operation("delete", "registrations", ident(who, session)))

    @rule(node=nodes, session=sessions, seats=st.integers(0, 5))
    def give_other_seats(self, node: str, session: str, seats: int) -> None:
        self.write(node, patch("sessions", session, seats=seats))

    @rule(node=nodes, session=sessions)
    def remove_session(self, node: str, session: str) -> None:
        self.write(node, delete("sessions", session))

    # What happens --------------------------------------------------------------------------------

    @rule(node=nodes)
    def deliver_to(self, node: str) -> None:
        self.table.deliver(*self.table.take(receiver=node))

    @rule(node=nodes)
    def lose_from(self, node: str) -> None:
        self.table.lose(sender=node)

    @rule(passed_ms=st.sampled_from([50, 500, 5_000]))
    def wait(self, passed_ms: int) -> None:
        self.table.tick(passed_ms)

    @rule()
    def come_to_rest(self) -> None:
        self.table.settle(1_000)

    @rule(node=nodes)
    def start_anew(self, node: str) -> None:
        self.table[node].start()

    # What must be --------------------------------------------------------------------------------

    @invariant()
    def what_is_kept_is_what_the_rows_say(self) -> None:
        for name in NODES:
            node = self.table[name]
            kept = node.replica._sums
            assert self.seated or not len(kept)
            for span in kept.among(RESOURCES):
                assert kept.get(span) == node.store.taken(span, IN_THE_WAY), name


TestSold = Sold.TestCase
# Each step is a few commits on real replicas.
TestSold.settings = settings(
    max_examples=max(20, settings.default.max_examples // 20), stateful_step_count=30
)
