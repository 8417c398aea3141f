"""Opaque texts that clients carry: sync tokens (what they have seen, through which filter) and page cursors.

A sync token is `<filter>.<frontier>`: one space for REST, SSE and WebSocket, good at every node. The frontier part is
the consistency token, so a plain consistency token is a sync token without a filter. Neither holds anything secret or
trusted: the tenant always comes from the credential.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from konkordat.api.problems import Problem
from konkordat.kernel.frontier import TOKEN_CHARS_MAX, BadToken, parse_token
from konkordat.kernel.frontier import token as frontier_token
from konkordat.kernel.ids import Origin, valid_name, valid_record_id

FILTER_CHARS_MAX: Final = 2_000
SYNC_TOKEN_CHARS_MAX: Final = TOKEN_CHARS_MAX + FILTER_CHARS_MAX + 1


class Filter(msgspec.Struct, frozen=True, array_like=True):
    """Which changes somebody follows. Empty parts let everything pass."""

    types: tuple[str, ...] = ()  # collections, sorted
    event: str = ""
    venue: str = ""
    room: str = ""  # a room's or booth's id: sessions placed there
    fields: tuple[str, ...] = ()  # only changes that touch one of these fields, sorted
    session: str = ""  # registrations for it, and the session itself

    def text(self) -> str:
        """The filter's part of a token; "" for the one that passes everything."""
        return "" if self == EVERYTHING else _pack(self)


EVERYTHING: Final = Filter()


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a list goes on, and what the list's first page had seen: the last page's sync token."""

    collection: str
    parent: str  # id of the event, venue or session whose records are listed, ""
    after: str  # id of the last record shown
    seen: str  # frontier token at the first page


def sync_token(filter_: Filter, frontier: str) -> str:
    """A sync token from a filter and a frontier token."""
    text = filter_.text()
    return f"{text}.{frontier}" if text else frontier


def parse_sync_token(text: str) -> tuple[Filter, dict[Origin, int]]:
    """Raises Problem for what is not a sync token."""
    head, dot, tail = text.rpartition(".")
    filter_ = _unpack(head, Filter) if dot else EVERYTHING
    if not _is_sound(filter_) or (dot and filter_.text() != head):
        raise bad_token("it cannot be decoded")
    return filter_, parse_frontier(tail)


def parse_frontier(text: str) -> dict[Origin, int]:
    """The frontier of a consistency token. Raises Problem."""
    try:
        return dict(_parsed(text))
    except BadToken as error:
        raise bad_token(str(error)) from error


@lru_cache(maxsize=256)
def _parsed(text: str) -> Mapping[Origin, int]:
    """Clients send the same token again and again; parsing one costs more than answering."""
    return parse_token(text)


def cursor_text(cursor: Cursor) -> str:
    """The cursor as clients carry it."""
    return _pack(cursor)


def parse_cursor(text: str) -> Cursor:
    """Raises Problem for what is not a cursor."""
    cursor: Cursor = _unpack(text, Cursor)
    parse_frontier(cursor.seen)
    if not valid_name(cursor.collection) or not valid_record_id(cursor.after):
        raise bad_token("it is not a cursor")
    return cursor


class TokenOfNow:
    """The node's frontier as text, made once per frontier."""

    def __init__(self) -> None:
        self._frontier: Mapping[Origin, int] = {}
        self._text = frontier_token({})

    def text(self, frontier: Mapping[Origin, int]) -> str:
        if frontier != self._frontier:
            self._text = frontier_token(frontier)
            self._frontier = dict(frontier)
        return self._text


def bad_token(why: str) -> Problem:
    """The problem of a text that is no token of ours."""
    return Problem("bad_token", f"The token is not one that this service issued: {why}.")


def _is_sound(filter_: Filter) -> bool:
    names = (*filter_.types, *filter_.fields)
    ids = [id for id in (filter_.event, filter_.venue, filter_.room, filter_.session) if id]
    in_order = all(list(part) == sorted(set(part)) for part in (filter_.types, filter_.fields))
    return in_order and all(map(valid_name, names)) and all(map(valid_record_id, ids))


def _pack(value: msgspec.Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(value)).rstrip(b"=").decode()


def _unpack(text: str, type_: type[msgspec.Struct]) -> Any:
    if len(text) > SYNC_TOKEN_CHARS_MAX:
        raise bad_token("it is too long")
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
        return msgspec.msgpack.decode(raw, type=type_)
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, ValueError) as cause:
        raise bad_token("it cannot be decoded") from cause
