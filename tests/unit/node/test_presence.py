"""Who is there, from tokens that come in any order."""

from __future__ import annotations

from konkordat.kernel.ids import NodeName
from konkordat.node.presence import SESSIONS_MAX, Presence

GENEVA, BASEL, ZURICH = NodeName("geneva"), NodeName("basel"), NodeName("zurich")


def presence() -> Presence:
    made = Presence(ZURICH)
    made.began("mine")
    return made


def test_a_peer_is_there_from_its_first_token_to_its_last() -> None:
    there = presence()
    assert there.came(GENEVA, "a")
    assert there.present == {GENEVA}
    assert there.went(GENEVA, "a")
    assert there.present == frozenset()


def test_a_restart_seen_in_the_wrong_order_is_no_absence() -> None:
    there = presence()
    there.came(GENEVA, "old")
    assert not there.came(GENEVA, "new")
    assert not there.went(GENEVA, "old")
    assert there.present == {GENEVA}


def test_a_token_that_was_never_seen_cannot_end_anything() -> None:
    there = presence()
    there.came(GENEVA, "a")
    assert not there.went(GENEVA, "b")
    assert not there.went(BASEL, "c")


def test_our_own_tokens_are_not_a_peers() -> None:
    there = presence()
    assert not there.came(ZURICH, "mine")
    assert there.present == frozenset()
    assert not there.name_taken


def test_a_token_of_our_name_that_is_not_ours_takes_the_name() -> None:
    there = presence()
    there.came(ZURICH, "another")
    assert there.name_taken
    there.went(ZURICH, "another")
    assert not there.name_taken


def test_our_earlier_session_does_not_take_our_name() -> None:
    there = presence()
    there.ended()
    there.began("mine again")
    there.came(ZURICH, "mine")  # peers have not missed it yet
    assert not there.name_taken


def test_tokens_beyond_every_reason_are_not_kept() -> None:
    there = presence()
    for n in range(SESSIONS_MAX + 10):
        there.came(NodeName(f"n{n}"), "s")
    assert len(there.present) == SESSIONS_MAX
    for n in range(SESSIONS_MAX + 10):
        there.went(NodeName(f"n{n}"), "s")
    assert there.came(GENEVA, "a")


def test_with_our_session_everybody_is_gone() -> None:
    there = presence()
    there.came(GENEVA, "a")
    there.came(BASEL, "b")
    assert there.ended() == {GENEVA, BASEL}
    assert there.present == frozenset()
    assert not there.is_current("mine")
