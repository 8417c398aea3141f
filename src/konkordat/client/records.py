"""One collection of a client: `client.sessions.create(…)` is `client.create("sessions", …)`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from konkordat.client.options import WriteOptions
from konkordat.client.results import ChangesPage, Item

if TYPE_CHECKING:
    from konkordat.client.asynchronous import AsyncClient
    from konkordat.client.synchronous import Client


class Records:
    """A collection of a `Client`. Each method is the client's, for this collection."""

    def __init__(self, client: Client, collection: str) -> None:
        self._client = client
        self._collection = collection

    def create(self, data: Mapping[str, Any], **options: Unpack[WriteOptions]) -> Item:
        """Create a record, with an id of its own or one in `data`."""
        return self._client.create(self._collection, data, **options)

    def get(self, id: str, *, wait_s: float | None = None) -> Item:
        """One record."""
        return self._client.get(self._collection, id, wait_s=wait_s)

    def put(self, id: str, data: Mapping[str, Any], **options: Unpack[WriteOptions]) -> Item:
        """Create or replace a record."""
        return self._client.put(self._collection, id, data, **options)

    def update(self, id: str, patch: Mapping[str, Any], **options: Unpack[WriteOptions]) -> Item:
        """Change some fields: None clears, a list replaces."""
        return self._client.update(self._collection, id, patch, **options)

    def delete(self, id: str, **options: Unpack[WriteOptions]) -> None:
        """Delete a record."""
        self._client.delete(self._collection, id, **options)

    def list(self, **query: str) -> Iterator[Item]:
        """All records, page by page; filters as the API has them."""
        return self._client.list(self._collection, **query)

    def history(self, id: str, cursor: str = "") -> Item:
        """What was ever written to a record, newest first."""
        return self._client.history(self._collection, id, cursor)

    def changes(self, since: str, limit: int | None = None) -> ChangesPage:
        """What became of the records since a token."""
        return self._client.changes(since, self._collection, limit)


class AsyncRecords:
    """A collection of an `AsyncClient`. Each method is the client's, for this collection."""

    def __init__(self, client: AsyncClient, collection: str) -> None:
        self._client = client
        self._collection = collection

    async def create(self, data: Mapping[str, Any], **options: Unpack[WriteOptions]) -> Item:
        """Create a record, with an id of its own or one in `data`."""
        return await self._client.create(self._collection, data, **options)

    async def get(self, id: str, *, wait_s: float | None = None) -> Item:
        """One record."""
        return await self._client.get(self._collection, id, wait_s=wait_s)

    async def put(self, id: str, data: Mapping[str, Any], **options: Unpack[WriteOptions]) -> Item:
        """Create or replace a record."""
        return await self._client.put(self._collection, id, data, **options)

    async def update(
        self, id: str, patch: Mapping[str, Any], **options: Unpack[WriteOptions]
    ) -> Item:
        """Change some fields: None clears, a list replaces."""
        return await self._client.update(self._collection, id, patch, **options)

    async def delete(self, id: str, **options: Unpack[WriteOptions]) -> None:
        """Delete a record."""
        await self._client.delete(self._collection, id, **options)

    def list(self, **query: str) -> AsyncIterator[Item]:
        """All records, page by page; filters as the API has them."""
        return self._client.list(self._collection, **query)

    async def history(self, id: str, cursor: str = "") -> Item:
        """What was ever written to a record, newest first."""
        return await self._client.history(self._collection, id, cursor)

    async def changes(self, since: str, limit: int | None = None) -> ChangesPage:
        """What became of the records since a token."""
        return await self._client.changes(since, self._collection, limit)
