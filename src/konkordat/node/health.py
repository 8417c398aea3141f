"""Whether clients should come here, and what an operator should look at.

joining → ready, once: alone, or with all that the peers had when they were first heard. Later lag never makes a ready
node unready, or a busy cluster would refuse everybody. A fenced node (its clock disagrees with the majority's) reads
but does not write and is not ready; a stopping or failed one is not ready either.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from konkordat.kernel.frontier import joined
from konkordat.kernel.ids import NodeName, Origin
from konkordat.replica.status import PeerView, ReplicaStatus, SeatingView

ALONE_AFTER_S: Final = (
    0.6  # who has peers to dial gives them this long: they answer within 0.1 s if they are up
)
OFFSET_WORTH_A_WORD_MS: Final = 200  # well before the bound at which stamps are held back


class Health:
    """On the loop thread."""

    def __init__(
        self, has_peers_to_dial: bool, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._waits_for_peers = has_peers_to_dial
        self._monotonic_s = monotonic_s
        self._opened_s: float | None = None
        self._joined = False
        self._goal: dict[Origin, int] = {}
        self._asked: set[NodeName] = set()  # peers whose state is in the goal
        self._fenced = False
        self._stopping = False
        self._failure = ""
        self._name_taken = False

    def opened(self) -> None:
        """Store and links are open."""
        self._opened_s = self._monotonic_s()

    def heard(self, status: ReplicaStatus) -> None:
        """The replica's view, with every tick."""
        self._fenced = status.fenced
        if not self._joined and self._opened_s is not None:
            self._joined = self._caught_up(status)

    def _caught_up(self, status: ReplicaStatus) -> bool:
        assert self._opened_s is not None
        linked = [peer for peer in status.peers if peer.joined or peer.alive]
        waited = self._monotonic_s() - self._opened_s >= ALONE_AFTER_S
        if not linked:
            return waited or not self._waits_for_peers
        heard = [peer for peer in linked if peer.alive]
        if len(heard) < len(linked) and not waited:
            return False
        for peer in heard:
            if peer.name not in self._asked:
                self._asked.add(peer.name)
                self._goal = joined(self._goal, peer.frontier)
        return self._has_goal(status, heard)

    def _has_goal(self, status: ReplicaStatus, heard: list[PeerView]) -> bool:
        """Whether we have what the peers had when we first heard them, as far as anybody still has it for us.

        What they have written since is lag, and under load never nothing. With nobody heard there is nobody to be
        behind: a node answers alone.
        """
        there: dict[Origin, int] = {}
        for peer in heard:
            there = joined(there, peer.frontier)
        return all(
            status.frontier.get(origin, 0) >= min(seq, there.get(origin, 0))
            for origin, seq in self._goal.items()
            if origin not in status.quarantined
        )

    def name_is_taken(self, taken: bool) -> None:
        """Another living node has our name, or no longer."""
        self._name_taken = taken

    def stopping(self) -> None:
        self._stopping = True

    def failed(self, reason: str) -> None:
        self._failure = reason

    @property
    def name(self) -> str:
        """Joining | ready | fenced | stopping | failed."""
        if self._failure:
            return "failed"
        if self._stopping:
            return "stopping"
        if not self._joined:
            return "joining"
        return "fenced" if self._fenced else "ready"

    @property
    def joined(self) -> bool:
        """True once the node was ready for the first time."""
        return self._joined

    @property
    def ready(self) -> bool:
        return self.name == "ready"

    def problems(self, status: ReplicaStatus) -> tuple[str, ...]:
        """What an operator should look at, in words."""
        found = [f"The node failed: {self._failure}"] if self._failure else []
        if self._fenced:
            found.append(
                "This clock is too far from the others': writes are refused until it is set right."
            )
        if self._name_taken:
            found.append("Another node has this node's name: stop one of them.")
        for origin, why in sorted(status.quarantined.items()):
            found.append(f"Batches of {origin} are held back: {why}.")
        if status.seating is not None:
            found += _seat_problems(status.seating)
        for peer in status.peers:
            found += _peer_problems(peer, status)
        return tuple(found)


def _seat_problems(seating: SeatingView) -> list[str]:
    """Why claims may stay undecided."""
    if seating.conflict:
        return ["Two first rosters were said: nothing is decided until one of them is gone."]
    if not seating.roster:
        return ["No roster is known yet: nothing is decided. Start all that seats.members names."]
    found = []
    if not seating.has_majority:
        heard, members = len(seating.heard), len(seating.members)
        found.append(f"Of {members} members {heard} can be heard: claims wait until a majority is.")
    heard_ = set(seating.heard)
    # Counted, not named: every tenant reads this, and names are of all. `GET /v2/seats` names each tenant its own.
    vacant = sum(view.holder not in heard_ or view.handed_over for view in seating.seats)
    if vacant:
        have = "1 seat has" if vacant == 1 else f"{vacant} seats have"
        found.append(f"{have} no holder that is heard; see the seats.")
    return found


def _peer_problems(peer: PeerView, status: ReplicaStatus) -> list[str]:
    found = []
    if not peer.alive:
        return [f"{peer.name} is not heard."]
    if abs(peer.clock_offset_ms) > OFFSET_WORTH_A_WORD_MS:
        found.append(f"The clock of {peer.name} is {peer.clock_offset_ms} ms from ours.")
    if dict(peer.frontier) == dict(status.frontier) and peer.root != status.root:
        found.append(f"{peer.name} has the same changes and another digest: a repair is under way.")
    return found
