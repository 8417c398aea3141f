"""Gap repair: whom a node asks for what it lacks, and that nobody can keep it busy for nothing."""

from __future__ import annotations

from collections.abc import Mapping

from konkordat.kernel.digest import EMPTY
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin
from konkordat.protocol.exchange import (
    FRUITLESS_MS,
    GOALS_MAX,
    GRACE_MS,
    PULL_TIMEOUT_MS,
    WANTS_MAX,
    Exchange,
)
from konkordat.protocol.peers import Peers
from konkordat.wire.messages import Heartbeat, Page, Pull

BERN, BASEL, GENEVA = NodeName("bern"), NodeName("basel"), NodeName("geneva")
OF_BERN = Origin("bern.1")
NOTHING: Mapping[Origin, int] = {}
START = 1_000_000


class Setting:
    """An exchange and the peers it has heard."""

    def __init__(self) -> None:
        self.peers = Peers()
        self.exchange = Exchange(self.peers)

    def beat(self, name: NodeName, frontier: Mapping[Origin, int], now_ms: int) -> None:
        beat = Heartbeat(Origin(f"{name}.1"), frontier, EMPTY, now_ms, Hlc(0), 1)
        peer = self.peers.get(name)
        assert peer is not None
        self.peers.heard(peer, beat, NodeName("zurich"), now_ms)
        self.exchange.heard(frontier, NOTHING, now_ms)

    def due(self, now_ms: int, ours: Mapping[Origin, int] = NOTHING) -> list[tuple[NodeName, Pull]]:
        return self.exchange.due(ours, now_ms)


def page(pull: Pull, *bodies: bytes, more: bool = False) -> Page:
    return Page(pull.id, bodies, more)


def test_what_a_heartbeat_says_is_missing_is_pulled_after_a_grace() -> None:
    setting = Setting()
    setting.beat(BERN, {OF_BERN: 3}, START)
    assert setting.due(START + GRACE_MS - 1) == []
    ((peer, pull),) = setting.due(START + GRACE_MS)
    assert (peer, pull.wants) == (BERN, ((OF_BERN, 0),))


def test_a_gap_is_pulled_at_once_and_only_once() -> None:
    setting = Setting()
    setting.beat(BERN, {OF_BERN: 3}, START)
    setting.exchange.gap_seen(OF_BERN, 3, BERN, START)
    assert len(setting.due(START)) == 1
    assert setting.due(START + 10) == []


def test_a_gap_is_pulled_from_who_showed_it_without_waiting_for_a_heartbeat() -> None:
    setting = Setting()
    setting.beat(BERN, {OF_BERN: 1}, START)
    setting.exchange.gap_seen(OF_BERN, 3, BERN, START + 5)
    ((peer, pull),) = setting.due(START + 5, {OF_BERN: 1})
    assert (peer, pull.wants) == (BERN, ((OF_BERN, 1),))


def test_an_unanswered_pull_is_sent_to_somebody_else() -> None:
    setting = Setting()
    for name in (BERN, BASEL):
        setting.beat(name, {OF_BERN: 3}, START)
    ((first, _),) = setting.due(START + GRACE_MS)
    later = START + GRACE_MS + PULL_TIMEOUT_MS
    for name in (BERN, BASEL):
        setting.beat(name, {OF_BERN: 3}, later)
    ((second, _),) = setting.due(later)
    assert (first, second) == (BERN, BASEL)


def test_a_page_that_brings_nothing_is_not_asked_for_again_at_once() -> None:
    setting = Setting()
    setting.beat(BERN, {OF_BERN: 3}, START)
    now = START + GRACE_MS
    ((_, pull),) = setting.due(now)
    assert setting.exchange.answered(BERN, page(pull), NOTHING, now)
    assert setting.due(now) == []
    assert setting.due(now + FRUITLESS_MS - 1) == []
    setting.beat(BERN, {OF_BERN: 3}, now + FRUITLESS_MS)
    assert len(setting.due(now + FRUITLESS_MS)) == 1


def test_after_a_fruitless_page_another_peer_is_asked_even_before_the_origin_itself() -> None:
    setting = Setting()
    for name in (BERN, GENEVA):
        setting.beat(name, {OF_BERN: 3}, START)
    now = START + GRACE_MS
    ((first, pull),) = setting.due(now)
    setting.exchange.answered(BERN, page(pull, b"refused"), NOTHING, now)
    ((second, _),) = setting.due(now + FRUITLESS_MS)
    assert (first, second) == (BERN, GENEVA)


def test_an_origin_for_which_a_page_had_no_room_is_asked_for_again_at_once() -> None:
    setting = Setting()
    other = Origin("bern.0")
    setting.beat(BERN, {OF_BERN: 3, other: 2}, START)
    now = START + GRACE_MS
    ((_, pull),) = setting.due(now)
    ours = {other: 2}
    setting.exchange.answered(BERN, page(pull, b"of the other", more=True), ours, now)
    ((_, again),) = setting.due(now, ours)
    assert again.wants == ((OF_BERN, 0),)


def test_a_page_that_answers_no_open_pull_is_told_apart() -> None:
    setting = Setting()
    setting.beat(BERN, {OF_BERN: 3}, START)
    now = START + GRACE_MS
    ((_, pull),) = setting.due(now)
    assert not setting.exchange.answered(GENEVA, page(pull), NOTHING, now)
    assert not setting.exchange.answered(BERN, Page(pull.id + 1, (), False), NOTHING, now)


def test_a_long_replay_goes_on_without_waiting_for_a_heartbeat() -> None:
    setting = Setting()
    setting.beat(BERN, {OF_BERN: 3}, START)
    now = START + GRACE_MS
    setting.due(now)
    setting.beat(BERN, {OF_BERN: 9}, now)
    setting.due(now, {OF_BERN: 3})
    assert [p.wants for _, p in setting.due(now + PULL_TIMEOUT_MS - 1, {OF_BERN: 3})] == []
    setting.beat(BERN, {OF_BERN: 9}, now + PULL_TIMEOUT_MS)
    ((_, pull),) = setting.due(now + PULL_TIMEOUT_MS, {OF_BERN: 3})
    assert pull.wants == ((OF_BERN, 3),)


def test_a_pull_names_a_bounded_number_of_origins() -> None:
    setting = Setting()
    setting.beat(BERN, {Origin(f"bern.{n}"): 1 for n in range(WANTS_MAX + 6)}, START)
    now = START + GRACE_MS
    assert [len(p.wants) for _, p in setting.due(now)] == [WANTS_MAX]
    assert [len(p.wants) for _, p in setting.due(now)] == [6]


def test_a_peer_that_invents_origins_cannot_fill_our_memory() -> None:
    setting = Setting()
    setting.beat(BERN, {Origin(f"bern.{n}"): 1 for n in range(2 * GOALS_MAX)}, START)
    wanted = sum(len(pull.wants) for _ in range(99) for _, pull in setting.due(START + 900))
    assert wanted == GOALS_MAX
