"""The address book."""

from __future__ import annotations

from pathlib import Path

import pytest

from konkordat.kernel.ids import NodeName
from konkordat.node.book import ENTRIES_MAX, FORGET_AFTER_MS, AddressBook
from konkordat.node.endpoints import Endpoint

GENEVA = NodeName("geneva")


def test_addresses_are_kept_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    AddressBook(path, False, 0).note(GENEVA, "tcp/127.0.0.1:7001", 5)
    assert AddressBook(path, False, 10).addresses() == {GENEVA: Endpoint("tcp", "127.0.0.1", 7001)}


def test_the_newest_address_counts(tmp_path: Path) -> None:
    book = AddressBook(tmp_path / "peers.json", False, 0)
    book.note(GENEVA, "tcp/127.0.0.1:7001", 1)
    book.note(GENEVA, "tcp/127.0.0.1:7002", 2)
    assert book.addresses()[GENEVA].port == 7002


@pytest.mark.parametrize("address", ["tcp/10.0.0.1:7001", "tls/10.0.0.1:7001", "nonsense", ""])
def test_a_peer_cannot_talk_us_into_an_address_that_we_would_not_configure(address: str) -> None:
    book = AddressBook(None, False, 0)
    book.note(GENEVA, address, 1)
    assert book.addresses() == {}


def test_a_wildcard_is_nothing_to_dial() -> None:
    book = AddressBook(None, True, 0)
    book.note(GENEVA, "tls/0.0.0.0:7001", 1)
    assert book.addresses() == {}


def test_who_was_away_for_long_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    AddressBook(path, False, 0).note(GENEVA, "tcp/127.0.0.1:7001", 5)
    assert AddressBook(path, False, 5 + FORGET_AFTER_MS).addresses()
    assert not AddressBook(path, False, 6 + FORGET_AFTER_MS).addresses()


def test_strangers_cannot_fill_it() -> None:
    book = AddressBook(None, False, 0)
    for n in range(ENTRIES_MAX + 10):
        book.note(NodeName(f"n{n}"), "tcp/127.0.0.1:7001", n)
    assert len(book.addresses()) == ENTRIES_MAX
    assert NodeName("n0") not in book.addresses()  # the one not seen for longest


@pytest.mark.parametrize("text", ["", "{", "[]", '{"geneva": {"address": 1}}', "x" * 100_000])
def test_a_damaged_book_is_an_empty_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "peers.json"
    path.write_text(text)
    assert AddressBook(path, False, 0).addresses() == {}
