"""What a command shows: text for people on one stream, one JSON object for scripts on the other."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def console_for(as_json: bool) -> Console:
    """Where text for people goes: stdout, or stderr when stdout belongs to JSON."""
    from rich.console import Console

    return Console(stderr=as_json, highlight=False)


def emit_json(value: Any) -> None:
    """One line of JSON on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def say_error(line: str) -> None:
    """One line on stderr, however long: a terminal wraps it, a log does not want it wrapped."""
    sys.stderr.write(f"konkordat: {' '.join(line.split())}\n")
    sys.stderr.flush()


def thousands(number: float) -> str:
    """1234567 as people here write it: 1 234 567, with narrow no-break spaces."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
