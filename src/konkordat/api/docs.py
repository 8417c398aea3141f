"""What a route says about itself, for the OpenAPI document and the documentation page."""

from __future__ import annotations

from typing import Any, Final

import msgspec

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"


class Field(msgspec.Struct, frozen=True):
    """A query parameter or header."""

    name: str
    detail: str
    type: Any = str
    where: str = "query"  # or "header"
    required: bool = False


class Reply(msgspec.Struct, frozen=True):
    """One way in which a request may succeed."""

    status: int
    detail: str
    type: Any = None  # a type that msgspec knows, or None for an empty body or one that is not JSON
    media_type: str = JSON
    headers: tuple[str, ...] = ()


class Doc(msgspec.Struct, frozen=True, kw_only=True):
    """One operation."""

    tag: str
    summary: str
    detail: str = ""
    fields: tuple[Field, ...] = ()
    body: Any = None
    body_type: str = JSON
    replies: tuple[Reply, ...] = ()
    problems: tuple[str, ...] = ()  # codes beyond those that every route may answer with
    is_shown: bool = True


# Fields that several routes have. ----------------------------------------------------------------

CONSISTENCY: Final = (
    Field(
        "Consistency-Token",
        "From an earlier answer of any node: wait until this node has seen as much.",
        where="header",
    ),
    Field(
        "Prefer",
        "`wait=N`: how many seconds to wait, at most 30: for that (2 if left out), and after a write until its claims"
        " are decided (not at all if left out).",
        where="header",
    ),
)
IDEMPOTENCY: Final = Field(
    "Idempotency-Key",
    "Your name for this request, best a UUIDv7: repeated within 24 hours, at any node, it has one effect.",
    where="header",
)
IF_MATCH: Final = Field(
    "If-Match", "The record's ETag: write only if it has not changed since.", where="header"
)
IF_NONE_MATCH: Final = Field(
    "If-None-Match", "The record's ETag: 304 if it has not changed since.", where="header"
)
EVENT: Final = Field("event", "Only what belongs to this event (its id).")
VENUE: Final = Field("venue", "Only what belongs to this venue (its id).")
SESSION: Final = Field("session", "Only this session and registrations for it (its id).")
LIMIT: Final = Field("limit", "Records a page, 1 to 200; 50 if left out.", int)
CURSOR: Final = Field("cursor", "`next_cursor` of the page before.")
SINCE: Final = Field("since", "A sync token or consistency token of any node.", required=True)
