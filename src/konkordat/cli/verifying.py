"""Whether an audit export is whole: the log with its bytes, or the trail of changes made from it. Reads lines, decides.

The log proves everything: each batch's hash is computed from its bytes, which hold the hash of the batch before it. The
trail, which is what a tenant may have, shows its order and that no batch has two hashes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from konkordat.kernel.change import NO_HASH
from konkordat.wire.batches import open_body
from konkordat.wire.errors import WireError

FAULTS_MAX: Final = 20  # shown; one is enough to know


class Verdict(Struct, frozen=True):
    """What was found."""

    form: str  # "log": hashes and chains were computed; "trail": order only
    lines: int
    changes: int
    batches: int
    origins: int
    faults: list[str]


class _LogLine(Struct):
    origin: str
    seq: int
    hash: str
    body: str


class _TrailLine(Struct):
    hlc: str
    origin: str
    seq: int
    batch: str


class _Unfit(Exception):
    """What is wrong with a line."""


class _Log:
    """The log: every batch of every origin, from the first."""

    form = "log"

    def __init__(self) -> None:
        self.changes = self.batches = 0
        self.heads: dict[str, tuple[int, bytes]] = {}  # origin -> the last seq and hash
        self._last: tuple[int, str] = (0, "")
        self._decoder = msgspec.json.Decoder(_LogLine)

    def take(self, raw: bytes) -> None:
        """Check one more batch. Raises _Unfit."""
        line = self._decoder.decode(raw)
        name = f"batch {line.seq} of {line.origin}"
        try:
            sealed = open_body(base64.b64decode(line.body, validate=True))
        except (WireError, binascii.Error) as error:
            raise _Unfit(f"{name} cannot be read: {error}") from error
        batch = sealed.batch
        before, before_hash = self.heads.get(line.origin, (0, NO_HASH))
        self.heads[line.origin] = (line.seq, sealed.hash)
        self.batches += 1
        self.changes += sum(len(transaction.changes) for transaction in batch.transactions)
        if (batch.origin, batch.seq) != (line.origin, line.seq):
            raise _Unfit(f"{name} is in truth batch {batch.seq} of {batch.origin}")
        if sealed.hash.hex() != line.hash:
            raise _Unfit(f"{name} was altered: its bytes do not have its hash")
        if line.seq != before + 1:
            raise _Unfit(f"{name} comes after batch {before}: something is missing or twice there")
        if batch.previous != before_hash:
            raise _Unfit(f"{name} does not continue the chain: the batch before it is another one")
        self._in_order(batch.transactions[0].hlc if batch.transactions else 0, line.origin, name)

    def _in_order(self, hlc: int, origin: str, name: str) -> None:
        place = (hlc, origin)
        if place < self._last:
            raise _Unfit(f"{name} is out of order")
        self._last = place


class _Trail:
    """The trail: changes in the order of (clock, origin). A tenant's skips what others wrote."""

    form = "trail"

    def __init__(self) -> None:
        self.changes = self.batches = 0
        self.heads: dict[str, tuple[int, bytes]] = {}
        self._last = ("", "")
        self._decoder = msgspec.json.Decoder(_TrailLine)

    def take(self, raw: bytes) -> None:
        """Check one more change. Raises _Unfit."""
        line = self._decoder.decode(raw)
        place = (line.hlc, line.origin)
        seq, hash_ = self.heads.get(line.origin, (0, b""))
        self.changes += 1
        if place < self._last:
            raise _Unfit("out of order")
        self._last = place
        if line.seq == seq and line.batch.encode() != hash_:
            raise _Unfit(f"batch {line.seq} of {line.origin} has two hashes")
        if line.seq < seq:
            raise _Unfit(f"batch {line.seq} of {line.origin} comes after a later one")
        if line.seq > seq:
            self.batches += 1
            self.heads[line.origin] = (line.seq, line.batch.encode())


def verify(lines: Iterable[bytes]) -> Verdict:
    """Check an export of either form; the first line tells which."""
    reader: _Log | _Trail | None = None
    faults: list[str] = []
    count = 0
    for count, raw in enumerate(lines, start=1):
        if reader is None:
            reader = _Log() if _is_log(raw) else _Trail()
        try:
            reader.take(raw)
        except _Unfit as error:
            faults.append(f"line {count}: {error}")
        except msgspec.MsgspecError as error:
            faults.append(f"line {count} is no line of an export: {error}")
        if len(faults) >= FAULTS_MAX:
            break
    found = reader or _Trail()
    return Verdict(found.form, count, found.changes, found.batches, len(found.heads), faults)


def _is_log(raw: bytes) -> bool:
    try:
        first: Any = msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return False
    return isinstance(first, dict) and "body" in first
