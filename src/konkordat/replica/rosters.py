"""What an operator asks of seats and rosters: commands, why one is refused, and how a roster is decided by a seat.

A roster after the first is a *proposal*, a record that claims "the next version". There is one of that, so of two
changes at once one wins; the seat `_system/rosters` decides, as it would about a room:

    _system/roster_changes/<version>.<digest>   members    a JSON array of origins

The id says the content, so a proposal cannot come to mean something else. The roster counts when its claim is final.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, Resource
from konkordat.kernel.ids import Collection, Group, NodeName, Origin, RecordId, RecordKey, node_of
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import (
    MEMBERS_MAX,
    Handover,
    Roster,
    SeatId,
    SeatSpec,
    encode,
)
from konkordat.replica.domain import PLAIN_CLAIM, Domain, Records, View, Wanted, Write, Writes
from konkordat.replica.forced import ForceRoster, forced_change
from konkordat.replica.seat_log import ENTRIES, MEMBERS, SYSTEM, roster_in, seat_key
from konkordat.store.port import PAGE_ROWS_MAX, Reader

CHANGES: Final = Collection("roster_changes")
ROSTER_SEAT: Final = SeatId("_system/rosters")
VERSIONS: Final = Resource(SYSTEM, "rosters")  # one of each version: [n, n + 1)
PART: Final = "version"
# Home nowhere in particular: it falls to a member by its name. A majority of the first roster is asked for its first
# term, for no other could have opened one.
ROSTER_SPEC: Final = SeatSpec(ROSTER_SEAT, NodeName(""))


class HandOver(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A seat is to be held by another member."""

    seat: SeatId
    to: NodeName
    # Of a seat decided at home, asked elsewhere than at its holder: what only that one knows may be lost.
    accept_loss: bool = False


class ChangeRoster(msgspec.Struct, frozen=True):
    """One member comes, goes, or makes place for another."""

    change: Literal["join", "leave", "replace"]
    node: NodeName  # who comes or goes; of a replacement who goes
    # Of a replacement who comes. The same name: the node as it is now, after it lost its disk.
    by: NodeName | None = None


Order = HandOver | ChangeRoster | ForceRoster


class Situation(Protocol):
    """What a node knows of seats, to answer an operator."""

    @property
    def me(self) -> Origin:
        """The node that is asked."""

    @property
    def roster(self) -> Roster:
        """The latest; version 0 while there is none."""

    def was_member(self, origin: Origin) -> bool:
        """Of any roster that is known here."""

    def alive(self, now_ms: int) -> AbstractSet[Origin]:
        """Who was heard lately, this node included; members or not."""

    def heard_ms(self, origin: Origin) -> int | None:
        """When a node was last heard, Unix ms by our clock; None if not since we started."""

    def handover(self, order: HandOver) -> Handover | None:
        """The entry to be written; None for a seat that nobody here knows."""

    def holds(self, seat: SeatId) -> Origin | None:
        """Who holds a seat and did not give it up."""

    def decides_at_home(self, seat: SeatId) -> bool:
        """Whether the holder confirms without the others."""

    def older(self, roster: Roster) -> Sequence[SeatId]:
        """Seats that are not yet held under this roster."""

    def homes_of(self, origin: Origin) -> Sequence[SeatId]:
        """Seats that this node holds and that nobody takes over by himself."""


# Why not ------------------------------------------------------------------------------------------


def refusal_of_handover(order: HandOver, situation: Situation, now_ms: int) -> Refusal | None:
    """Why a seat cannot be handed over so."""
    roster = situation.roster
    if not roster.version:
        return _refusal("no_roster", "No roster is known here yet, so nobody can hold a seat.")
    if situation.handover(order) is None:
        return _refusal("not_found", f"There is no seat {order.seat!r} here.")
    to = next((member for member in roster.members if node_of(member) == order.to), None)
    if to is None:
        return _refusal("not_a_member", f"{order.to} is not in the roster, so it cannot hold it.")
    if situation.holds(order.seat) == to:
        return _refusal("already_the_holder", f"{order.to} holds {order.seat} already.")
    if to not in situation.alive(now_ms):
        return _refusal("member_silent", f"{order.to} is not heard; the seat would have no holder.")
    return None if order.accept_loss else _loss(order, situation, now_ms)


def _loss(order: HandOver, situation: Situation, now_ms: int) -> Refusal | None:
    """What the holder may have confirmed that nobody else has: it is asked for only elsewhere than there, for whoever
    hands over what it holds itself stops first. A majority has what is decided by one."""
    holder = situation.holds(order.seat)
    if holder in (None, situation.me) or not situation.decides_at_home(order.seat):
        return None
    assert holder is not None
    name, heard_ms = node_of(holder), situation.heard_ms(holder)
    extra = {"holder": name, "last_heard": None if heard_ms is None else _utc(heard_ms)}
    if holder in situation.alive(now_ms):
        detail = (
            f"{name} is heard, and confirms for {order.seat} without asking others. What it confirms until it hears of"
            " this would be lost. Ask there: it stops first, and nothing is lost."
        )
        return Refusal("ask_the_holder", f"{detail} Nothing was written.", extra=extra)
    since = f"since {_utc(heard_ms)}" if heard_ms is not None else "since this node started"
    detail = (
        f"{name} confirms for {order.seat} without asking others, and was not heard {since}. What it confirmed that did"
        " not come here would be lost: those who were promised a place may lose it to others. If it is only cut off,"
        " mend the line or hand over there; if it is gone for good, accept the loss."
    )
    return Refusal("may_lose_confirmed", f"{detail} Nothing was written.", extra=extra)


