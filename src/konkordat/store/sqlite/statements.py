"""The named statements of queries.sql, read once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, TypeVar

T = TypeVar("T")

# Rows that one step writes. Fewer steps cost less, and let go of Python's interpreter lock less often; a statement of
# 256 rows is near what apsw still caches (16 KiB of text). Measured in docs/store.md.
ROWS_PER_STEP: Final = (256, 64, 16, 4, 1)

# What one step looks up at most: lists are padded to a power of two, so that there are few statements.
LIST_MAX: Final = 256

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_ROW: Final = re.compile(r"^(.*) -- row$", re.MULTILINE)


def read_sql(name: str) -> str:
    """The text of a .sql file of this package."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def _named(text: str) -> dict[str, str]:
    parts = _NAME.split(text)[1:]
    bodies = [re.sub(r"^--.*\n", "", body, flags=re.MULTILINE).strip() for body in parts[1::2]]
    return dict(zip(parts[::2], bodies, strict=True))


_QUERIES: Final = _named(read_sql("queries.sql"))


def sql(name: str) -> str:
    """A statement by its name."""
    return _QUERIES[name]


@cache  # as many entries as queries.sql has row templates, times the sizes in use
def sql_of_rows(name: str, rows: int) -> str:
    """A statement with so many rows: its row template repeated."""
    return _ROW.sub(lambda row: ",".join([row[1]] * rows), _QUERIES[name])


@cache
def sql_of_list(name: str, length: int) -> str:
    """A statement with so many parameters in its list."""
    return _QUERIES[name].replace("?...", ",".join("?" * length))


def padded(wanted: Sequence[T]) -> Iterator[Sequence[T]]:
    """What is looked up, in portions of a power of two of at most LIST_MAX; the last one is filled up with its end."""
    for at in range(0, len(wanted), LIST_MAX):
        portion = wanted[at : at + LIST_MAX]
        size = 1 << (len(portion) - 1).bit_length()
        yield [*portion, *[portion[-1]] * (size - len(portion))]
