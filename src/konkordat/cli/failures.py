"""What the world does wrong, as one line and an exit code."""

from __future__ import annotations

import inspect
from typing import Final

from konkordat.cli.exits import CommandError, ExitCode
from konkordat.client import (
    BadAnswer,
    Forbidden,
    InsecureAddress,
    KonkordatError,
    NodeUnreachable,
    ProblemError,
    Unauthenticated,
)
from konkordat.schedule.interchange.errors import ProgrammeError

POINTED_MAX: Final = 3  # places of a request named in one line


def failure_of(error: Exception) -> CommandError | None:
    """The error as a command's end; None for a defect of ours."""
    match error:
        case CommandError():
            return error
        case ExceptionGroup():
            # Tasks side by side: one of them says what happened, the others were cancelled for it.
            return failure_of(error.exceptions[0])
        case ProgrammeError():
            return CommandError(str(error), ExitCode.FILE, error.code)
        case ProblemError():
            return CommandError(_problem_line(error), ExitCode.REFUSED, error.code)
        case NodeUnreachable():
            reason = error.reason.rstrip(".")
            message = (
                f"No node answered: {reason}. Is one running there? Give its address with --url or in"
                " KONKORDAT_URL."
            )
            return CommandError(message, ExitCode.UNREACHABLE, "node_unreachable")
        case InsecureAddress():
            message = f"{error.url} is neither https nor on this machine, so the key was not sent. Use https."
            return CommandError(message, ExitCode.USAGE, "insecure_address")
        case BadAnswer():
            message = f"What answered is no node: {error.reason}. Check --url."
            return CommandError(message, ExitCode.UNREACHABLE, "bad_answer")
        case KonkordatError():
            return CommandError(_told(error), ExitCode.UNREACHABLE, "client_error")
        case OSError() if error.filename is not None:
            message = f"{error.filename}: {error.strerror}."
            return CommandError(message, ExitCode.FILE, "unreadable_file")
        case _:
            return None


def _problem_line(error: ProblemError) -> str:
    """What the node said, where it points, and what helps."""
    pointed = [
        f"{entry.get('pointer')}: {entry.get('detail')}" for entry in error.errors[:POINTED_MAX]
    ]
    detail = "; ".join(pointed) if pointed else error.detail
    return f"The node refused ({error.code}): {detail.rstrip('.')}. {_remedy(error)}".rstrip()


def _remedy(error: ProblemError) -> str:
    match error:
        case Unauthenticated():
            return "Put a valid key into KONKORDAT_KEY; an operator makes one with: konkordat key create"
        case Forbidden():
            return "Use a key with the scope it names."
        case _ if error.code == "ask_the_holder" and error.document.get("ask_at"):
            return f"Repeat the command with: --url {error.document['ask_at']}"
        case _ if error.code == "may_lose_confirmed":
            return "Only if it is gone for good, repeat the command with: --accept-loss"
        case _ if error.retryable:
            return "Try again in a moment, or another node."
        case _:
            return ""


def _told(error: Exception) -> str:
    return str(error) or inspect.cleandoc(type(error).__doc__ or type(error).__name__)