def _utc(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def refusal_of_change(
    version: int, members: Sequence[Origin], situation: Situation, now_ms: int
) -> Refusal | None:
    """Why a roster may not follow the present one."""
    roster, alive = situation.roster, situation.alive(now_ms)
    now, then = set(roster.members), set(members)
    if not roster.version:
        return _refusal("no_roster", "No roster is known here yet; configuration names the first.")
    if version != roster.version + 1:
        return _refusal("roster_moved_on", f"The roster is at version {roster.version} by now.")
    if now == then:
        return _refusal("roster_unchanged", "The roster is so already.")
    if len(then - now) > 1 or len(now - then) > 1:
        return _refusal("several_members_at_once", "A change concerns one member at a time.")
    if not 0 < len(then) <= MEMBERS_MAX:
        return _refusal("roster_size", f"A roster has 1 to {MEMBERS_MAX} members.")
    for name, group in (("now", now), ("then", then)):
        if len(group & set(alive)) * 2 <= len(group):
            detail = f"Of the {len(group)} members {name}, {len(group & set(alive))} are heard."
            way = "Lost for good, they are given up by `konkordat roster force` at a survivor."
            return _refusal("no_majority", f"{detail} More than half must be. {way}")
    for gone in now - then:
        homes = situation.homes_of(gone)
        if homes:
            names = ", ".join(homes[:3])
            detail = (
                f"{node_of(gone)} holds {names}, decided at home. Hand over {len(homes)} first."
            )
            return _refusal("holds_home_seats", detail)
    older = situation.older(roster)
    if older:
        names = ", ".join(older[:3])
        detail = f"{len(older)} seats are still held under the roster before: {names}."
        return Refusal("roster_change_running", detail, retry_after_ms=1_000)
    return None


def _refusal(code: str, detail: str) -> Refusal:
    return Refusal(code, f"{detail} Nothing was written.")


# Proposals ----------------------------------------------------------------------------------------


def proposal_key(roster: Roster) -> RecordKey:
    """The record that proposes a roster."""
    body = msgspec.json.encode(roster.members)
    digest = hashlib.blake2b(body, digest_size=12, person=b"konkordat.roster").hexdigest()
    return RecordKey(SYSTEM, CHANGES, RecordId(f"{roster.version}.{digest}"))


def proposed(record: Record) -> Roster | None:
    """The roster that a record proposes; None for what proposes none."""
    key = record.key
    if key.tenant != SYSTEM or key.collection != CHANGES or not record.alive:
        return None
    version, _, _ = key.id.partition(".")
    roster = roster_in(version, {group: r.value for group, r in record.fields.items()})
    if roster is None or roster.version <= 1 or proposal_key(roster) != key:
        return None
    return roster


def claim_of(record: Record) -> Claim | None:
    """What a proposal claims: the version."""
    roster, register = proposed(record), record.fields.get(MEMBERS)
    if roster is None or register is None:
        return None
    id = ClaimId(record.key, PART)
    return Claim(id, VERSIONS, roster.version, roster.version + 1, 1, register.stamp)


def decided_before(store: Reader) -> list[Roster]:
    """The rosters that were decided, as far as the index of claims has it; oldest first."""
    found: list[Roster] = []
    after = RecordId("")
    while page := store.scan(SYSTEM, CHANGES, after, PAGE_ROWS_MAX):
        told = store.claims_of([record.key for record in page])
        for record in page:
            roster = proposed(record)
            states = [decided.state for decided in told.get(record.key, ())]
            if roster is not None and ClaimState.CONFIRMED in states:
                found.append(roster)
        after = page[-1].key.id
    return sorted(found, key=lambda roster: roster.version)


# The domain of seats, around another ---------------------------------------------------------------


class Governed:
    """A domain with the operator's commands and the proposals of rosters beside its own. Fulfils `Domain`."""

    def __init__(self, inner: Domain) -> None:
        self._inner = inner
        self.situation: Situation | None = None  # set once, when there is one

    def reads(self, command: Any) -> Iterable[RecordKey]:
        return () if isinstance(command, Order) else self._inner.reads(command)

    def decide(self, command: Any, view: View) -> Writes | Refusal:
        if not isinstance(command, Order):
            return self._inner.decide(command, view)
        if self.situation is None:
            return _refusal("no_roster", "Claims are not decided by seats here.")
        if isinstance(command, HandOver):
            return self._hand_over(command, self.situation, view)
        if isinstance(command, ForceRoster):
            return _force(command, self.situation)
        return self._change(command, self.situation, view)

    def _hand_over(self, order: HandOver, situation: Situation, view: View) -> Writes | Refusal:
        refusal = refusal_of_handover(order, situation, view.now_ms)
        entry = situation.handover(order)
        if refusal is not None or entry is None:
            return refusal or _refusal("not_found", f"There is no seat {order.seat!r} here.")
        value = b"[" + encode(entry) + b"]"
        loss = _loss(order, situation, view.now_ms)
        reason = f"loss accepted, {loss.code}: {loss.detail}" if loss is not None else ""
        return Writes((Write(seat_key(order.seat), {ENTRIES: value}),), reason=reason)

    def _change(self, order: ChangeRoster, situation: Situation, view: View) -> Writes | Refusal:
        wished = _members_after(order, situation, view.now_ms)
        if isinstance(wished, Refusal):
            return wished
        roster = Roster(situation.roster.version + 1, wished)
        refusal = refusal_of_change(roster.version, wished, situation, view.now_ms)
        if refusal is not None:
            return refusal
        members = msgspec.json.encode(roster.members)
        return Writes((Write(proposal_key(roster), {MEMBERS: members}),))

    def claim_groups(self, collection: Collection) -> frozenset[Group]:
        return _CLAIM_GROUPS if collection == CHANGES else self._inner.claim_groups(collection)

    def claims(self, record: Record) -> Sequence[Claim]:
        if record.key.tenant != SYSTEM or record.key.collection != CHANGES:
            return self._inner.claims(record)
        claim = claim_of(record)
        return () if claim is None else (claim,)

    def capacity_owner(self, resource: Resource) -> RecordKey | None:
        return None if resource == VERSIONS else self._inner.capacity_owner(resource)

    def owned_resource(self, key: RecordKey) -> Resource | None:
        return None if key.tenant == SYSTEM else self._inner.owned_resource(key)

    def capacity(self, owner: Record | None) -> int:
        return self._inner.capacity(owner)

    def seat(self, resource: Resource, records: Records) -> SeatSpec | None:
        return ROSTER_SPEC if resource == VERSIONS else self._inner.seat(resource, records)

    def seat_of(self, record: Record) -> SeatSpec | None:
        return None if record.key.tenant == SYSTEM else self._inner.seat_of(record)

    def seat_named(self, id: SeatId, records: Records) -> SeatSpec | None:
        return ROSTER_SPEC if id == ROSTER_SEAT else self._inner.seat_named(id, records)

    def wanted(self, record: Record, claim: Claim) -> Wanted:
        mine = claim.resource == VERSIONS
        return PLAIN_CLAIM if mine else self._inner.wanted(record, claim)

    def parent(self, record: Record) -> str:
        return "" if record.key.tenant == SYSTEM else self._inner.parent(record)


_CLAIM_GROUPS: Final = frozenset({MEMBERS})


def _force(order: ForceRoster, situation: Situation) -> Writes | Refusal:
    roster, me = situation.roster, situation.me
    if not roster.version:
        return _refusal("no_roster", "No roster is known here, so there is none to be forced.")
    if me not in roster.members:
        return _refusal("not_a_member", f"{me} is in no roster, so it may not force one.")
    if roster.members == (me,):
        return _refusal("roster_unchanged", f"{node_of(me)} is the only member already.")
    closed = {o: n for o, n in order.frontier.items() if o != me and situation.was_member(o)}
    change = forced_change(me, roster.version, closed)
    lost = ", ".join(member for member in roster.members if member != me)
    reason = f"roster forced: the majority of {lost} is lost for good"
    return Writes((Write(change.key, change.fields),), reason=reason)


def _members_after(
    order: ChangeRoster, situation: Situation, now_ms: int
) -> tuple[Origin, ...] | Refusal:
    members = set(situation.roster.members)
    if order.change in ("leave", "replace"):
        gone = {member for member in members if node_of(member) == order.node}
        if not gone:
            return _refusal("not_a_member", f"{order.node} is not in the roster.")
        members -= gone
    if order.change in ("join", "replace"):
        name = order.node if order.change == "join" else order.by or order.node
        came = [origin for origin in situation.alive(now_ms) if node_of(origin) == name]
        present = {member for member in members if node_of(member) == name}
        if order.change == "replace" and present and not set(came) - present:
            # It cannot come twice: what is left of the order would be a leave that nobody asked for.
            detail = f"{name} is a member already, so {order.node} would only leave. If that is meant, say leave."
            return _refusal("already_a_member", detail)
        if not came:
            return _refusal("member_silent", f"{name} is not heard here; start it first.")
        if any(node_of(member) == name and member not in came for member in members):
            detail = f"{name} is a member with an earlier disk. Replace it by itself."
            return _refusal("earlier_incarnation", detail)
        members.add(max(came))
    return tuple(sorted(members))
