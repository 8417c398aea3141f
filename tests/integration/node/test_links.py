"""Links over real Zenoh sessions on loopback."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import zenoh

from konkordat.kernel.digest import EMPTY
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin
from konkordat.node.endpoints import Endpoint
from konkordat.node.errors import AddressInUseError
from konkordat.node.inbox import InboxLimits
from konkordat.replica.messages import PeerJoined, PeerLeft, Received
from konkordat.wire.codec import FRAME_BYTES_MAX, Codec
from konkordat.wire.messages import Goodbye, Heartbeat, Page
from support.node import LinkedNode, eventually, free_port, linked

pytestmark = pytest.mark.filterwarnings("error")


def beat(node: str) -> Heartbeat:
    return Heartbeat(Origin(f"{node}.0"), {}, EMPTY, 1, Hlc(1), 1)


def joined(node: LinkedNode, *names: str) -> bool:
    return {NodeName(name) for name in names} <= node.links.present


@pytest.mark.row("S0-29")
@pytest.mark.row("S0-30")
def test_five_nodes_find_each_other_from_one_address() -> None:
    zurich = LinkedNode("zurich")
    others = [LinkedNode(n, (zurich.at,)) for n in ("geneva", "basel", "lugano", "bern")]
    nodes = [zurich, *others]
    names = {node.name for node in nodes}
    with linked(*nodes):
        eventually(lambda: all(node.links.present == names - {node.name} for node in nodes))
        for node in nodes:
            assert {news.peer for news in node.of(PeerJoined)} == names - {node.name}


def test_a_broadcast_reaches_everybody_but_its_sender() -> None:
    zurich = LinkedNode("zurich")
    geneva, basel = LinkedNode("geneva", (zurich.at,)), LinkedNode("basel", (zurich.at,))
    with linked(zurich, geneva, basel):
        eventually(lambda: joined(geneva, "zurich", "basel"))
        geneva.links.broadcast(beat("geneva"))
        expected = [Received(NodeName("geneva"), beat("geneva"))]
        eventually(lambda: zurich.of(Received) == expected and basel.of(Received) == expected)
        assert geneva.of(Received) == []


def test_a_page_of_almost_four_megabytes_arrives_at_its_receiver_alone() -> None:
    zurich = LinkedNode("zurich")
    geneva, basel = LinkedNode("geneva", (zurich.at,)), LinkedNode("basel", (zurich.at,))
    page = Page(7, tuple(os.urandom(1 << 20) for _ in range(3)), more=True)
    with linked(zurich, geneva, basel):
        eventually(lambda: joined(zurich, "geneva", "basel"))
        zurich.links.send(geneva.name, page)
        eventually(lambda: geneva.of(Received) == [Received(zurich.name, page)])
        assert basel.of(Received) == []


def test_a_node_that_leaves_is_missed_and_noticed_when_it_returns() -> None:
    zurich = LinkedNode("zurich")
    geneva = LinkedNode("geneva", (zurich.at,))
    with linked(zurich, geneva):
        eventually(lambda: joined(zurich, "geneva"))
        geneva.links.close()
        eventually(lambda: zurich.of(PeerLeft))
        assert not zurich.links.present
        again = LinkedNode("geneva", (zurich.at,), listen=geneva.at)
        with linked(again):
            eventually(lambda: len(zurich.of(PeerJoined)) == 2)


def test_a_cut_line_loses_all_peers_and_a_mended_one_finds_them_again() -> None:
    zurich = LinkedNode("zurich")
    geneva, basel = LinkedNode("geneva", (zurich.at,)), LinkedNode("basel", (zurich.at,))
    with linked(zurich, geneva, basel):
        eventually(lambda: joined(geneva, "zurich", "basel"))
        geneva.links.cut()
        assert {news.peer for news in geneva.of(PeerLeft)} == {"zurich", "basel"}
        eventually(lambda: not joined(zurich, "geneva") and not joined(basel, "geneva"))
        geneva.links.broadcast(beat("geneva"))  # into the void, without an error
        geneva.links.send(zurich.name, Goodbye())
        geneva.links.mend()
        eventually(lambda: joined(geneva, "zurich", "basel") and joined(basel, "geneva"))
        assert zurich.of(Received) == []


def test_what_finds_no_room_is_dropped_and_counted_and_nobody_waits() -> None:
    zurich = LinkedNode("zurich", limits=InboxLimits(messages_max=3))
    geneva = LinkedNode("geneva", (zurich.at,))
    with linked(zurich, geneva):
        eventually(lambda: joined(geneva, "zurich") and joined(zurich, "geneva"))
        for _ in range(10):
            geneva.links.broadcast(beat("geneva"))
        eventually(lambda: zurich.dropped("inbox_full") == 7)
        assert zurich.log.events().count("frame_dropped") == 1  # a flood does not fill the log
        assert len(zurich.of(Received)) == 3
        geneva.links.broadcast(beat("geneva"))
        eventually(lambda: len(zurich.of(Received)) == 4)


@pytest.mark.parametrize(
    ("key", "frame", "reason"),
    [
        ("all/geneva", b"KK\x00\xff\xff", "malformed"),
        ("all/geneva", b"", "malformed"),
        ("all/geneva", b"KK\x01" + bytes(64), "malformed"),
        ("all/geneva", bytes(FRAME_BYTES_MAX + 1), "oversize"),
        ("all/geneva", Codec("summit", NodeName("basel")).encode(Goodbye()), "foreign"),
        ("all/geneva", Codec("fair", NodeName("geneva")).encode(Goodbye()), "foreign"),
        ("to/zurich/zurich", Codec("summit", NodeName("zurich")).encode(Goodbye()), "foreign"),
    ],
)
def test_what_is_malformed_or_of_somebody_else_is_dropped_with_its_reason(
    key: str, frame: bytes, reason: str
) -> None:
    zurich = LinkedNode("zurich")
    geneva = LinkedNode("geneva", (zurich.at,))
    with linked(zurich, geneva):
        eventually(lambda: joined(geneva, "zurich") and joined(zurich, "geneva"))
        session = geneva.links._session
        assert session is not None
        # Zenoh drops by default: on a busy machine the large frame would not even arrive.
        wait = zenoh.CongestionControl.BLOCK
        session.put(f"konkordat/summit/{key}", frame, congestion_control=wait)
        eventually(lambda: zurich.dropped(reason) == 1)
        geneva.links.broadcast(beat("geneva"))
        eventually(lambda: zurich.of(Received))
        assert zurich.of(Received) == [Received(geneva.name, beat("geneva"))]


def test_another_cluster_at_the_same_address_is_neither_seen_nor_heard() -> None:
    zurich = LinkedNode("zurich")
    stranger = LinkedNode("geneva", (zurich.at,), cluster="fair")
    bern = LinkedNode("bern", (zurich.at,))
    with linked(zurich, stranger, bern):
        eventually(lambda: joined(zurich, "bern"))
        stranger.links.broadcast(beat("geneva"))
        bern.links.broadcast(beat("bern"))
        eventually(lambda: zurich.of(Received))
        assert {item.peer for item in zurich.of(Received)} == {"bern"}
        assert zurich.links.present == {"bern"}
        assert stranger.links.present == frozenset()


def test_two_nodes_of_one_name_notice() -> None:
    zurich = LinkedNode("zurich")
    geneva = LinkedNode("geneva", (zurich.at,))
    impostor = LinkedNode("zurich", (zurich.at,))
    with linked(zurich, geneva):
        eventually(lambda: joined(geneva, "zurich"))
        with linked(impostor):
            eventually(lambda: zurich.links.name_taken and impostor.links.name_taken)
        eventually(lambda: not zurich.links.name_taken)
        assert joined(geneva, "zurich")  # the one that stayed was never missed
        assert geneva.of(PeerLeft) == []


def test_a_busy_port_is_named() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        at = Endpoint("tcp", "127.0.0.1", busy.getsockname()[1])
        node = LinkedNode("zurich", listen=at)
        with pytest.raises(AddressInUseError, match=str(at.port)):
            node.links.open()


def test_a_node_opens_though_nobody_it_should_dial_is_there() -> None:
    nobody = Endpoint("tcp", "127.0.0.1", free_port())
    zurich = LinkedNode("zurich", (nobody,))
    with linked(zurich):
        late = LinkedNode("geneva", listen=nobody)
        with linked(late):
            eventually(lambda: joined(zurich, "geneva"))


def test_a_node_remembers_the_way_to_peers_that_only_gossip_told_of(tmp_path: Path) -> None:
    zurich = LinkedNode("zurich")
    geneva = LinkedNode("geneva", (zurich.at,))
    basel = LinkedNode("basel", (zurich.at,), book=tmp_path / "peers.json")
    with linked(zurich, geneva, basel):
        eventually(lambda: joined(basel, "zurich", "geneva"))
    # The only configured address is down now.
    geneva_again = LinkedNode("geneva", listen=geneva.at)
    basel_again = LinkedNode("basel", (zurich.at,), book=tmp_path / "peers.json")
    with linked(geneva_again, basel_again):
        eventually(lambda: joined(basel_again, "geneva"))


def shut_sockets_with(ports: set[int]) -> int:
    """Break this process's connections that have an end at one of these ports; returns how many ends."""
    broken = 0
    for path in list(Path("/proc/self/fd").iterdir()):
        try:
            if not str(path.readlink()).startswith("socket:"):
                continue
            line = socket.socket(fileno=os.dup(int(path.name)))
        except OSError:
            continue
        with line:
            try:
                ends = {line.getsockname()[1], line.getpeername()[1]}
            except (OSError, IndexError):
                continue
            if ends & ports:
                line.shutdown(socket.SHUT_RDWR)
                broken += 1
    return broken


