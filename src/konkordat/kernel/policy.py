"""How two writes of one field group become one: registers and the policies that join them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Collection, Group


class Register(NamedTuple):
    """The state of one field group."""

    stamp: Stamp
    value: bytes  # canonical JSON
    # Concurrent values that a policy kept beside the shown one, newest first. Empty under `lww`.
    siblings: tuple[tuple[Stamp, bytes], ...] = ()


class Policy(Protocol):
    """A join: commutative, associative, idempotent. tests/laws proves it for each policy that is registered."""

    name: str

    def join(self, ours: Register, theirs: Register) -> Register: ...


class LastWriterWins:
    """The higher stamp wins. The losing value stays readable in the record's history."""

    name = "lww"

    def join(self, ours: Register, theirs: Register) -> Register:
        # Stamps are equal only for the same write. A peer that breaks this must not make two nodes keep different
        # values, so what the stamp stands for breaks the tie.
        return max(ours, theirs)


LWW: Policy = LastWriterWins()


class Policies:
    """Which policy joins which group. `lww` where nothing else is said."""

    def __init__(self, chosen: Mapping[tuple[Collection, Group], Policy] | None = None) -> None:
        self._chosen = dict(chosen or {})

    def of(self, collection: Collection, group: Group) -> Policy:
        return self._chosen.get((collection, group), LWW)

    @property
    def only_lww(self) -> bool:
        """True when merging may take the short way."""
        return not self._chosen
