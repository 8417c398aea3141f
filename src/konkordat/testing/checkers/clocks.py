"""I9: a node's clock only grows, over restarts too, and only by its own stamps and by batches that it took; nothing too
far ahead is taken."""

from __future__ import annotations

from collections.abc import Iterable

from konkordat.kernel.hlc import AHEAD_MS_MAX, Hlc, hlc_at, ms_of
from konkordat.kernel.ids import NodeName, Origin
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import DiskChanged, History, Started, Wrote

NAME = "I9"


def check(history: History) -> list[Violation]:
    """Every commit of every node."""
    clocks: dict[NodeName, Hlc] = {}
    origins: dict[NodeName, Origin] = {}
    found: list[str] = []
    for happening in history:
        if isinstance(happening, DiskChanged):
            clocks.pop(happening.node, None)
        elif isinstance(happening, Started):
            before = clocks.get(happening.node)
            if before is not None and happening.hlc != before:
                found.append(f"{happening.node} starts with clock {happening.hlc}, it was {before}")
            clocks[happening.node] = happening.hlc
            origins[happening.node] = happening.origin
        elif isinstance(happening, Wrote):
            before = clocks.get(happening.node, Hlc(0))
            found += _wrong(happening, before, origins.get(happening.node))
            clocks[happening.node] = happening.hlc
    return [Violation(NAME, what) for what in found]


def _wrong(wrote: Wrote, before: Hlc, own: Origin | None) -> Iterable[str]:
    expected = max([before, *(b.last_hlc for b in wrote.batches)])
    if wrote.hlc != expected:
        yield f"{wrote.node} sets its clock to {wrote.hlc}, what it took makes {expected}"
    theirs = [b.last_hlc for b in wrote.batches if b.origin != own]
    for stamp in theirs:
        if ms_of(stamp) > wrote.now_ms + AHEAD_MS_MAX:
            yield f"{wrote.node} takes a stamp {ms_of(stamp) - wrote.now_ms} ms ahead of its clock"
    last = max([before, *theirs])
    for batch in wrote.batches:
        if batch.origin != own:
            continue
        if batch.last_hlc <= last:
            yield f"{wrote.node} stamps {batch.last_hlc} after {last}"
        # A batch holds less than 2^16 transactions, so its counter carries into the milliseconds once at most.
        if batch.last_hlc > max(last, hlc_at(wrote.now_ms)) + hlc_at(1):
            yield f"{wrote.node} stamps {batch.last_hlc} at {wrote.now_ms} ms with its clock at {last}"
        last = max(last, batch.last_hlc)
