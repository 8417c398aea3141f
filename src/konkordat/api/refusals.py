"""Refused writes and orders in the node's log: who asked for what, and why it was not done.

A booking that is refused leaves nothing in the data, so the log is where an operator finds it again, by the code and
by the request's id; what an operator's order was refused for stands there as a warning. Refusals are normal work, and
anybody with a key can cause them: of each code only so many lines are written in a minute. The metric counts all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from konkordat.api.auth import Credential
from konkordat.api.counts import Counts
from konkordat.api.gate import Gate
from konkordat.api.problems import TABLE, Problem

# Of one code. Somebody who is at it for a day adds about 6 MB; people who book by hand are never left out.
LINES_MAX: Final = 10
WINDOW_MS: Final = 60_000
OTHER: Final = "refused"  # as what a code of a newer domain is counted: labels are few
# The caller must wait or ask for another key: nothing was looked at that could be refused.
NOT_LOOKED_AT: Final = frozenset({401, 408, 429})


class Refusals:
    """Writes them down. Used on the event loop only."""

    def __init__(self, gate: Gate, counts: Counts) -> None:
        self._gate = gate
        self._counts = counts
        self._since_ms = 0
        self._lines: Counter[str] = Counter()  # since then, by code
        self._left_out: Counter[str] = (
            Counter()
        )  # since the last line, by code; never more than codes

    def note(
        self,
        problem: Problem,
        by: Credential | None,
        request_id: str,
        what: Mapping[str, object],
        *,
        is_order: bool = False,
    ) -> None:
        """A write was refused, or an operator's order (`is_order`). `what` says what was asked for."""
        if by is None or not 400 <= problem.status < 500 or problem.status in NOT_LOOKED_AT:
            return
        code = problem.code if problem.code in TABLE else OTHER
        self._counts.refusals.labels(code).inc()
        if not self._may_write(code):
            self._left_out[code] += 1
            return
        fields: dict[str, object] = {**what, "code": problem.code, "detail": problem.detail}
        if problem.errors:
            fields["errors"] = [{"code": e.code, "pointer": e.pointer} for e in problem.errors]
        left_out = self._left_out.pop(code, 0)
        if left_out:
            fields["left_out"] = left_out
        level, event = ("warning", "order_refused") if is_order else ("info", "write_refused")
        self._gate.log(level, event, **fields, by=by.id, tenant=by.tenant, cause_id=request_id)

    def _may_write(self, code: str) -> bool:
        now_ms = self._gate.now_ms()
        if not 0 <= now_ms - self._since_ms < WINDOW_MS:  # over, or the clock was set back
            self._since_ms = now_ms
            self._lines.clear()
        self._lines[code] += 1
        return self._lines[code] <= LINES_MAX
