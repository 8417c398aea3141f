from __future__ import annotations

from konkordat.kernel.change import HASH_BYTES, NO_HASH, batch_hash


def test_a_hash_has_its_length_and_follows_every_bit() -> None:
    body = b"origin, seq, previous hash and transactions"
    assert len(batch_hash(body)) == HASH_BYTES == len(NO_HASH)
    flipped = bytes([body[0] ^ 1]) + body[1:]
    assert len({batch_hash(body), batch_hash(flipped), batch_hash(body + b"\0"), NO_HASH}) == 4
