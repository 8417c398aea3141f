"""Who writes, and what is written: the values between clients and workloads."""

from __future__ import annotations

from typing import Any, NamedTuple

from konkordat.kernel.ids import RecordKey, Tenant


class Writer(NamedTuple):
    """A client about to write."""

    tenant: Tenant
    client: str
    number: int  # of its operation

    def value(self) -> str:
        """A text that tells whose it is and which write it came from."""
        return f"<{self.tenant}> {self.client}/{self.number}"


class Work(NamedTuple):
    """A command for the domain, and the records that it may write."""

    body: Any
    keys: tuple[RecordKey, ...]
