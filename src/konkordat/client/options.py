"""Options of operations, as keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

from konkordat.client.core import JSON, Call

OnConflict = Literal["fail", "tentative", "without_slot", "skip_occurrence"]


class WriteOptions(TypedDict, total=False):
    """Of every write of one record."""

    if_match: str  # a version: refused with PreconditionFailed if the record is another by now
    only_new: bool  # `put` creates, and never replaces
    on_conflict: (
        OnConflict  # what to do with a slot that is taken; Conflict is raised if nothing is said
    )
    override: str  # why a rule that may be overridden is; kept in the audit trail
    dry_run: bool  # say what would happen, write nothing
    # How long the node may wait until the claims of the write are decided (and for what this client has seen
    # elsewhere); at most 30. What is not decided then comes back as `tentative`. Without it the answer comes at once.
    wait_s: float
    idempotency_key: str  # made up if none is given; give one to repeat a write over processes


class BatchOptions(TypedDict, total=False):
    """Of a batch."""

    dry_run: bool
    include_data: bool  # give the records back
    together: bool  # with "atomic": places are granted all together or not at all, or the batch is refused
    override: str
    wait_s: float  # as of single writes: until the claims of all operations are decided
    idempotency_key: str


def write_call(
    method: str, path: str, body: bytes | None, options: WriteOptions, content_type: str = JSON
) -> Call:
    """The request of a write."""
    version = options.get("if_match", "")
    return Call(
        method,
        path,
        body,
        content_type,
        query=_query(options),
        if_match=etag(version) if version else "",
        if_none_match="*" if options.get("only_new") else "",
        idempotency_key=options.get("idempotency_key", ""),
        wait_s=options.get("wait_s"),
    )


def etag(version: str) -> str:
    """A version as an entity tag."""
    return version if version == "*" or version.startswith('"') else f'"{version}"'


def _query(options: WriteOptions) -> Mapping[str, str]:
    query: dict[str, str] = {}
    if "on_conflict" in options:
        query["on_conflict"] = options["on_conflict"]
    if options.get("override"):
        query["override"] = options["override"]
    if options.get("dry_run"):
        query["dry_run"] = "true"
    return query
