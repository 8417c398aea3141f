"""Gap repair: who has what we lack, whom to ask for it, and when to ask somebody else.

Push is an optimisation, pull is the guarantee: a node compares its frontier with what peers say theirs is, and pulls
what is missing in bounded pages. Senders keep no state about us. This is the repair of a lost push, the replay after
being offline, and the relay of an origin whose own node is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.protocol.peers import Peer, Peers
from konkordat.wire.messages import Page, Pull

GRACE_MS: Final = 60  # how long a push may be on its way before its absence counts as a gap
PULL_TIMEOUT_MS: Final = 2_000  # then somebody else is asked
PAGE_BYTES: Final = (
    256 << 10
)  # small enough that a page's commit does not hold up local writes noticeably
WANTS_MAX: Final = 64  # origins in one pull
FRUITLESS_MS: Final = (
    1_000  # after a page that brought an origin no further; or two nodes would talk without end
)
GOALS_MAX: Final = (
    1_024  # several times what a sound cluster can name; bounds what a peer can make us remember
)


class Goal(msgspec.Struct):
    """Somebody has an origin up to `seq`, and we have known that since `since_ms`."""

    seq: int
    since_ms: int


class OpenPull(msgspec.Struct, frozen=True):
    peer: NodeName
    wants: tuple[tuple[Origin, int], ...]  # origin, and what we had of it
    deadline_ms: int


class Fruitless(msgspec.Struct, frozen=True):
    """A peer said it has more of an origin, and its page brought nothing that could be taken."""

    peer: NodeName
    until_ms: int  # the origin is pulled again then, from another peer if there is one


class Exchange:
    """Decides on pulls. The replica tells it what happens and sends what it asks for."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._goals: dict[Origin, Goal] = {}
        self._open: dict[int, OpenPull] = {}  # by pull id
        self._pulling: dict[Origin, int] = {}  # origin -> pull id: one pull an origin at a time
        self._fruitless: dict[Origin, Fruitless] = {}
        self._next_id = 1
        self._turn = 0  # rotates the choice among equals
        self.held_until: dict[
            Origin, int
        ] = {}  # origins that wait for a time are not pulled until then
        # Who gave us a batch of an origin that does not fit; that origin is not pulled from them until then.
        self._distrusted: dict[Origin, dict[NodeName, int]] = {}

    def heard(self, theirs: Mapping[Origin, int], ours: Mapping[Origin, int], now_ms: int) -> None:
        """A heartbeat told a frontier."""
        for origin, seq in theirs.items():
            if seq > ours.get(origin, 0) and origin not in self._goals:
                self._set_goal(origin, Goal(seq, now_ms))

    def gap_seen(self, origin: Origin, seq: int, sender: NodeName, now_ms: int) -> None:
        """A push began beyond what we have: what lies between will not come by itself. Who sent it has it."""
        self._peers.has(sender, origin, seq)
        self._set_goal(origin, Goal(seq, now_ms - GRACE_MS))

    def _set_goal(self, origin: Origin, goal: Goal) -> None:
        if origin in self._goals or len(self._goals) < GOALS_MAX:
            self._goals[origin] = goal

    def answered(self, peer: NodeName, page: Page, ours: Mapping[Origin, int], now_ms: int) -> bool:
        """A page came, and what it brought is in `ours`. False if it answers nothing that is open with this peer: too
        late, or invented.
        """
        pull = self._open.get(page.id)
        if pull is None or pull.peer != peer:
            return False
        self._close(page.id)
        cut_short = page.more and bool(page.bodies)
        for origin, had in pull.wants:
            if ours.get(origin, 0) > had:
                self._fruitless.pop(origin, None)
            elif not cut_short:
                self._fruitless[origin] = Fruitless(peer, now_ms + FRUITLESS_MS)
        return True

    def distrust(self, origin: Origin, peer: NodeName, until_ms: int) -> None:
        """What a peer gave us of an origin does not fit what we have. Others may have what does."""
        if peer in self._peers.table and len(self._distrusted) < GOALS_MAX:
            self._distrusted.setdefault(origin, {})[peer] = until_ms

    def due(self, ours: Mapping[Origin, int], now_ms: int) -> list[tuple[NodeName, Pull]]:
        """The pulls to send now."""
        self._expire(now_ms)
        if not self._goals:
            return []
        asks: dict[NodeName, list[Origin]] = {}
        for origin in sorted(self._goals):
            if self._wanted(origin, ours, now_ms):
                peer = self._whom(origin, ours.get(origin, 0), now_ms)
                if peer is not None:
                    asks.setdefault(peer.name, []).append(origin)
        return [self._ask(name, asks[name][:WANTS_MAX], ours, now_ms) for name in asks]

    def _wanted(self, origin: Origin, ours: Mapping[Origin, int], now_ms: int) -> bool:
        goal = self._goals[origin]
        if ours.get(origin, 0) >= goal.seq:
            del self._goals[origin]
            self._fruitless.pop(origin, None)
            self._renew(origin, ours, now_ms)
            return False
        if origin in self._pulling or now_ms - goal.since_ms < GRACE_MS:
            return False
        fruitless = self._fruitless.get(origin)
        held_until = self.held_until.get(origin, 0)
        return now_ms >= max(held_until, fruitless.until_ms if fruitless else 0)

    def _renew(self, origin: Origin, ours: Mapping[Origin, int], now_ms: int) -> None:
        """A goal is reached: is there a further one? Without this a long replay would pause at every heartbeat."""
        best = max((p.frontier.get(origin, 0) for p in self._peers.alive(now_ms)), default=0)
        if best > ours.get(origin, 0):
            self._goals[origin] = Goal(best, now_ms)

    def _whom(self, origin: Origin, have: int, now_ms: int) -> Peer | None:
        doubts = self._distrusted.get(origin, {})
        able = [
            p
            for p in self._peers.alive(now_ms)
            if p.frontier.get(origin, 0) > have and doubts.get(p.name, 0) <= now_ms
        ]
        able = [p for p in able if p.slow_until_ms <= now_ms] or able
        if not able:
            return None
        fruitless = self._fruitless.get(origin)
        if fruitless is not None:
            able = [p for p in able if p.name != fruitless.peer] or able
        home = node_of(origin)
        for peer in able:
            if peer.name == home:
                return peer
        self._turn += 1
        return sorted(able, key=lambda p: p.name)[self._turn % len(able)]

    def _ask(
        self, name: NodeName, origins: list[Origin], ours: Mapping[Origin, int], now_ms: int
    ) -> tuple[NodeName, Pull]:
        number, self._next_id = self._next_id, self._next_id + 1
        wants = tuple([(origin, ours.get(origin, 0)) for origin in origins])
        self._open[number] = OpenPull(name, wants, now_ms + PULL_TIMEOUT_MS)
        for origin in origins:
            self._pulling[origin] = number
        return name, Pull(number, wants, PAGE_BYTES)

    def _expire(self, now_ms: int) -> None:
        for number in [i for i, p in self._open.items() if p.deadline_ms <= now_ms]:
            peer = self._peers.table.get(self._open[number].peer)
            if peer is not None:
                peer.slow_until_ms = now_ms + PULL_TIMEOUT_MS
            self._close(number)

    def _close(self, id: int) -> None:
        for origin, _had in self._open.pop(id).wants:
            self._pulling.pop(origin, None)
