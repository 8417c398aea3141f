"""A replica's view of itself and its peers, as one immutable value that other threads may hold."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from konkordat.kernel.digest import Summary
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin
from konkordat.kernel.seat import Decide, SeatId
from konkordat.protocol.peers import Peer


class PeerView(msgspec.Struct, frozen=True):
    name: NodeName
    origin: Origin
    joined: bool  # the link says it is there
    alive: bool  # heard lately
    heard_ms: int  # our clock at its last heartbeat; 0 = never
    clock_offset_ms: int
    frontier: Mapping[Origin, int]
    root: Summary
    api_url: str
    release: str
    sessions: int  # living records it has
    health: str


class TenureView(msgspec.Struct, frozen=True):
    """Who held a seat in which term."""

    term: int
    holder: Origin
    opened_ms: int  # by the holder's clock; 0 where the log does not tell any more
    cutoff: (
        int | None
    )  # of the term before: its decisions count up to this batch of its holder's log
    voters: tuple[Origin, ...]
    roster: int


class SeatView(msgspec.Struct, frozen=True):
    """One seat as this node sees it."""

    id: SeatId
    home: NodeName  # "": nowhere in particular
    decide: Decide
    term: int  # 0: nobody ever held it
    holder: Origin | None
    handed_over: bool  # the holder gave it up, and nobody followed yet
    deciding: bool  # by this node, now
    final_upto: int  # in the log of the holder whose decisions were final last
    undecided: int  # claims that wait, as far as this node knows
    tenures: tuple[TenureView, ...]  # latest first; the terms that count


class SeatingView(msgspec.Struct, frozen=True):
    """Who decides what, as this node sees it."""

    roster: int  # version; 0: none is known, and nothing is decided
    members: tuple[Origin, ...]
    heard: tuple[Origin, ...]  # of the members: heard lately, this node included
    conflict: bool  # two rosters were said under one version: nothing is decided any more
    seats: tuple[SeatView, ...]  # in order of id

    @property
    def has_majority(self) -> bool:
        """More than half of the members are heard."""
        return len(self.heard) * 2 > len(self.members)


class ReplicaStatus(msgspec.Struct, frozen=True):
    origin: Origin
    hlc: Hlc
    frontier: Mapping[Origin, int]
    root: Summary
    fenced: bool  # refuses writes because its clock disagrees with the majority's
    peers: tuple[PeerView, ...]
    quarantined: Mapping[Origin, str]  # origin -> why its batches are not taken now
    pending_bytes: int  # pushed batches that wait for a gap before them to close
    seating: SeatingView | None = None  # None: claims are not decided by seats here


def peer_view(peer: Peer, now_ms: int) -> PeerView:
    """A peer as it is now."""
    return PeerView(
        peer.name,
        peer.origin,
        peer.joined,
        peer.alive(now_ms),
        peer.heard_ms,
        peer.clock_offset_ms,
        peer.frontier,
        peer.root,
        peer.api_url,
        peer.release,
        peer.sessions,
        peer.health,
    )
