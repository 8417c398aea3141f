"""What every part of the shell is given: the time, the log, the numbers."""

from __future__ import annotations

from typing import NamedTuple

from konkordat.node.clock import WallClock
from konkordat.node.logs import Log
from konkordat.node.metrics import NodeMetrics


class Ambient(NamedTuple):
    """Of one node; safe to use from every thread."""

    clock: WallClock
    log: Log
    metrics: NodeMetrics
