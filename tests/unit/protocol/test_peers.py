"""What a node makes of its peers' clocks: a wrong clock is found, a slow line is not taken for one."""

from __future__ import annotations

import pytest

from konkordat.kernel.digest import EMPTY
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin
from konkordat.protocol.peers import FENCE_AT_MS, PEERS_MAX, SILENT_AFTER_MS, Peers
from konkordat.wire.messages import Heartbeat

ZURICH = NodeName("zurich")
OTHERS = [NodeName(name) for name in ("basel", "bern", "geneva", "lugano")]
NOW = 1_000_000


def hear(peers: Peers, name: NodeName, sent_ms: int, sees_us_ahead_ms: int = 0) -> None:
    clocks = {ZURICH: sees_us_ahead_ms}
    beat = Heartbeat(Origin(f"{name}.1"), {}, EMPTY, sent_ms, Hlc(0), 1, clocks=clocks)
    peer = peers.get(name)
    assert peer is not None
    peers.heard(peer, beat, ZURICH, NOW)


def test_a_clock_behind_those_of_the_majority_is_noticed() -> None:
    peers = Peers()
    for name in OTHERS[:3]:
        hear(peers, name, NOW + FENCE_AT_MS + 1)
    hear(peers, OTHERS[3], NOW)
    assert peers.clock_disagrees(NOW)


def test_a_clock_ahead_of_those_of_the_majority_is_noticed_by_what_they_say() -> None:
    peers = Peers()
    for name in OTHERS[:3]:
        hear(peers, name, NOW - 5_000, sees_us_ahead_ms=FENCE_AT_MS + 1)
    hear(peers, OTHERS[3], NOW)
    assert peers.clock_disagrees(NOW)


def test_two_strange_clocks_of_five_are_not_our_fault() -> None:
    peers = Peers()
    for name in OTHERS[:2]:
        hear(peers, name, NOW + 3_600_000)
    for name in OTHERS[2:]:
        hear(peers, name, NOW)
    assert not peers.clock_disagrees(NOW)


def test_heartbeats_that_took_long_do_not_fence_a_node() -> None:
    peers = Peers()
    for name in OTHERS:
        hear(peers, name, NOW - 3_000, sees_us_ahead_ms=-3_000)
    assert not peers.clock_disagrees(NOW)


def test_peers_not_heard_for_long_have_no_say() -> None:
    peers = Peers()
    for name in OTHERS:
        hear(peers, name, NOW + 3_600_000)
    assert not peers.clock_disagrees(NOW + SILENT_AFTER_MS + 1)
    assert peers.clocks(NOW) == dict.fromkeys(OTHERS, 3_600_000)
    assert peers.clocks(NOW + SILENT_AFTER_MS + 1) == {}


@pytest.mark.parametrize("number", [PEERS_MAX, PEERS_MAX + 10])
def test_strangers_cannot_fill_the_table_of_peers(number: int) -> None:
    peers = Peers()
    made = [peers.get(NodeName(f"n{n}")) for n in range(number)]
    assert sum(peer is not None for peer in made) == PEERS_MAX
    assert len(peers.table) == PEERS_MAX
