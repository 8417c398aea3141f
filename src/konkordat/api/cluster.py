"""The cluster as this node sees it, where a token has arrived, and whether clients should come here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from konkordat.api.answers import Answer, answer
from konkordat.api.call import Call
from konkordat.api.docs import Doc, Reply
from konkordat.api.front import Route
from konkordat.api.gate import NodeStatus, PeerStatus
from konkordat.api.tokens import parse_sync_token
from konkordat.kernel.frontier import covers
from konkordat.kernel.frontier import token as frontier_token
from konkordat.kernel.ids import NodeName, Origin

_encode: Final = msgspec.json.Encoder().encode


class NodeShown(Struct, frozen=True):
    """One node. Of a peer, what it last said of itself."""

    name: str
    origin: str
    is_self: bool
    health: Annotated[str, Meta(description="joining, ready, fenced, stopping, lost")]
    alive: bool
    frontier: Mapping[Origin, int]
    token: Annotated[str, Meta(description="The frontier as a consistency token.")]
    digest: Annotated[str, Meta(description="Equal frontiers have equal digests.")]
    records: int
    api_url: str
    release: str
    behind: Annotated[int, Meta(description="Batches that we have and it lacks.")] = 0
    ahead: Annotated[int, Meta(description="Batches that it has and we lack.")] = 0
    lag_ms: Annotated[float, Meta(description="Age of the oldest batch it lacks.")] = 0.0
    clock_offset_ms: float = 0.0
    heard_ms_ago: float = 0.0
    seats: Annotated[int, Meta(description="Seats it holds: what it decides.")] = 0


class ClusterShown(Struct, frozen=True):
    """All nodes, this one first."""

    cluster: str
    node: str
    ready: bool
    queue: Annotated[int, Meta(description="Commands that wait here for a commit.")]
    queue_max: int
    uptime_s: float
    converged: Annotated[bool, Meta(description="All living nodes have the same.")]
    digests_equal: Annotated[bool, Meta(description="So they say, where frontiers are equal.")]
    nodes: tuple[NodeShown, ...]
    quarantined: Annotated[Mapping[Origin, str], Meta(description="Origin to why it is not taken.")]
    problems: Annotated[tuple[str, ...], Meta(description="What an operator should look at.")]


class TokenShown(Struct, frozen=True):
    """Which nodes have what a token names."""

    here: bool
    nodes: Mapping[NodeName, bool]


class Health(Struct, frozen=True):
    """Whether this node is well."""

    status: str
    health: str


async def cluster(call: Call) -> Answer:
    """`GET /v2/cluster`."""
    call.take_only()
    status = call.front.gate.status()
    own_url = call.front.settings.public_url
    return answer(call, 200, _encode(shown(status, own_url)))


def shown(status: NodeStatus, own_url: str) -> ClusterShown:
    """A node's status as the API shows it."""
    own = NodeShown(
        status.name,
        status.origin,
        True,
        status.health,
        True,
        status.frontier,
        frontier_token(status.frontier),
        status.digest,
        status.records,
        own_url,
        status.release,
    )
    held = _held(status)
    own = msgspec.structs.replace(own, seats=held.get(status.origin, 0))
    peers = [msgspec.structs.replace(_peer(p), seats=held.get(p.origin, 0)) for p in status.peers]
    living = [peer for peer in status.peers if peer.alive]
    converged = all(dict(peer.frontier) == dict(status.frontier) for peer in living)
    comparable = [peer for peer in living if dict(peer.frontier) == dict(status.frontier)]
    return ClusterShown(
        status.cluster,
        status.name,
        status.ready,
        status.queue,
        status.queue_max,
        round(status.uptime_s, 3),
        converged,
        all(peer.digest == status.digest for peer in comparable),
        (own, *peers),
        status.quarantined,
        status.problems,
    )


def _held(status: NodeStatus) -> Counter[Origin]:
    """How many seats each node holds."""
    seats = status.seating.seats if status.seating is not None else ()
    return Counter(view.holder for view in seats if view.holder and not view.handed_over)


def _peer(peer: PeerStatus) -> NodeShown:
    return NodeShown(
        peer.name,
        peer.origin,
        False,
        peer.health,
        peer.alive,
        peer.frontier,
        frontier_token(peer.frontier),
        peer.digest,
        peer.records,
        peer.api_url,
        peer.release,
        peer.behind,
        peer.ahead,
        round(peer.lag_ms, 3),
        round(peer.clock_offset_ms, 3),
        round(peer.heard_ms_ago, 3),
    )


async def token(call: Call) -> Answer:
    """`GET /v2/tokens/{token}`."""
    call.take_only()
    _, frontier = parse_sync_token(call.params["token"])
    status = call.front.gate.status()
    here = covers(status.frontier, frontier)
    nodes = {status.name: here} | {p.name: covers(p.frontier, frontier) for p in status.peers}
    return answer(call, 200, _encode(TokenShown(here, nodes)))


# For machines that watch over the node ------------------------------------------------------------


async def livez(call: Call) -> Answer:
    """`GET /livez`: the process answers. Lag or missing peers never fail it: a restart would not help."""
    return answer(call, 200, _encode(Health("live", call.front.gate.status().health)))


async def readyz(call: Call) -> Answer:
    """`GET /readyz`: whether clients should be sent here."""
    status = call.front.gate.status()
    code, word = (200, "ready") if status.ready else (503, "not ready")
    return answer(call, code, _encode(Health(word, status.health)))


async def metrics(call: Call) -> Answer:
    """`GET /metrics`: numbers for Prometheus. No ids, tenants or texts are among them."""
    page = generate_latest(call.front.counts.registry)
    return answer(call, 200, page, media_type=CONTENT_TYPE_LATEST.encode())


def cluster_routes() -> Iterator[Route]:
    """All routes of this module."""
    yield Route(
        method="GET", path="/v2/cluster", run=cluster, needs="read",
        doc=Doc(
            tag="cluster", summary="All nodes: what they have, how far they lag",
            replies=(Reply(200, "The cluster.", ClusterShown),),
        ),
    )  # fmt: skip
    yield Route(
        method="GET", path="/v2/tokens/{token:str}", run=token, needs="read",
        doc=Doc(
            tag="cluster", summary="Which nodes have what a token names",
            replies=(Reply(200, "By node.", TokenShown),), problems=("bad_token",),
        ),
    )  # fmt: skip
    for path, run, summary in (
        ("/livez", livez, "Is the process alive?"),
        ("/readyz", readyz, "Should clients come here?"),
    ):
        replies = [Reply(200, "Yes.", Health)]
        if path == "/readyz":
            replies.append(Reply(503, "Not now.", Health))
        yield Route(
            method="GET", path=path, run=run, needs=None,
            doc=Doc(tag="health", summary=summary, replies=tuple(replies)),
        )  # fmt: skip
    yield Route(
        method="GET", path="/metrics", run=metrics, needs=None,
        doc=Doc(
            tag="health", summary="Numbers for Prometheus",
            replies=(Reply(200, "Text.", None, "text/plain"),),
        ),
    )  # fmt: skip
