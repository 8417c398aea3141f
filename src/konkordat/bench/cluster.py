"""Five nodes to measure: processes, one tenant, the shipped programme, and light connections to look with."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from konkordat.bench.load import Job, Outcome, Target
from konkordat.bench.wire import Connection
from konkordat.cli.cluster import LocalCluster
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.importing import load_sample
from konkordat.schedule.interchange.plan import ImportPlan, UpsertOperation, plan_import

NAMES: Final = ("zurich", "geneva", "basel", "lugano", "bern")
BATCH: Final = 200  # operations a request when data is put in; below the limits of number and size
POLL_S: Final = 0.05
AGREE_S_MAX: Final = 300.0
# Measuring must not be throttled like a client; what is measured is the node, not its rate limit.
SETTINGS: Final[Mapping[str, str]] = {}


class Bench:
    """Five nodes, or as many as are named. Used as an async context manager."""

    def __init__(self, folder: Path, names: Sequence[str] = NAMES) -> None:
        self.cluster = LocalCluster(folder, tuple(names), settings=SETTINGS)
        self.plan: ImportPlan = plan_import(load_sample())
        self._connections: dict[str, Connection] = {}

    async def __aenter__(self) -> Self:
        await self.cluster.start()
        self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self._connections.values():
            connection.close()
        await self.cluster.stop()

    def connect(self, names: Iterable[str] | None = None) -> None:
        """Connect to nodes that were started (again): their ports are others."""
        for name in names or self.cluster.names:
            url = self.cluster.nodes[name].addresses.api_url
            self._connections[name] = Connection(url, self.cluster.key)

    @property
    def names(self) -> tuple[str, ...]:
        return self.cluster.names

    def targets(self, names: Iterable[str] | None = None) -> list[Target]:
        """Where the generator of load writes."""
        nodes = self.cluster.nodes
        return [Target(nodes[n].addresses.api_url, self.cluster.key) for n in names or self.names]

    # ---- asking and telling

    async def ask(
        self,
        name: str,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request; the decoded answer. Raises CommandError for a refusal."""
        raw = b"" if body is None else msgspec.json.encode(body)
        answer = await self._connections[name].request(method, path, raw, headers)
        decoded = msgspec.json.decode(answer.body) if answer.body else None
        if answer.status >= 300:
            message = f"{method} {path} at {name}: {answer.status} {decoded}"
            raise CommandError(message, ExitCode.REFUSED, "refused")
        return decoded

    async def write(self, name: str, operations: Sequence[Any], mode: str = "independent") -> None:
        """Put data in, in large batches."""
        for start in range(0, len(operations), BATCH):
            page = operations[start : start + BATCH]
            answer = await self.ask(name, "POST", "/v2/batch", {"mode": mode, "operations": page})
            refused = [r["problem"] for r in answer["results"] if r["status"] >= 300]
            if refused:
                message = f"A batch at {name} was refused: {refused[0]}"
                raise CommandError(message, ExitCode.REFUSED, "refused")

    async def put_programme(self, name: str) -> list[str]:
        """Import the shipped programme; the ids of its sessions."""
        await self.write(name, [operation_of(entry) for entry in self.plan.operations])
        return [entry.id for entry in self.plan.operations if entry.collection == "sessions"]

    async def status(self, name: str) -> Any:
        """What a node says of itself and its peers."""
        return await self.ask(name, "GET", "/v2/cluster")

    async def agree(self, names: Iterable[str] | None = None) -> float:
        """Wait until all have the same frontier and digest; seconds it took. Raises CommandError after AGREE_S_MAX."""
        started = time.perf_counter()
        chosen = tuple(names or self.names)
        while True:
            own = [(await self.status(name))["nodes"][0] for name in chosen]
            frontiers = [node["frontier"] for node in own]
            digests = {node["digest"] for node in own}
            if len(digests) == 1 and all(frontier == frontiers[0] for frontier in frontiers):
                return time.perf_counter() - started
            if time.perf_counter() - started > AGREE_S_MAX:
                message = f"The nodes did not agree within {AGREE_S_MAX:.0f} s: digests {digests}."
                raise CommandError(message, ExitCode.UNMET, "no_agreement")
            await asyncio.sleep(POLL_S)

    # ---- load

    def edits(self, session_ids: Sequence[str]) -> list[str]:
        """Templates of changes to sessions: one field of one session each."""
        return [
            '{"op":"patch","type":"sessions","id":"' + id_ + '","data":{"track":"track %d"}}'
            for id_ in session_ids
        ]


def operation_of(entry: UpsertOperation) -> dict[str, Any]:
    """An import's entry as an operation of a batch."""
    return {
        "op": "put",
        "type": entry.collection,
        "id": entry.id,
        "data": entry.data,
        "on_conflict": entry.on_conflict,
    }


async def generate(job: Job) -> Outcome:
    """Have the generator of load do a job, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "konkordat.bench.load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, said = await process.communicate(msgspec.json.encode(job))
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        message = f"The generator of load failed: {''.join(last)}"
        raise CommandError(message, ExitCode.NODE_FAILED, "load_failed")
    return msgspec.json.decode(output, type=Outcome)
