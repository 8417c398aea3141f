"""Releases: frozen, named copies of an event's programme. Pure.

A release is a record with the event, the name and the names of its *parts*; the parts hold what the programme's records
were, as they were shown. A part is named after its content, so nothing can ever be another content under its name, two
releases share what did not change, and a release is whole once its parts are here: its node wrote them before it.

The ids of sessions, and with them of slots, are those of the records themselves, so they are the same in every release.
That no two releases of an event have one name is a claim, decided by the event's seat like any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from konkordat.kernel import canonical
from konkordat.schedule import fields as f

RELEASE_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}$(?!\n)"
RESERVED_NAME: Final = "now"  # the programme as it is
# So large that a programme has few parts, so small that several fit a transaction, which is at most 2 MiB.
PART_BYTES: Final = 192 << 10
PARTS_MAX: Final = (
    10_000  # far more than 64 MiB of programme come to; bounds what a peer can make us read
)
ENTRIES_MAX: Final = 200_000  # records of one release
# What says when and by whom a record was written, and so differs though nothing of the programme does.
_BOOKKEEPING: Final = frozenset(
    {"version", "created_at", "updated_at", "updated_by", "updated_at_node", "deleted_at"}
)
_PRIVATE: Final = frozenset(
    {"email", "availability"}
)  # a programme is published; what is not shown there is not kept for ever
_KINDS: Final = ("events", "venues", "rooms", "booths", "speakers", "sessions")

Entry = Mapping[
    str, Any
]  # {"collection": "sessions", "revision": 3, and the record's id and fields as they were shown}


class ReleaseBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen, named copy of an event's programme. It never changes."""

    id: f.Id | None = None
    event: Annotated[f.Id, Meta(description="The event's id.")]
    name: Annotated[
        str,
        Meta(
            pattern=RELEASE_NAME_PATTERN,
            description="One name, one release of the event. `now` is taken: it means the present programme.",
            examples=["1.0"],
        ),
    ]
    comment: Annotated[str, Meta(max_length=f.TITLE_CHARS_MAX)] = ""
    sessions: Annotated[int, Meta(ge=0, description="How many sessions it has.")] = 0
    digest: Annotated[
        str, Meta(max_length=64, description="Equal for releases that are equal in content.")
    ] = ""


class ReleasePartBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A piece of the content of releases of an event. Its id follows from its content."""

    id: str | None = None
    event: f.Id
    content: list[Any]


class Part(Struct, frozen=True):
    """A piece of a release, with its name."""

    id: str
    content: bytes  # canonical JSON: a list of entries


class Moved(Struct, frozen=True):
    """A session's place and time in two releases."""

    before: Any
    after: Any


class Difference(Struct, frozen=True, omit_defaults=True):
    """A record that is not the same in two releases."""

    type: str
    id: str
    title: Any = None  # a session's title or another's name, as it is afterwards
    fields: tuple[str, ...] = ()  # of a changed one: which of its fields
    slot: Moved | UnsetType = UNSET  # of a session that moved


class ReleaseDiff(Struct, frozen=True):
    """What changed from one release to another, sessions first."""

    added: tuple[Difference, ...]
    removed: tuple[Difference, ...]
    changed: tuple[Difference, ...]


def entry_of(collection: str, shown: Mapping[str, Any], revision: int = 0) -> Entry:
    """A record as a release keeps it. `updated_at` stays, for calendars."""
    left_out = (_BOOKKEEPING - {"updated_at"}) | _PRIVATE
    kept = {name: value for name, value in shown.items() if name not in left_out}
    return {**kept, "collection": collection, "revision": revision}


def pack(entries: Iterable[Entry]) -> list[Part]:
    """The entries in parts. The same entries, in whatever order, give the same parts."""
    return [_part(chunk) for chunk in _chunks(sorted(entries, key=_place))]


def unpack(parts: Iterable[bytes]) -> list[Entry]:
    """The entries back. What is no entry is left out: a peer may have sent anything."""
    found: list[Entry] = []
    for content in parts:
        try:
            items = canonical.decode(content)
        except canonical.UnreadableValue:
            continue
        for item in items if isinstance(items, list) else ():
            if _is_entry(item) and len(found) < ENTRIES_MAX:
                found.append(item)
    return found


def digest_of(parts: Sequence[Part]) -> str:
    """Stands for the whole content."""
    names = "\n".join(part.id for part in parts)
    return hashlib.blake2b(names.encode(), digest_size=16).hexdigest()


def part_id(content: bytes) -> str:
    """The name of a part."""
    return hashlib.blake2b(content, digest_size=16, person=b"konkordat.part").hexdigest()


def difference(before: Iterable[Entry], after: Iterable[Entry]) -> ReleaseDiff:
    """What changed from one release to another."""
    old = {(e["collection"], e["id"]): e for e in before}
    new = {(e["collection"], e["id"]): e for e in after}
    changed = (_changed(old[key], new[key]) for key in sorted(old.keys() & new.keys(), key=_rank))
    return ReleaseDiff(
        tuple([_named(new[key]) for key in sorted(new.keys() - old.keys(), key=_rank)]),
        tuple([_named(old[key]) for key in sorted(old.keys() - new.keys(), key=_rank)]),
        tuple([c for c in changed if c is not None]),
    )


def _changed(before: Entry, after: Entry) -> Difference | None:
    names = (before.keys() | after.keys()) - _BOOKKEEPING - {"revision"}
    fields = tuple(sorted(n for n in names if before.get(n) != after.get(n)))
    if not fields:
        return None
    moved = Moved(before.get("slot"), after.get("slot")) if "slot" in fields else UNSET
    named = _named(after)
    return Difference(named.type, named.id, named.title, fields, moved)


def _named(entry: Entry) -> Difference:
    return Difference(entry["collection"], entry["id"], entry.get("title") or entry.get("name"))


def _chunks(entries: Iterable[Entry]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for entry in entries:
        encoded = canonical.encode(entry)
        if chunk and size + len(encoded) > PART_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(encoded)
        size += len(encoded) + 1
    if chunk:
        yield chunk


def _part(chunk: Sequence[bytes]) -> Part:
    content = b"[" + b",".join(chunk) + b"]"
    return Part(part_id(content), content)


def _is_entry(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and item.get("collection") in _KINDS
        and isinstance(item.get("id"), str)
    )


def _place(entry: Entry) -> tuple[int, str]:
    return _KINDS.index(entry["collection"]), str(entry["id"])


def _rank(key: tuple[str, str]) -> tuple[int, str]:
    """Sessions first: what one looks for."""
    return -_KINDS.index(key[0]), key[1]
