"""How the scenes put numbers and names into words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.markup import escape

_NUMBERS: Final = (
    *("No", "One", "Two", "Three", "Four", "Five"),
    *("Six", "Seven", "Eight", "Nine", "Ten"),
)


def few(count: int, what: str) -> str:
    """No sessions, 1 session, 2 sessions."""
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def quoted(text: str) -> str:
    """A title, safe within rich's markup."""
    return f"“{escape(text)}”"


def listed(items: Sequence[str]) -> str:
    """One, two and three."""
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)


def counted(count: int) -> str:
    """Three, at the beginning of a sentence."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)
