"""A replica's view of itself and its peers, as one immutable value that other threads may hold."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from konkordat.kernel.digest import Summary
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin
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


class ReplicaStatus(msgspec.Struct, frozen=True):
    origin: Origin
    hlc: Hlc
    frontier: Mapping[Origin, int]
    root: Summary
    fenced: bool  # refuses writes because its clock disagrees with the majority's
    peers: tuple[PeerView, ...]
    quarantined: Mapping[Origin, str]  # origin -> why its batches are not taken now
    pending_bytes: int  # pushed batches that wait for a gap before them to close


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
