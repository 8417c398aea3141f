"""Nodes on this machine, for the demo and for measurements: started in one folder, with keys, and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from konkordat.cli.exits import CommandError
from konkordat.cli.keys import admin_key
from konkordat.cli.processes import LocalNode, NodeSpec, stop_all
from konkordat.client import AsyncClient

TENANT: Final = "forum"
KEY_S_MAX: Final = 10.0  # until a key made at one node is known at all


class LocalCluster:
    """Nodes that find each other from the address of the first one. Used from one event loop."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        settings: Mapping[str, str] | None = None,
        outlives_us: bool = False,
    ) -> None:
        self.folder = folder
        self.names = tuple(names)
        self.key = ""  # of the tenant; there once `start` has returned
        self.started_s = 0.0  # the first node alone, start to ready
        self._operator = admin_key()
        self.nodes = {
            name: LocalNode(
                NodeSpec(
                    name,
                    folder,
                    # Other clusters on this machine are none of ours.
                    cluster=f"local-{os.getpid()}",
                    admin_key_hash=self._operator.hash,
                    settings={"seats.members": json.dumps(self.names), **(settings or {})},
                    outlives_us=outlives_us,
                )
            )
            for name in self.names
        }

    @property
    def admin_key(self) -> str:
        return self._operator.text

    @property
    def started(self) -> set[str]:
        """The nodes that have a process, ready or not."""
        return {name for name, node in self.nodes.items() if node.running}

    def fallen(self) -> CommandError | None:
        """A node that was started and has ended without being told to, if there is one."""
        return next(
            (node.failure("ended") for node in self.nodes.values() if node.has_fallen), None
        )

    @property
    def urls(self) -> dict[str, str]:
        """Where clients reach each node."""
        return {name: node.addresses.api_url for name, node in self.nodes.items()}

    async def start(self) -> float:
        """Start the first, then the others with its address; make the tenant's key. Seconds it took."""
        started = time.perf_counter()
        first, *others = self.nodes.values()
        first.start()
        self.started_s = await first.ready()
        for node in others:
            node.spec = _told(node.spec, first.addresses.link)
            node.start()
        async with asyncio.TaskGroup() as tasks:
            for node in others:
                tasks.create_task(node.ready())
        await self._make_key()
        return time.perf_counter() - started

    async def _make_key(self) -> None:
        """A key made at the first node; every node knows it before anybody uses it."""
        urls = list(self.urls.values())
        async with AsyncClient(urls[0], key=self._operator.text) as operator:
            made = await operator.create_key(tenant=TENANT, scopes=["admin"], name="local cluster")
            self.key = made["key"]
            token = operator.token
        async with asyncio.TaskGroup() as tasks:
            for url in urls[1:]:
                tasks.create_task(self._knows(url, token))

    async def _knows(self, url: str, token: str) -> None:
        async with (
            AsyncClient(url, key=self._operator.text) as operator,
            asyncio.timeout(KEY_S_MAX),
        ):
            operator.token = token
            await operator.keys()

    async def restart(self, name: str) -> float:
        """Start a node that is down; seconds until it was ready. Its addresses are new ones."""
        node = self.nodes[name]
        others = [other for other in self.nodes.values() if other is not node and other.running]
        links = tuple(other.addresses.link for other in others[:1])
        if links:
            node.spec = _told(node.spec, *links)
        node.start()
        return await node.ready()

    async def stop(self) -> None:
        """Stop all nodes."""
        await stop_all(self.nodes.values())

    def kill(self) -> None:
        """End all nodes at once."""
        for node in self.nodes.values():
            node.kill()


def _told(spec: NodeSpec, *links: str) -> NodeSpec:
    from msgspec import structs

    return structs.replace(spec, connect=links)
