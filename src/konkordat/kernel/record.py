"""A record as a node holds it: its life and one register per field group."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Group, RecordKey
from konkordat.kernel.policy import Register


class Record(msgspec.Struct, frozen=True, gc=False):
    """The join of all changes of one key.

    `life` is a causal length (Yu and Rostad, 2020): it only grows, odd means alive, even means
    deleted. A change carries the life its writer saw. One of an earlier life is ignored, so a
    deleted record cannot come back half filled, and a record made anew starts empty.
    """

    key: RecordKey
    life: int
    fields: Mapping[Group, Register]  # only of the present life; empty when deleted
    born: Stamp  # the earliest stamp of the present life
    touched: Stamp  # the latest stamp of the present life, also when that change won no field
    actor: str = ""  # who made the change at `touched`

    @property
    def alive(self) -> bool:
        return self.life % 2 == 1
