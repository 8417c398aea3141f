"""When a node is ready for clients, and when it is not."""

from __future__ import annotations

from konkordat.kernel.digest import EMPTY
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin
from konkordat.kernel.seat import Decide, SeatId
from konkordat.node.health import ALONE_AFTER_S, Health
from konkordat.replica.status import PeerView, ReplicaStatus, SeatingView, SeatView

GENEVA = Origin("geneva.0")


class Scene:
    def __init__(self, has_peers_to_dial: bool = True) -> None:
        self.now_s = 100.0
        self.health = Health(has_peers_to_dial, lambda: self.now_s)
        self.health.opened()

    def hears(self, *peers: PeerView, ours: int = 0, fenced: bool = False) -> str:
        frontier = {GENEVA: ours}
        self.health.heard(
            ReplicaStatus(Origin("zurich.0"), Hlc(1), frontier, EMPTY, fenced, peers, {}, 0)
        )
        return self.health.name


def geneva(has: int = 0, *, alive: bool = True, joined: bool = True) -> PeerView:
    return PeerView(
        NodeName("geneva"), GENEVA, joined, alive, 1, 0, {GENEVA: has}, EMPTY, "", "", 0, "ready"
    )


def test_before_it_is_open_it_is_joining() -> None:
    health = Health(has_peers_to_dial=False)
    assert health.name == "joining"
    assert not health.ready


def test_with_nobody_to_dial_it_is_ready_at_once() -> None:
    assert Scene(has_peers_to_dial=False).hears() == "ready"


def test_with_peers_to_dial_it_gives_them_a_moment() -> None:
    scene = Scene()
    assert scene.hears() == "joining"
    scene.now_s += ALONE_AFTER_S + 0.1
    assert scene.hears() == "ready"  # a node answers alone


def test_a_linked_peer_is_listened_to_first() -> None:
    scene = Scene()
    assert scene.hears(geneva(alive=False)) == "joining"
    assert scene.hears(geneva(0)) == "ready"


def test_a_linked_peer_that_says_nothing_does_not_hold_it_up_for_ever() -> None:
    scene = Scene()
    scene.now_s += ALONE_AFTER_S + 0.1
    assert scene.hears(geneva(alive=False)) == "ready"


def test_far_behind_it_is_joining_until_it_has_caught_up() -> None:
    scene = Scene()
    scene.now_s += ALONE_AFTER_S + 0.1
    assert scene.hears(geneva(100_000)) == "joining"
    assert scene.hears(geneva(100_500), ours=50_000) == "joining"
    assert scene.hears(geneva(101_000), ours=99_999) == "joining"
    assert scene.hears(geneva(101_500), ours=100_000) == "ready"  # what came since is lag


def test_what_nobody_has_any_more_is_not_waited_for() -> None:
    scene = Scene()
    assert scene.hears(geneva(100)) == "joining"
    assert scene.hears(geneva(60), ours=50) == "joining"  # geneva is back, with an older disk
    assert scene.hears(geneva(60), ours=60) == "ready"
    alone = Scene()
    alone.hears(geneva(100))
    alone.now_s += ALONE_AFTER_S + 0.1
    assert alone.hears(geneva(100, alive=False)) == "ready"


def test_what_is_held_back_is_not_waited_for() -> None:
    scene = Scene()
    status = ReplicaStatus(
        Origin("zurich.0"), Hlc(1), {}, EMPTY, False, (geneva(100),), {GENEVA: "why"}, 0
    )
    scene.health.heard(status)
    assert scene.health.name == "ready"


def test_once_ready_lag_alone_does_not_turn_clients_away() -> None:
    scene = Scene()
    scene.hears(geneva(0))
    assert scene.hears(geneva(100_000)) == "ready"


def test_a_fenced_node_is_not_ready_until_its_clock_agrees() -> None:
    scene = Scene()
    scene.hears(geneva())
    assert scene.hears(geneva(), fenced=True) == "fenced"
    assert not scene.health.ready
    assert scene.hears(geneva()) == "ready"


def test_stopping_and_failed_are_not_ready_and_failed_says_why() -> None:
    scene = Scene()
    scene.hears(geneva())
    scene.health.stopping()
    assert scene.hears(geneva()) == "stopping"
    scene.health.failed("the disk failed")
    assert scene.hears(geneva()) == "failed"
    assert not scene.health.ready
    status = ReplicaStatus(Origin("zurich.0"), Hlc(1), {}, EMPTY, False, (), {}, 0)
    assert scene.health.problems(status) == ("The node failed: the disk failed",)


def test_problems_are_told_in_words() -> None:
    scene = Scene()
    off = PeerView(NodeName("geneva"), GENEVA, True, True, 1, 900, {}, EMPTY, "", "", 0, "ready")
    other = off.root._replace(live=3)
    differs = PeerView(
        NodeName("basel"), Origin("basel.0"), True, True, 1, 0, {}, other, "", "", 0, "ready"
    )
    held = {Origin("bern.0"): "two contents for batch 7"}
    scene.health.name_is_taken(True)
    status = ReplicaStatus(Origin("zurich.0"), Hlc(1), {}, EMPTY, False, (off, differs), held, 0)
    assert scene.health.problems(status) == (
        "Another node has this node's name: stop one of them.",
        "Batches of bern.0 are held back: two contents for batch 7.",
        "The clock of geneva is 900 ms from ours.",
        "basel has the same changes and another digest: a repair is under way.",
    )


def test_seats_without_a_holder_are_counted_and_of_no_tenant_named() -> None:
    """Every tenant reads what an operator should look at."""
    zurich = Origin("zurich.0")
    seats = tuple(
        SeatView(
            SeatId(f"{tenant}/venues/0190"), NodeName(""), Decide.MAJORITY, 1, GENEVA, False, False,
            0, 0, (),
        )
        for tenant in ("acme", "beta")
    )  # fmt: skip
    seating = SeatingView(1, (zurich, GENEVA), (zurich,), False, seats)
    status = ReplicaStatus(zurich, Hlc(1), {}, EMPTY, False, (), {}, 0, seating)
    said = " ".join(Health(has_peers_to_dial=False).problems(status))
    assert "2 seats have no holder" in said
    assert "acme" not in said
    assert "beta" not in said
