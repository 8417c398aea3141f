"""Origins and scopes as the small numbers that rows hold instead of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from konkordat.kernel.ids import Collection, Origin, RecordKey, Tenant

Scope = tuple[Tenant, Collection]
Name = TypeVar("Name")


class Numbers(dict[Name, int], Generic[Name]):
    """Names to numbers. Asking for an unknown name gives it the next number; `settle` or `forget` those that are new.

    Numbers are never given up or changed once they are committed, so a copy of this can only be incomplete, not wrong.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, Name] = {}
        self.fresh: list[Name] = []  # numbered since the last commit
        self._last = 0

    def __missing__(self, name: Name) -> int:
        number = self._last + 1
        self._book(name, number)
        self.fresh.append(name)
        return number

    def learn(self, rows: Iterable[tuple[int, Name]]) -> None:
        """Take over what is committed."""
        for number, name in rows:
            self._book(name, number)

    def settle(self) -> None:
        """The new names are committed."""
        self.fresh.clear()

    def forget(self) -> None:
        """The new names were rolled back."""
        for name in self.fresh:
            del self.names[self.pop(name)]
            self._last -= 1
        self.fresh.clear()

    def _book(self, name: Name, number: int) -> None:
        self[name] = number
        self.names[number] = name
        self._last = max(self._last, number)


class Names:
    """The numbers of one connection."""

    def __init__(self) -> None:
        self.origins: Numbers[Origin] = Numbers()
        self.scopes: Numbers[Scope] = Numbers()

    def settle(self) -> None:
        self.origins.settle()
        self.scopes.settle()

    def forget(self) -> None:
        self.origins.forget()
        self.scopes.forget()


def by_scope(keys: Iterable[RecordKey]) -> dict[Scope, dict[str, RecordKey]]:
    """Keys by scope and id; each once."""
    result: dict[Scope, dict[str, RecordKey]] = {}
    for key in keys:
        tenant, collection, id = key
        scope = (tenant, collection)
        ids = result.get(scope)
        if ids is None:
            ids = result[scope] = {}
        ids[id] = key
    return result