def test_a_lost_link_that_only_gossip_had_made_is_tended() -> None:
    zurich = LinkedNode("zurich")
    geneva, basel = LinkedNode("geneva", (zurich.at,)), LinkedNode("basel", (zurich.at,))
    with linked(zurich, geneva, basel):
        eventually(lambda: joined(geneva, "zurich", "basel") and joined(basel, "geneva"))
        # Gossip made them dial each other; zurich was dialled by configuration and dials nobody.
        assert shut_sockets_with({geneva.at.port, basel.at.port})
        eventually(lambda: not joined(geneva, "basel"))
        geneva.links.tend()
        assert "links_reopened" not in geneva.log.events()  # the other may come by itself
        geneva.links.tend()
        assert "links_reopened" in geneva.log.events()
        eventually(lambda: joined(geneva, "zurich", "basel") and joined(basel, "geneva"))


def test_tending_leaves_a_peer_that_is_down_alone() -> None:
    zurich = LinkedNode("zurich")
    geneva = LinkedNode("geneva", (zurich.at,))
    with linked(zurich, geneva):
        eventually(lambda: joined(zurich, "geneva"))
        geneva.links.close()
        eventually(lambda: not zurich.links.present)
        for _ in range(3):
            zurich.links.tend()
        assert "links_reopened" not in zurich.log.events()
