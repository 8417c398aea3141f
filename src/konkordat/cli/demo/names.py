"""Ids as people call them: what a node says of records, with names in place of ids. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from konkordat.schedule.interchange.plan import ImportPlan

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Names:
    """The names of a programme's records."""

    def __init__(self, plan: ImportPlan) -> None:
        self._names = {entry.id: _name(entry.data) for entry in plan.operations}

    def of(self, id_: str) -> str:
        """The name of a record, or its id."""
        return self._names.get(id_) or id_

    def put_into(self, text: str) -> str:
        """A text with names, in quotes, for the ids that have one."""
        return _ID.sub(
            lambda found: f"“{self.of(found[0])}”" if found[0] in self._names else found[0], text
        )


def _name(data: dict[str, Any]) -> str:
    named = data.get("title") or data.get("name") or ""
    return next(iter(named.values()), "") if isinstance(named, dict) else str(named)
