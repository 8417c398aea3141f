"""The checksum of a write-ahead log is SQLite's, also where it is summed in strides and zeros are leapt over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from konkordat.store.sqlite.wal import STRIDE, Sums, checksum

words = st.integers(0, (1 << 32) - 1)
# Frames are a page and eight bytes; pages have stretches of zeros, which may begin anywhere.
parts = st.one_of(st.binary(max_size=40), st.integers(0, 3 * STRIDE).map(bytes))


def plain(data: bytes, sums: Sums, big: bool) -> Sums:
    """As https://www.sqlite.org/fileformat2.html#checksum_algorithm has it."""
    first, second = sums
    for at in range(0, len(data), 8):
        order = "big" if big else "little"
        low, high = (int.from_bytes(data[i : i + 4], order) for i in (at, at + 4))
        first = (first + low + second) & 0xFFFFFFFF
        second = (second + high + first) & 0xFFFFFFFF
    return first, second


@given(st.lists(parts, max_size=12).map(b"".join), st.tuples(words, words), st.booleans())
def test_the_checksum_is_that_of_the_plain_sum(data: bytes, sums: Sums, big: bool) -> None:
    whole = data + bytes(-len(data) % 8)
    assert checksum(whole, sums, big) == plain(whole, sums, big)
