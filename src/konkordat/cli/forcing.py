"""`konkordat roster force`: what it does and says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.output import console_for, emit_json
from konkordat.node.forcing import Forcing, Lost, force_roster
from konkordat.store.port import CorruptStoreError, StoreError

SEATS_SHOWN: Final = 8  # of a member; --json has all


def run_force(data: Path, accept_loss: bool, as_json: bool) -> int:
    """Force, or say what that would lose."""
    try:
        forcing = force_roster(data, accept_loss=accept_loss)
    except CorruptStoreError as error:
        raise CommandError(f"Damaged: {error}.", ExitCode.UNMET, "damaged") from error
    except StoreError as error:
        raise CommandError(f"{str(error).rstrip('.')}.", ExitCode.FILE, "unusable") from error
    if forcing.refusal is not None:
        refusal = forcing.refusal
        raise CommandError(f"{refusal.detail} ({refusal.code})", ExitCode.REFUSED, refusal.code)
    if as_json:
        emit_json(msgspec.to_builtins(forcing))
    else:
        _say(console_for(as_json), forcing)
    return ExitCode.OK if forcing.done else ExitCode.UNMET


def _say(console: Console, forcing: Forcing) -> None:
    def line(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    names = ", ".join(lost.node for lost in forcing.lost)
    line("What a lost member confirmed and told nobody here may be promised again:")
    for lost in forcing.lost:
        line(f"  {lost.node}: what it confirmed after {_since(lost)}{_seats(lost)}")
    line(f"  If {names} went on among themselves: what they confirmed since then, of any venue.")
    if forcing.done:
        line(f"{forcing.node} is the only member now, by roster {forcing.version}.")
        line(
            f"  Start it. Hand venues that decide at home over with --accept-loss. {names} must start on empty"
            " directories, and then: konkordat roster join NODE"
        )
    else:
        line(
            f"Nothing was written. If {names} are gone for good, and nobody starts them on their old directories:"
            " repeat with --accept-loss"
        )


def _since(lost: Lost) -> str:
    if lost.at_ms is None:
        return "the beginning: nothing of it is here"
    at = datetime.fromtimestamp(lost.at_ms // 1_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ} (batch {lost.batch} of {lost.origin})"


def _seats(lost: Lost) -> str:
    if not lost.seats:
        return ""
    shown = [f"{seat.id} ({seat.decide})" for seat in lost.seats[:SEATS_SHOWN]]
    more = len(lost.seats) - len(shown)
    return f"; it held {', '.join(shown)}" + (f" and {more} more" if more else "")
