"""Waiting for a decision: a write is done at once, and asked again what became of it until it is decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from rich.console import Console

from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.naming import Item, Names
from konkordat.cli.slots import free_text
from konkordat.client import Client, Conflict, KonkordatError, new_idempotency_key

ASKED_S_MIN: Final = 1.0  # nodes count whole seconds
PAUSE_S_MIN: Final = 0.1  # from one request to the next
ASKED_S_MAX: Final = 30.0  # as long as a node waits in one request
SEATS_LOOKED_MAX: Final = 2_000  # of a cluster, for the one that decides
UNDECIDED: Final = frozenset({"tentative", "pending"})

# A write with these options; repeated with the same key it has one effect and shows the record as it is by then.
Write = Callable[..., Item]


def settle(
    write: Write,
    state_of: Callable[[Item], str],
    wait_s: float,
    console: Console,
    on_undecided: Callable[[Item], str],
) -> Item:
    """Write, and wait until it is decided or the time is up; the record as it is then.

    `on_undecided` is told the record as it was first, when that is not decided yet, and says whom one waits for.
    """
    key = new_idempotency_key()
    made = write(idempotency_key=key)
    if state_of(made) not in UNDECIDED or not wait_s:
        return made
    whom = on_undecided(made)
    ends = time.monotonic() + wait_s
    with console.status(f"waiting for the decision: {whom} …"):
        while state_of(made) in UNDECIDED and (left_s := ends - time.monotonic()) > 0:
            made = patient(lambda wait_s: write(idempotency_key=key, wait_s=wait_s), left_s)
    return made


def patient(write: Callable[[float], Item], left_s: float) -> Item:
    """Repeat a write that a node is to answer once it is decided, or when so many seconds have passed."""
    asked_at = time.monotonic()
    made = write(min(max(left_s, ASKED_S_MIN), ASKED_S_MAX))
    # A node that answers at once all the same must not be asked without pause.
    time.sleep(max(0.0, min(PAUSE_S_MIN - (time.monotonic() - asked_at), left_s)))
    return made


def decider(client: Client, id: str) -> str:
    """Who decides for a venue or event, in a few words."""
    try:
        seats = islice(client.who_decides(), SEATS_LOOKED_MAX)
        seat = next((seat for seat in seats if seat["id"].endswith(f".{id}")), None)
    except KonkordatError:  # it is only said to make waiting plainer
        seat = None
    if seat is None or not seat["holder"]:
        return "nobody decides yet"
    return f"{seat['holder']} decides" + ("" if seat["has_holder"] else ", and is not heard")


def venue_of(names: Names, slot: Item) -> str:
    """The id of a slot's venue, whose seat decides."""
    kind = "room" if slot.get("room") else "booth"
    return str((names.get(f"{kind}s", slot[kind]) or {}).get("venue"))


def exit_of(state: str, wait_s: float) -> ExitCode:
    """0 for what was asked for; what was not waited for may still be undecided."""
    is_done = state in {"confirmed", "checked_in"} or (state in UNDECIDED and not wait_s)
    return ExitCode.OK if is_done else ExitCode.UNMET


def refused(error: Conflict, names: Names) -> CommandError:
    """A place that is taken: by whom, and what is free instead, in one line."""
    holders = ", ".join(dict.fromkeys(names.holder(claim) for claim in error.conflicts))
    free = free_text(names, error.alternatives)
    instead = f" Free instead: {free}." if free else ""
    message = (
        f"The place is taken{f' by {holders}' if holders else ''}. Nothing was written.{instead}"
    )
    more: dict[str, Any] = {"conflicts": error.conflicts, "alternatives": error.alternatives}
    return CommandError(message, ExitCode.REFUSED, error.code, more)
