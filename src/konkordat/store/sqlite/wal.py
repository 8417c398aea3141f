"""Whether a write-ahead log lost commits to damage, judged before SQLite recovers it.

SQLite takes a log up to the first frame that does not match its checksum and drops the rest without a word. That is
right after a loss of power, when the rest is a commit that nobody was told of. It is wrong when a frame that had been
synced was damaged later: acknowledged commits would be gone in silence. Two things tell the one from the other. Frames
behind a commit are only written once that commit is synced; and of a commit that is there to its end, what a loss of
power leaves out differs from what should be there by more than one bit. Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
MAGIC: Final = 0x377F0682  # | 1: checksums of big-endian words
CHECKED_OF_HEADER: Final = 24
CHECKED_OF_FRAME_HEADER: Final = 8
PAGE_BYTES_MAX: Final = 65_536
_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MASK: Final = 0xFFFFFFFF
STRIDE: Final = 128  # bytes that are summed at once: 16 pairs of words
_ZEROS: Final = bytes(STRIDE)
_FIBONACCI_31: Final = 1_346_269
_FIBONACCI_32: Final = 2_178_309
_FIBONACCI_33: Final = 3_524_578

Sums = tuple[int, int]


class Header(NamedTuple):
    magic: int
    version: int
    page_bytes: int
    checkpoint: int
    salts: tuple[int, int]
    sums: Sums

    @property
    def big(self) -> bool:
        return bool(self.magic & 1)


class Frame(NamedTuple):
    commits: bool
    salts: tuple[int, int]
    sums: Sums
    checked: bytes  # what the checksum is over


def damage_of(file: Path) -> str:
    """What is damaged in a log such that commits of it would be lost; "" for none. Reads the file, changes nothing."""
    try:
        wal = file.read_bytes()
    except FileNotFoundError:
        return ""
    if len(wal) <= HEADER_BYTES:
        return ""
    header = _header(wal)
    if header is None:
        return "its header is damaged" if _one_bit_from_a_header(wal) else ""
    sums = header.sums
    for number, frame in enumerate(_frames(wal, header)):
        found = checksum(frame.checked, sums, header.big)
        if frame.salts != header.salts or frame.sums != found:
            lost = _followed(wal, header, number) or (
                _completed(wal, header, number, frame, found)
                and _one_bit_from_valid(frame, header, found)
            )
            return f"its frame {number + 1} is damaged" if lost else ""
        sums = found
    return ""


def checksum(data: bytes, sums: Sums, big: bool) -> Sums:
    """SQLite's checksum, continued from `sums`."""
    first, second = sums
    words = _words(data, big).tolist()
    for at in range(0, len(data), STRIDE):
        if data[at : at + STRIDE] == _ZEROS:  # pages are seldom full
            # Each pair takes (a, b) to (a + b, a + 2b): two steps of Fibonacci's sequence.
            begun = first
            first = (_FIBONACCI_31 * begun + _FIBONACCI_32 * second) & _MASK
            second = (_FIBONACCI_32 * begun + _FIBONACCI_33 * second) & _MASK
            continue
        # The sums grow by less than 1.4 bits a pair, so they stay small enough to be cut once a stride.
        pairs = iter(words[at // 4 : (at + STRIDE) // 4])
        for low, high in zip(pairs, pairs, strict=True):
            first += low + second
            second += high + first
        first &= _MASK
        second &= _MASK
    return first, second


def _words(data: bytes, big: bool) -> array[int]:
    words = array("I", data)
    if big != (sys.byteorder == "big"):
        words.byteswap()
    return words


def _header(wal: bytes) -> Header | None:
    magic, version, page, checkpoint, *rest = _HEADER.unpack_from(wal)
    header = Header(magic, version, page, checkpoint, (rest[0], rest[1]), (rest[2], rest[3]))
    sound = (
        magic & ~1 == MAGIC
        and 0 < page <= PAGE_BYTES_MAX
        and checksum(wal[:CHECKED_OF_HEADER], (0, 0), header.big) == header.sums
    )
    return header if sound else None


def _frames(wal: bytes, header: Header, first: int = 0) -> Iterator[Frame]:
    size = FRAME_HEADER_BYTES + header.page_bytes
    for at in range(HEADER_BYTES + first * size, len(wal) - size + 1, size):
        _page, commit, *rest = _FRAME.unpack_from(wal, at)
        checked = wal[at : at + CHECKED_OF_FRAME_HEADER] + wal[at + FRAME_HEADER_BYTES : at + size]
        yield Frame(bool(commit), (rest[0], rest[1]), (rest[2], rest[3]), checked)


def _followed(wal: bytes, header: Header, first: int) -> bool:
    """True if from this frame on there is a commit that something was written behind: it had been synced."""
    committed = False
    for frame in _frames(wal, header, first):
        if frame.salts != header.salts:
            continue
        if committed:
            return True
        committed = frame.commits
    return False


def _completed(wal: bytes, header: Header, first: int, damaged: Frame, found: Sums) -> bool:
    """True if, but for this frame, its commit is there to the end: only then can somebody have been told of it."""
    for start in (damaged.sums, found):
        sums = start
        for number, frame in enumerate(_frames(wal, header, first)):
            if number and (frame.salts, frame.sums) != (
                header.salts,
                checksum(frame.checked, sums, header.big),
            ):
                break
            sums = frame.sums if number else sums
            if frame.commits:
                return True
    return False


# One flipped bit ------------------------------------------------------------------------------------


def _one_bit_from_a_header(wal: bytes) -> bool:
    for bit in range(8 * HEADER_BYTES):
        mended = bytearray(wal[:HEADER_BYTES])
        mended[bit // 8] ^= 1 << bit % 8
        if _header(bytes(mended)) is not None:
            return True
    return False


def _one_bit_from_valid(frame: Frame, header: Header, found: Sums) -> bool:
    """True if the frame would be valid with one bit otherwise."""
    in_salts = _bits_apart(frame.salts, header.salts)
    in_sums = _bits_apart(frame.sums, found)
    if in_salts or in_sums <= 1:
        return in_salts + in_sums == 1
    # The checksum is linear in the words, so each word's weight says what a bit of it changes.
    missing = ((frame.sums[0] - found[0]) & _MASK, (frame.sums[1] - found[1]) & _MASK)
    words = _words(frame.checked, header.big)
    weights = (1, 1), (0, 1)  # of the last pair
    for at in range(len(words) - 2, -1, -2):
        for word, (to_first, to_second) in zip(words[at : at + 2], weights, strict=True):
            for bit in range(32):
                by = -(1 << bit) if word >> bit & 1 else 1 << bit
                if (by * to_first & _MASK, by * to_second & _MASK) == missing:
                    return True
        weights = (_earlier(weights[0]), _earlier(weights[1]))
    return False


def _earlier(weight: Sums) -> Sums:
    """The weight of a word one pair earlier."""
    first = (weight[0] + weight[1]) & _MASK
    return first, (first + weight[1]) & _MASK


def _bits_apart(some: Sums, others: Sums) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(some, others, strict=True))
