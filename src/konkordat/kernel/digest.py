"""Digests: additive fingerprints of records over ordered key ranges.

A fingerprint covers a record's key and stamps, not its values: a stamp names one write, so equal
stamps are equal values (values have checksums of their own). Sums modulo 2^128 do not depend on
order and are kept up by adding and subtracting what a commit changed (Bellare and Micciancio 1997;
the use over ranges as in Meyer's range-based set reconciliation, 2022).
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final, NamedTuple

from konkordat.kernel.ids import Collection, RecordId, RecordKey, Tenant
from konkordat.kernel.record import Record

FINGERPRINT_BYTES: Final = 16
_MODULUS: Final = 1 << (8 * FINGERPRINT_BYTES)
_HEADER: Final = struct.Struct(">qqq")


class KeyRange(NamedTuple):
    """Keys k with low <= k < high; `high` None means up to the end."""

    low: RecordKey
    high: RecordKey | None

    def __contains__(self, key: object) -> bool:
        return (
            isinstance(key, RecordKey)
            and self.low <= key
            and (self.high is None or key < self.high)
        )


FIRST_KEY: Final = RecordKey(Tenant(""), Collection(""), RecordId(""))
EVERYTHING: Final = KeyRange(FIRST_KEY, None)


class Summary(NamedTuple):
    """Count and fingerprint sum of the records in a range, the living and the deleted apart, so that nodes that prune
    deleted records at different times do not look divergent."""

    live: int = 0
    live_sum: int = 0
    dead: int = 0
    dead_sum: int = 0

    def plus(self, other: Summary) -> Summary:
        if other is EMPTY:
            return self
        return Summary(
            self.live + other.live,
            (self.live_sum + other.live_sum) % _MODULUS,
            self.dead + other.dead,
            (self.dead_sum + other.dead_sum) % _MODULUS,
        )

    def minus(self, other: Summary) -> Summary:
        if other is EMPTY:
            return self
        return Summary(
            self.live - other.live,
            (self.live_sum - other.live_sum) % _MODULUS,
            self.dead - other.dead,
            (self.dead_sum - other.dead_sum) % _MODULUS,
        )

    def text(self) -> str:
        """A short form for people: 12 hexadecimal digits over all four parts."""
        packed = repr(tuple(self)).encode()
        return hashlib.blake2b(packed, digest_size=6).hexdigest()


EMPTY: Final = Summary()


def fingerprint(record: Record) -> int:
    """128 bits over key, life, born, touched and the stamp of every group, in group order."""
    state = hashlib.blake2b(digest_size=FINGERPRINT_BYTES, person=b"konkordat.record")
    born, touched = record.born, record.touched
    state.update(_HEADER.pack(record.life, born.hlc, touched.hlc))
    # NUL separates: no name, id or group can contain it.
    parts = [*record.key, born.origin, touched.origin]
    for group in sorted(record.fields):
        register = record.fields[group]
        parts += (group, format(register.stamp.hlc, "x"), register.stamp.origin)
        for stamp, _value in register.siblings:
            parts += ("+", format(stamp.hlc, "x"), stamp.origin)
    state.update("\0".join(parts).encode())
    return int.from_bytes(state.digest(), "big")


def summary_of(record: Record | None) -> Summary:
    """The summary of one record, or of none."""
    if record is None:
        return EMPTY
    print_ = fingerprint(record)
    return Summary(1, print_, 0, 0) if record.alive else Summary(0, 0, 1, print_)
