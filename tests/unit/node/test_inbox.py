"""What waits for the owner: its order, its bounds, its end."""

from __future__ import annotations

import threading

import pytest

from konkordat.kernel.ids import NodeName
from konkordat.node.inbox import DRAIN_BYTES_MAX, DRAIN_INPUTS_MAX, Inbox, InboxClosed, InboxLimits
from konkordat.replica.messages import Command, PeerJoined, PeerLeft, Received
from konkordat.wire.messages import Goodbye


def command(number: int) -> Command:
    return Command(f"c{number}", "tester", None)


def message(number: int) -> Received:
    return Received(NodeName("geneva"), Goodbye(str(number)))


def test_what_was_put_in_comes_out_in_order() -> None:
    inbox = Inbox(InboxLimits())
    first, second, third = command(1), message(2), PeerJoined(NodeName("basel"))
    assert inbox.offer_commands([first], [10])
    assert inbox.offer_message(second, 10)
    inbox.tell(third)
    assert inbox.drain(0) == [first, second, third]
    assert inbox.drain(0) == []


def test_commands_beyond_the_limit_are_refused_all_or_none() -> None:
    inbox = Inbox(InboxLimits(commands_max=3))
    assert inbox.offer_commands([command(1), command(2)], [1, 1])
    assert not inbox.offer_commands([command(3), command(4)], [1, 1])
    assert inbox.offer_commands([command(5)], [1])
    assert [c.cause_id for c in inbox.drain(0) if isinstance(c, Command)] == ["c1", "c2", "c5"]
    assert inbox.offer_commands([command(3), command(4)], [1, 1])


def test_commands_are_bounded_by_their_bytes_too() -> None:
    inbox = Inbox(InboxLimits(command_bytes_max=100))
    assert inbox.offer_commands([command(1)], [60])
    assert not inbox.offer_commands([command(2)], [60])
    inbox.drain(0)
    assert inbox.offer_commands([command(2)], [60])


def test_one_item_over_the_limit_is_taken_by_an_empty_inbox() -> None:
    inbox = Inbox(InboxLimits(command_bytes_max=100, message_bytes_max=100))
    assert inbox.offer_commands([command(1)], [1_000])
    assert inbox.offer_message(message(1), 1_000)
    assert not inbox.offer_message(message(2), 1)


def test_peers_cannot_crowd_out_clients_nor_clients_peers() -> None:
    inbox = Inbox(InboxLimits(commands_max=2, messages_max=2))
    assert [inbox.offer_message(message(n), 1) for n in range(4)] == [True, True, False, False]
    assert not inbox.has_room_for_message(1)
    assert inbox.offer_commands([command(1), command(2)], [1, 1])
    assert inbox.waiting.commands == 2
    assert inbox.waiting.messages == 2


def test_news_of_peers_is_taken_when_everything_is_full() -> None:
    inbox = Inbox(InboxLimits(messages_max=1))
    inbox.offer_message(message(1), 1)
    inbox.tell(PeerLeft(NodeName("geneva")))
    assert inbox.drain(0) == [message(1), PeerLeft(NodeName("geneva"))]


def test_one_drain_takes_what_one_commit_should_hold() -> None:
    inbox = Inbox(InboxLimits(commands_max=10_000, command_bytes_max=1 << 30))
    many = [command(n) for n in range(DRAIN_INPUTS_MAX + 5)]
    inbox.offer_commands(many, [1] * len(many))
    assert len(inbox.drain(0)) == DRAIN_INPUTS_MAX
    assert len(inbox.drain(0)) == 5
    inbox.offer_commands(many[:4], [DRAIN_BYTES_MAX // 2 + 1] * 4)
    assert len(inbox.drain(0)) == 2


def test_a_waiting_drain_wakes_for_what_comes() -> None:
    inbox = Inbox(InboxLimits())
    drained: list[object] = []
    thread = threading.Thread(target=lambda: drained.extend(inbox.drain(30)))
    thread.start()
    inbox.offer_commands([command(1)], [1])
    thread.join(10)
    assert drained == [command(1)]


def test_who_awaits_commands_is_woken_by_one_and_not_by_messages() -> None:
    inbox = Inbox(InboxLimits())
    woken = threading.Event()

    def wait() -> None:
        inbox.await_commands(30)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    inbox.offer_message(message(1), 1)
    assert not woken.wait(0.05)
    inbox.offer_commands([command(1)], [1])
    assert woken.wait(10)
    thread.join(10)
    inbox.await_commands(30)  # one waits already
    assert len(inbox.drain(0)) == 2
    inbox.close()
    inbox.await_commands(30)  # does not wait for what cannot come


def test_a_closed_inbox_takes_nothing_and_gives_what_it_has() -> None:
    inbox = Inbox(InboxLimits())
    inbox.offer_commands([command(1)], [1])
    inbox.close()
    with pytest.raises(InboxClosed):
        inbox.offer_commands([command(2)], [1])
    assert not inbox.offer_message(message(1), 1)
    inbox.tell(PeerJoined(NodeName("basel")))
    assert inbox.drain(30) == [command(1)]
    assert inbox.drain(30) == []  # does not wait for what cannot come
