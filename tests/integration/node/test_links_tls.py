"""Mutual TLS on the links: who is let in, and under which name."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from konkordat.kernel.ids import NodeName
from konkordat.replica.messages import PeerJoined, Received
from konkordat.wire.codec import Codec
from konkordat.wire.messages import Goodbye
from support.certificates import Certify
from support.node import LinkedNode, eventually, linked

pytestmark = pytest.mark.row("S0-19")

SETTLES_S = (
    1.0  # a refused peer dials again within 0.2 s; it gets several chances to be let in by mistake
)


def test_nodes_with_certificates_of_one_authority_find_each_other_through_a_third(
    certify: Certify,
) -> None:
    zurich = LinkedNode("zurich", tls=certify("zurich"))
    geneva = LinkedNode("geneva", (zurich.at,), tls=certify("geneva"))
    basel = LinkedNode("basel", (zurich.at,), tls=certify("basel"))
    with linked(zurich, geneva, basel):
        eventually(lambda: geneva.links.present == {"zurich", "basel"})
        geneva.links.broadcast(Goodbye("hello"))
        expected = [Received(geneva.name, Goodbye("hello"))]
        eventually(lambda: basel.of(Received) == expected and zurich.of(Received) == expected)


@pytest.mark.parametrize(
    "how",
    [
        {"by": "theirs", "trusts": "theirs"},
        {"by": "theirs"},
        {"trusts": "theirs"},
        {"expired": True},
    ],
    ids=["another authority", "a forged certificate", "trusts another authority", "expired"],
)
def test_who_cannot_prove_to_belong_here_is_not_let_in(
    certify: Certify, how: dict[str, object]
) -> None:
    zurich = LinkedNode("zurich", tls=certify("zurich"))
    stranger = LinkedNode("geneva", (zurich.at,), tls=certify("geneva", **how))
    bern = LinkedNode("bern", (zurich.at,), tls=certify("bern"))
    with linked(zurich, stranger, bern):
        eventually(lambda: zurich.links.present == {"bern"})
        assert not _within(
            SETTLES_S, lambda: stranger.links.present or len(zurich.links.present) > 1
        )
        stranger.links.broadcast(Goodbye())
        bern.links.broadcast(Goodbye("from bern"))
        eventually(lambda: zurich.of(Received))
        assert [item.peer for item in zurich.of(Received)] == ["bern"]


def test_plain_text_is_not_let_in(certify: Certify) -> None:
    zurich = LinkedNode("zurich", tls=certify("zurich"))
    plain_door = zurich.at.__class__("tcp", zurich.at.host, zurich.at.port)
    stranger = LinkedNode("geneva", (plain_door,))
    with linked(zurich, stranger):
        assert not _within(SETTLES_S, lambda: stranger.links.present or zurich.links.present)
        with socket.create_connection((zurich.at.host, zurich.at.port), 5) as line:
            line.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"HTTP" not in line.recv(100)


def test_only_members_speak_and_each_under_its_own_name_alone(certify: Certify) -> None:
    members = ("zurich", "geneva", "bern")
    zurich = LinkedNode("zurich", tls=certify("zurich"), members=members)
    geneva = LinkedNode("geneva", (zurich.at,), tls=certify("geneva"), members=members)
    bern = LinkedNode("bern", (zurich.at,), tls=certify("bern"), members=members)
    mallory = LinkedNode("mallory", (zurich.at,), tls=certify("mallory"))
    with linked(zurich, geneva, bern, mallory):
        eventually(lambda: zurich.links.present == {"geneva", "bern"})
        eventually(lambda: geneva.links.present == {"zurich", "bern"})
        # A member whose key was stolen speaks as another: the certificate gives it away.
        session = geneva.links._session
        assert session is not None
        forged = Codec("summit", NodeName("bern")).encode(Goodbye("forged"))
        session.put("konkordat/summit/all/bern", forged)
        session.put("konkordat/summit/to/zurich/bern", forged)
        mallory.links.broadcast(Goodbye("not a member"))
        geneva.links.broadcast(Goodbye("true"))
        geneva.links.send(zurich.name, Goodbye("to you"))
        eventually(lambda: len(zurich.of(Received)) >= 2)
        assert not _within(SETTLES_S, lambda: len(zurich.of(Received)) > 2)
        assert {(i.peer, i.message.reason) for i in zurich.of(Received)} == {
            ("geneva", "true"),
            ("geneva", "to you"),
        }
        assert {news.peer for news in zurich.of(PeerJoined)} == {"geneva", "bern"}
        # What is said among members does not reach who is none.
        assert mallory.of(Received) == []


def _within(patience_s: float, what: Callable[[], object]) -> bool:
    """True as soon as `what` is true; False if it stays false that long."""
    try:
        eventually(what, patience_s)
    except AssertionError:
        return False
    return True
