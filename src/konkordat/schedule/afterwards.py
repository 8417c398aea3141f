"""The records that a command refers to, as it leaves them: its own drafts before what the store has.

Each is looked up once per command, whichever rule asks first.
"""

from __future__ import annotations

from collections.abc import Mapping

from konkordat.kernel.ids import Collection, RecordId, RecordKey, Tenant
from konkordat.replica.domain import View
from konkordat.schedule import rules
from konkordat.schedule.drafts import Draft


class Afterwards:
    """What is there after one command. It holds nothing that holds it: a command in a circle would wait, with all that
    it looked up, for the garbage collector (measured at 6 KB a booking)."""

    def __init__(self, tenant: Tenant, view: View, drafts: Mapping[RecordKey, Draft]) -> None:
        self.tenant = tenant
        self._view = view
        self._drafts = drafts
        self._read: dict[RecordKey, rules.Values | None] = {}  # what is no draft

    def values(self, collection: Collection, id_: object) -> rules.Values | None:
        """The groups of a record; None if it is not alive, or the id is none."""
        if not isinstance(id_, str):
            return None
        return self.of(RecordKey(self.tenant, collection, RecordId(id_)))

    def of(self, key: RecordKey) -> rules.Values | None:
        """The groups of a record, also of another tenant; None if it is not alive."""
        draft = self._drafts.get(key)
        if draft is not None:
            return draft.values if draft.alive else None
        if key not in self._read:
            record = self._view.record(key)
            alive = record is not None and record.alive
            self._read[key] = rules.values_of(record) if record is not None and alive else None
        return self._read[key]
