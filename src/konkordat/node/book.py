"""The address book: where peers were last reached, kept over restarts.

With it a node finds the cluster again when the one address in its configuration is down, and dials a peer again when
a link is lost that only gossip had told of.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from konkordat.kernel.ids import NodeName, valid_name
from konkordat.node.endpoints import Endpoint, parse_endpoint
from konkordat.node.errors import ConfigError

ENTRIES_MAX: Final = 64  # as many as a mesh may have peers
FORGET_AFTER_MS: Final = (
    30 * 24 * 3_600_000
)  # a node that was away for a month is told the way anew
BOOK_BYTES_MAX: Final = 64 << 10


class Entry(msgspec.Struct, frozen=True):
    address: str
    seen_ms: int


class AddressBook:
    """Used by one thread at a time."""

    def __init__(self, path: Path | None, has_tls: bool, now_ms: int) -> None:
        """`path` None keeps it in memory only. A file that cannot be read is an empty book: it only saves time."""
        self._path = path
        self._has_tls = has_tls
        self._entries: dict[NodeName, Entry] = {}
        if path is not None:
            self._entries = _read(path)
        for name, entry in list(self._entries.items()):
            if now_ms - entry.seen_ms > FORGET_AFTER_MS or self._endpoint(entry.address) is None:
                del self._entries[name]

    def _endpoint(self, address: str) -> Endpoint | None:
        """The address if our own configuration would allow it: a peer cannot talk us into plain text."""
        try:
            endpoint = parse_endpoint(address, "peer", self._has_tls)
        except ConfigError:
            return None
        return None if endpoint.wildcard else endpoint

    def note(self, peer: NodeName, address: str, now_ms: int) -> None:
        """A peer says where it is reached."""
        if self._endpoint(address) is None or not valid_name(peer):
            return
        known = self._entries.get(peer)
        if known is None and len(self._entries) >= ENTRIES_MAX:
            oldest = min(self._entries, key=lambda name: self._entries[name].seen_ms)
            del self._entries[oldest]
        self._entries[peer] = Entry(address, now_ms)
        if known is None or known.address != address:
            self._write()

    def addresses(self) -> dict[NodeName, Endpoint]:
        """Every peer's address."""
        found = {name: self._endpoint(e.address) for name, e in sorted(self._entries.items())}
        return {name: endpoint for name, endpoint in found.items() if endpoint is not None}

    def _write(self) -> None:
        if self._path is None:
            return
        draft = self._path.with_suffix(".draft")
        # Losing the book costs a little time at the next start; a full disk is the store's to report.
        with contextlib.suppress(OSError):
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(self._entries)))
            os.replace(draft, self._path)  # noqa: PTH105 -- atomic, and says so


def _read(path: Path) -> dict[NodeName, Entry]:
    try:
        if path.stat().st_size > BOOK_BYTES_MAX:
            return {}
        entries = msgspec.json.decode(path.read_bytes(), type=dict[str, Entry])
    except (OSError, msgspec.MsgspecError):
        return {}
    return {NodeName(name): entry for name, entry in entries.items() if valid_name(name)}
