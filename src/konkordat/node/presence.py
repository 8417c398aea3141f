"""Who is linked: from liveliness tokens, which name a node and one of its sessions.

A node that restarts has its new session seen before its old one is missed, or after. So a peer is there while at least
one of its sessions is.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from konkordat.kernel.ids import NodeName

SESSIONS_MAX: Final = (
    512  # several for each of the most peers a mesh may have; strangers cannot fill our memory
)


class Presence:
    """Mutated under the lock of the links; its properties are immutable values that any thread may read."""

    def __init__(self, own: NodeName) -> None:
        self._own = own
        self._sessions: defaultdict[NodeName, set[str]] = defaultdict(set)
        self._mine: set[str] = set()  # every session of this process: old ones linger at peers
        self._current = ""
        self._present: frozenset[NodeName] = frozenset()
        self._name_taken = False

    def began(self, session: str) -> None:
        """A session of ours was opened."""
        self._mine.add(session)
        self._current = session

    def is_current(self, session: str) -> bool:
        return session == self._current

    def came(self, name: NodeName, session: str) -> bool:
        """A token appeared. True if with it the peer did."""
        if name == self._own and session in self._mine:
            return False
        if sum(map(len, self._sessions.values())) >= SESSIONS_MAX:
            return False
        self._sessions[name].add(session)
        before = self._present
        self._settle()
        return name in self._present and name not in before

    def went(self, name: NodeName, session: str) -> bool:
        """A token is gone. True if with it the peer is."""
        self._sessions[name].discard(session)
        if not self._sessions[name]:
            del self._sessions[name]
        before = self._present
        self._settle()
        return name in before and name not in self._present

    def ended(self) -> frozenset[NodeName]:
        """Our session was closed: who was there is not any more."""
        gone = self._present
        self._current = ""
        self._sessions.clear()
        self._settle()
        return gone

    def _settle(self) -> None:
        there = frozenset(name for name, sessions in self._sessions.items() if sessions)
        self._name_taken = self._own in there
        self._present = there - {self._own}

    @property
    def present(self) -> frozenset[NodeName]:
        return self._present

    @property
    def name_taken(self) -> bool:
        return self._name_taken
