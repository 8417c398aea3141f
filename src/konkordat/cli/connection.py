"""How a command reaches the nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from konkordat.cli.exits import CommandError, ExitCode

if TYPE_CHECKING:
    from konkordat.client import AsyncClient, Client, RetryPolicy


class Connection(Struct, frozen=True):
    """The connection options as they were given."""

    urls: tuple[str, ...]
    key: str
    ca: Path | None
    timeout_s: float

    def __repr__(self) -> str:
        return f"Connection({', '.join(self.urls)})"  # never the key

    def client(self) -> Client:
        """A client for these nodes. Raises CommandError for addresses or files that cannot be meant."""
        from konkordat.client import Client

        try:
            return Client(*self.urls, key=self.key, ca=self.ca, retry=self._retry())
        except (ValueError, OSError) as error:
            raise self._misfit(error) from error

    def async_client(self) -> AsyncClient:
        """The async twin."""
        from konkordat.client import AsyncClient

        try:
            return AsyncClient(*self.urls, key=self.key, ca=self.ca, retry=self._retry())
        except (ValueError, OSError) as error:
            raise self._misfit(error) from error

    def _retry(self) -> RetryPolicy:
        from konkordat.client import RetryPolicy

        return RetryPolicy(elapsed_max_s=self.timeout_s)

    def _misfit(self, error: Exception) -> CommandError:
        if isinstance(error, OSError):
            message = f"--ca: {self.ca} cannot be used: {error.strerror or error}."
            return CommandError(message, ExitCode.FILE, "unreadable_file")
        return CommandError(f"--url: {error}", ExitCode.USAGE, "usage")
