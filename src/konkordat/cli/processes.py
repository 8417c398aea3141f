"""Nodes as child processes of a command: started, waited for, stopped; never left behind unless asked for.

A node tells where it listens in `<data>/node.json`, so all ports are free ones that the system chose.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Final

import httpx
from msgspec import Struct

from konkordat.cli.exits import CommandError, ExitCode

READY_S_MAX: Final = 30.0  # a node is ready in a second or two; a machine that swaps may need more
STOP_S_MAX: Final = 10.0  # then it is killed: it has promised nothing that is not on disk
POLL_S: Final = 0.02
ADDRESS_FILE: Final = "node.json"
ADMIN_KEY_HASH_VARIABLE: Final = "KONKORDAT_ADMIN_KEY_HASH"


class NodeSpec(Struct, frozen=True):
    """How to start a node."""

    name: str
    folder: Path  # its data is in folder/name, its log in folder/name.log
    cluster: str
    admin_key_hash: str
    connect: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}  # dotted key to value, as `--set` takes them
    outlives_us: bool = False  # True: goes on running when this process ends

    @property
    def data(self) -> Path:
        return self.folder / self.name

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"


class Addresses(Struct, frozen=True):
    """Where a running node is reached."""

    api_url: str
    link: str  # as `--connect` takes it
    pid: int


class LocalNode:
    """One node of ours. Used from one event loop."""

    def __init__(self, spec: NodeSpec) -> None:
        self.spec = spec
        self.started_at = 0.0  # time.perf_counter() when its process was made
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False  # by us, on purpose
        self._addresses: Addresses | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def has_fallen(self) -> bool:
        """It was started, and has ended with an error."""
        return self._process is not None and bool(self._process.poll()) and not self._killed

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def addresses(self) -> Addresses:
        assert self._addresses is not None, "not ready yet"
        return self._addresses

    def start(self) -> None:
        """Make the process; `ready` waits for it. The old address file goes first, or it would be taken for the new."""
        assert not self.running
        self.spec.folder.mkdir(parents=True, exist_ok=True)
        (self.spec.data / ADDRESS_FILE).unlink(missing_ok=True)
        environment = {**os.environ, ADMIN_KEY_HASH_VARIABLE: self.spec.admin_key_hash}
        environment.pop("KONKORDAT_KEY", None)  # nodes know hashes only
        with self.spec.log.open("ab") as log:
            self.started_at = time.perf_counter()
            self._killed = False
            self._process = subprocess.Popen(  # noqa: S603 -- our own program
                self._command(),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C at the terminal is for us; we stop the nodes, in order.
                start_new_session=True,
            )
        self._addresses = None

    def _command(self) -> list[str]:
        spec = self.spec
        command = [sys.executable, "-m", "konkordat", "serve", "--name", spec.name]
        command += ["--data", str(spec.data), "--cluster", spec.cluster]
        command += ["--api", "127.0.0.1:0", "--listen", "tcp/127.0.0.1:0"]
        for address in spec.connect:
            command += ["--connect", address]
        for key, value in spec.settings.items():
            command += ["--set", f"{key}={value}"]
        return command if spec.outlives_us else [*command, "--with-parent", str(os.getpid())]

    async def ready(self, timeout_s: float = READY_S_MAX) -> float:
        """Seconds from its start until the node answers `/readyz`. Raises CommandError if it dies or is too slow."""
        deadline = self.started_at + timeout_s
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            while time.perf_counter() < deadline:
                if not self.running:
                    raise self.failure("ended instead of getting ready")
                if await self._answers(client):
                    return time.perf_counter() - self.started_at
                await asyncio.sleep(POLL_S)
        raise self.failure(f"was not ready within {timeout_s:.0f} s")

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        self._addresses = self._addresses or read_addresses(self.spec.data)
        if self._addresses is None:
            return False
        try:
            answer = await client.get(f"{self._addresses.api_url}/readyz")
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def failure(self, what: str) -> CommandError:
        """What became of the node, and what it said last."""
        said = last_line(self.spec.log)
        message = f"Node {self.name} {what}. It said: {said} (log: {self.spec.log})"
        return CommandError(message, ExitCode.NODE_FAILED, "node_failed")

    def kill(self) -> None:
        """End it as by kill -9: no goodbye, nothing flushed."""
        if self._process is not None:
            self._killed = True
            self._process.kill()
            self._process.wait()

    async def stop(self) -> None:
        """Ask it to stop; kill it if it does not. A node that is not running is fine."""
        if self._process is None or not self.running:
            return
        self._process.terminate()
        # A thread waits: a child's end wakes no event loop by itself.
        await asyncio.to_thread(self._wait_or_kill, self._process)

    @staticmethod
    def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def exit_code(self, timeout_s: float) -> int:
        """Wait until it has ended by itself; its exit code. Raises TimeoutExpired."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def memory_bytes(self) -> int:
        """Resident memory of the process now. Linux only; 0 elsewhere."""
        return memory_of(self.pid)

    def cpu_s(self) -> float:
        """Processor time of the process until now, all its threads. Linux only; 0 elsewhere."""
        return cpu_of(self.pid)


async def stop_all(nodes: Iterable[LocalNode]) -> None:
    """Stop nodes side by side."""
    async with asyncio.TaskGroup() as tasks:
        for node in nodes:
            tasks.create_task(node.stop())


def read_addresses(data: Path) -> Addresses | None:
    """What a node wrote down about itself; None as long as there is nothing whole."""
    try:
        told = json.loads((data / ADDRESS_FILE).read_bytes())
        return Addresses(api_url=told["api_url"], link=told["link"], pid=told["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def memory_of(pid: int) -> int:
    """Resident memory of a process, in bytes; 0 where /proc does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(found[0]) * 1024 if found else 0


def cpu_of(pid: int) -> float:
    """Processor time of a process, in seconds; 0 where /proc does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    # After the name, which may hold anything: state is the first, user and system time the 12th and 13th.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def last_line(path: Path) -> str:
    """The last line of a log that is not blank, for a message; "nothing" if there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return _last_of(lines)
    except OSError:
        return "nothing"


def _last_of(lines: IO[str]) -> str:
    kept = deque((line.strip() for line in lines if line.strip()), maxlen=1)
    return kept[0][:500] if kept else "nothing"
