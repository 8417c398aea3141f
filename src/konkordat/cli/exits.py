"""How a command ends: exit codes, and the error that carries one.

`serve` ends with the codes of `konkordat.node.errors` (69 to 78, after BSD's sysexits.h) where the node does not start
or stops; DEFECT is the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What a script may rely on. The table in the help is made of the comments here."""

    OK = 0
    UNMET = 1  # something that should hold does not: the demo's expectations, `audit --verify`
    USAGE = 2  # an unknown option, a missing argument, a value that makes no sense
    UNREACHABLE = 3  # no node answered at the addresses given
    REFUSED = 4  # a node answered, and said no: key, scope, unknown id, a rule
    FILE = 5  # a file cannot be read or written, or is no programme
    NODE_FAILED = 6  # a node that this command started did not come up, or died
    DEFECT = 70  # a defect of this program; the details are in the file that the message names
    INTERRUPTED = 130  # Ctrl-C


class CommandError(Exception):
    """{message} The command ended; `code` says how."""

    def __init__(
        self, message: str, code: ExitCode, kind: str, more: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message  # one sentence or two: what happened, what to do
        self.code = code
        self.kind = kind  # stable, snake_case, for `--json`
        self.more = more or {}  # what else `--json` tells
