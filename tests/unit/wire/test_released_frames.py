"""Frames and batches as release 1 of the wire format writes them, kept as bytes: every later release must read them,
and what a release of the future adds must not stop this one.

The bytes are never regenerated. If this file fails, nodes of different releases do not understand each other.
"""

from __future__ import annotations

import zlib

from konkordat.kernel.change import NO_HASH, RequestMark
from konkordat.kernel.digest import Summary
from konkordat.kernel.hlc import hlc_at, ms_of
from konkordat.kernel.ids import Group, NodeName, Origin, record_key
from konkordat.wire.batches import open_body, seal
from konkordat.wire.codec import HEAD, MAGIC, PLAIN, Codec
from konkordat.wire.messages import Heartbeat, Page, Pull, Push

BERN = Codec("alps", NodeName("bern"))

# A batch of zurich.0mc2k7e9: one transaction that writes a session's title and slot and deletes a speaker.
BODY = bytes.fromhex(
    "0a0f7a75726963682e306d63326b37653910071a20000000000000000000000000000000000000000000"
    "000000000000000000000022db010883808080c58bc6d101120461636d651a600a0873657373696f6e73"
    "122430313930616161612d303030302d373030302d383030302d30303030303030303030303118012215"
    "0a04736c6f74120d7b22726f6f6d223a227231227d22150a087469746c652e64651209224772c3bc657a"
    "69221a170a08737065616b6572731202733118022a056f7468657222066b65793a30312a03632d31320b"
    "30302d61622d63642d30313a106d6f766564206f6e207265717565737442106b6b6b6b6b6b6b6b6b6b6b"
    "6b6b6b6b6b4a1062626262626262626262626262626262"
)
BODY_HASH = "696baa0839319f799ce005c1808e94a94548b8435e137d658a15bdc3dc997fe8"
HEARTBEAT = bytes.fromhex(
    "4b4b003090f37e0a04616c707312067a757269636852b2010a0f7a75726963682e306d63326b37653912"
    "110a0d6265726e2e306d63326b376561100c12130a0f7a75726963682e306d63326b37653910071a2808"
    "03121000000010000000000000000000000000180122100000000000000000000000000000000520fba0"
    "f1c2b1342883808080c58bc6d10130013a1968747470733a2f2f7a75726963682e6578616d706c652e63"
    "684205302e312e3048c09bb4c2b13450035a05726561647962080a046265726e1007"
)
PULL = bytes.fromhex(
    "4b4b00e48a4e450a04616c707312067a7572696368622c080912110a0d6265726e2e306d63326b376561"
    "100312110a0f7a75726963682e306d63326b37653918808010"
)


def test_a_batch_of_release_1_is_read_as_it_was_written() -> None:
    sealed = open_body(BODY)
    assert sealed.hash.hex() == BODY_HASH
    batch = sealed.batch
    assert (batch.origin, batch.seq, batch.previous) == ("zurich.0mc2k7e9", 7, NO_HASH)
    (transaction,) = batch.transactions
    assert (ms_of(transaction.hlc), transaction.hlc & 0xFFFF) == (1_800_000_000_000, 3)
    assert (transaction.actor, transaction.cause_id) == ("key:01", "c-1")
    assert (transaction.trace, transaction.reason) == ("00-ab-cd-01", "moved on request")
    assert transaction.request == RequestMark(b"k" * 16, b"b" * 16)
    written, deleted = transaction.changes
    assert written.key == record_key("acme", "sessions", "0190aaaa-0000-7000-8000-000000000001")
    assert written.life == 1
    assert dict(written.fields) == {
        Group("slot"): b'{"room":"r1"}',
        Group("title.de"): '"Grüezi"'.encode(),
    }
    assert deleted.key == record_key("other", "speakers", "s1")
    assert (deleted.life, dict(deleted.fields)) == (2, {})


def test_a_batch_is_still_written_as_in_release_1() -> None:
    assert seal(open_body(BODY).batch).body == BODY


def test_a_heartbeat_of_release_1_is_read_as_it_was_written() -> None:
    assert BERN.decode(HEARTBEAT) == (
        "zurich",
        Heartbeat(
            Origin("zurich.0mc2k7e9"),
            {Origin("bern.0mc2k7ea"): 12, Origin("zurich.0mc2k7e9"): 7},
            Summary(3, 1 << 100, 1, 5),
            1_800_000_000_123,
            hlc_at(1_800_000_000_000, 3),
            1,
            "https://zurich.example.ch",
            "0.1.0",
            1_799_999_000_000,
            3,
            "ready",
            {NodeName("bern"): -4},
        ),
    )


def test_a_pull_of_release_1_is_read_as_it_was_written() -> None:
    wants = ((Origin("bern.0mc2k7ea"), 3), (Origin("zurich.0mc2k7e9"), 0))
    assert BERN.decode(PULL) == ("zurich", Pull(9, wants, 262_144))


# Releases of the future ---------------------------------------------------------------------------

# Field 1000 of a message, length-delimited, which nobody knows yet.
UNKNOWN = b"\xc2\x3e\x08tomorrow"


def framed(envelope: bytes) -> bytes:
    return HEAD.pack(MAGIC, PLAIN, zlib.crc32(envelope, PLAIN)) + envelope


def test_a_heartbeat_with_more_fields_than_we_know_is_read() -> None:
    assert BERN.decode(framed(HEARTBEAT[HEAD.size :] + UNKNOWN)) == BERN.decode(HEARTBEAT)


def test_a_kind_of_message_that_we_do_not_know_is_passed_over() -> None:
    strange = b"\x0a\x04alps\x12\x06zurich" + UNKNOWN
    assert BERN.decode(framed(strange)) is None


def test_a_batch_with_more_fields_than_we_know_passes_through_us_unharmed() -> None:
    body = BODY + UNKNOWN
    sealed = open_body(body)
    assert sealed.body == body
    assert sealed.batch == open_body(BODY).batch
    assert sealed.hash != open_body(BODY).hash
    decoded = BERN.decode(BERN.encode(Page(1, (sealed.body,), False)))
    assert decoded is not None
    assert isinstance(decoded[1], Page)
    assert decoded[1].bodies == (body,)
    pushed = BERN.decode(BERN.encode(Push((sealed.body,))))
    assert pushed is not None
    assert isinstance(pushed[1], Push)
    assert pushed[1].bodies == (body,)
