"""Read your writes anywhere: waiting for what a client has seen elsewhere, and refusing to guess before it is here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from konkordat.api.call import Call
from konkordat.api.gate import NodeStatus
from konkordat.api.problems import Problem
from konkordat.api.settings import MISSING_WAIT_S, WAIT_S_DEFAULT, WAIT_S_MAX
from konkordat.api.tokens import SYNC_TOKEN_CHARS_MAX, parse_sync_token
from konkordat.kernel.frontier import covers, joined
from konkordat.kernel.ids import Origin

RETRY_AFTER_MS: Final = 1_000
_WAIT: Final = re.compile(r"(?:^|[,;])\s*wait\s*=\s*(\d{1,6})\s*(?=$|[,;])", re.IGNORECASE)


def note_preference(call: Call) -> None:
    """Read `Prefer: wait=N` (RFC 7240). Other preferences are ignored, as the RFC asks."""
    raw = call.headers.get(b"prefer")
    found = _WAIT.search(raw.decode("latin-1")) if raw else None
    if found:
        call.wait_s = min(float(found[1]), WAIT_S_MAX)
        call.wait_until_s = asyncio.get_running_loop().time() + call.wait_s
        call.headers_out.append((b"preference-applied", b"wait=%d" % call.wait_s))


async def see_what_caller_saw(call: Call) -> None:
    """Wait until this node has what the caller's Consistency-Token names. Raises Problem not_yet_consistent."""
    raw = call.headers.get(b"consistency-token")
    if not raw:
        return
    if len(raw) > SYNC_TOKEN_CHARS_MAX:
        raise Problem("bad_token", "The consistency token is too long to be one of this service.")
    # A token of a stream serves as well: its filter says nothing about what the node must have.
    _, frontier = parse_sync_token(raw.decode("latin-1"))
    await reach(call, frontier)


async def reach(call: Call, frontier: Mapping[Origin, int]) -> None:
    """Wait, as long as the caller prefers, until reads see at least this frontier.

    Raises Problem not_yet_consistent.
    """
    gate = call.front.gate
    if covers(gate.frontier(), frontier):
        return
    wait_s = WAIT_S_DEFAULT if call.wait_s is None else call.wait_s
    if not await gate.reached(frontier, wait_s):
        raise behind("This node has not yet all that the token names.")


async def is_really_missing(call: Call) -> bool:
    """Whether "not found here" may be said: only when this node has everything that living peers are known to have.

    Returns False when batches arrived while waiting, so that the caller looks once more. Raises Problem
    not_yet_consistent when they did not arrive in time.
    """
    gate = call.front.gate
    known = known_elsewhere(gate.status())
    if covers(gate.frontier(), known):
        return True
    wait_s = MISSING_WAIT_S if call.wait_s is None else call.wait_s
    if await gate.reached(known, wait_s):
        return False
    raise behind("It is not here, but this node has not yet everything that other nodes have.")


def known_elsewhere(status: NodeStatus) -> dict[Origin, int]:
    """What living peers say they have; without origins in quarantine, whose batches do not come by waiting."""
    frontier: dict[Origin, int] = {}
    for peer in status.peers:
        if peer.alive:
            frontier = joined(frontier, peer.frontier)
    return {o: seq for o, seq in frontier.items() if o not in status.quarantined}


def behind(detail: str) -> Problem:
    """The problem of a node that has not yet what is asked for."""
    return Problem("not_yet_consistent", detail, retry_after_ms=RETRY_AFTER_MS)
