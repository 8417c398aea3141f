"""Reading frames: what several nodes got as the very same bytes is decoded once for all of them.

Decoding is pure: it knows the bytes and the name of the cluster, and a frame that was damaged is another one. What its
receiver could change is copied for each, so that no node can reach into another by what both were told.
"""

from __future__ import annotations

from typing import Final

import msgspec

from konkordat.kernel.ids import NodeName
from konkordat.wire.codec import Codec
from konkordat.wire.messages import Heartbeat, Message, Push

CLUSTER: Final = "simulated"
FRAMES_KEPT: Final = 256  # more than are on their way at any time, but for a line that is clogged

Read = tuple[NodeName, Message]


class Frames:
    """What the frames of one cluster say."""

    def __init__(self) -> None:
        self._codec = Codec(CLUSTER, NodeName("reader"))
        self._kept: dict[bytes, Read] = {}

    def read(self, frame: bytes) -> Read | None:
        """As `Codec.decode`, errors and all."""
        read = self._kept.get(frame)
        if read is None:
            read = self._codec.decode(frame)
            # The kinds that are sent to all. What else holds is not worth a copy that goes deep enough.
            if read is None or type(read[1]) not in (Heartbeat, Push):
                return read
            if len(self._kept) >= FRAMES_KEPT:
                self._kept.clear()
            self._kept[frame] = read
        sender, message = read
        return sender, _own(message) if type(message) is Heartbeat else message


def _own(told: Heartbeat) -> Heartbeat:
    """A heartbeat whose maps belong to its receiver. A push has nothing but bytes."""
    frontier, clocks = dict(told.frontier), dict(told.clocks)
    return msgspec.structs.replace(told, frontier=frontier, clocks=clocks)
