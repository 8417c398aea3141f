"""What operations return, where it is more than a record.

A record is a plain `dict`, as the API gives it: fields that a newer node adds are there without a new client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Item = dict[str, Any]


class Page(msgspec.Struct, frozen=True):
    """One page of a list."""

    data: list[Item]
    next_cursor: str | None = None
    has_more: bool = False
    sync_token: str | None = None  # on the last page: follow changes from here


class OperationResult(msgspec.Struct, frozen=True):
    """What one operation of a batch came to."""

    status: int
    type: str = ""
    id: str = ""
    version: str = ""
    effect: str = ""  # created, updated, deleted, unchanged
    replayed: bool = False
    warnings: list[Item] = []
    dropped_slot: Item | None = None
    data: Item | None = None
    problem: Item | None = None

    @property
    def ok(self) -> bool:
        """True if it was carried out."""
        return self.status < 400


class BatchResult(msgspec.Struct, frozen=True):
    """One result for each operation, in order."""

    results: list[OperationResult]

    @property
    def refused(self) -> list[OperationResult]:
        """The operations that were not carried out; each has its `problem`."""
        return [r for r in self.results if not r.ok]


class Change(msgspec.Struct, frozen=True):
    """A record as it became. `op` is upsert, or delete: it is gone, or no longer among what is followed."""

    op: str
    type: str
    id: str
    version: str = ""
    data: Item | None = None
    token: str = ""  # resume after this change
    extra: Mapping[str, Any] = {}


class ChangesPage(msgspec.Struct, frozen=True):
    """Changes since a token, and the token to go on with."""

    data: list[Item]  # {op, type, id, version, data?}, each record once, as it is now
    token: str
    has_more: bool = False


class Gap(msgspec.Struct, frozen=True):
    """The stream was interrupted; it goes on from the last token, so nothing is missing. For those who count."""

    reason: str


class CaughtUp(msgspec.Struct, frozen=True):
    """Everything up to now has been told; what follows is live."""

    token: str = ""


StreamItem = Change | Gap | CaughtUp


class ImportProgress(msgspec.Struct, frozen=True):
    """How far an import is."""

    done: int
    total: int


class ImportResult(msgspec.Struct, frozen=True):
    """What an import came to, as the nodes decided it."""

    event: str
    title: str
    sessions: int
    rooms: int
    speakers: int
    venues: int
    slots_refused: list[Item]  # {session, title, in_the_way: [ids], detail}
    speaker_clashes: list[Item]  # {speaker, first, second}
    findings: list[Item]
    failed: list[Item]  # operations that were refused: {type, id, problem}
