"""Real nodes, each a process with a directory of its own, and what one does to processes."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from konkordat.kernel.ids import NodeName
from konkordat.testing.real.lines import Lines, with_us

START_S: Final = 30.0  # a start takes under a second; several at once on a busy machine take longer
STOP_S: Final = 30.0
TENANT: Final = "tenant-0"
LEASE_MS: Final = 1_000  # a silent peer is missed after this long

Program = Sequence[str]  # what `python -m` is given to run a node
PROGRAM: Final[Program] = ("konkordat.node",)


class OperatorKey(msgspec.Struct, frozen=True):
    key: str
    hash: str


class NodeFailed(Exception):
    """A node did not do what it was told: {reason}."""


def operator_key() -> OperatorKey:
    """A fresh operator's key, made by the program itself."""
    command = [sys.executable, "-m", "konkordat", "key", "new-admin", "--json"]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - our own program
    return msgspec.json.decode(done.stdout, type=OperatorKey)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, all different."""
    with contextlib.ExitStack() as open_:
        probes = [open_.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class RealNode:
    """One node. Its directory outlives its processes."""

    def __init__(
        self,
        folder: Path,
        name: NodeName,
        number: int,
        lines: Lines,
        operator: OperatorKey,
        program: Program,
    ) -> None:
        self.name = name
        self.number = number
        self.folder = folder / name
        self.data = self.folder / "data"
        self.folder.mkdir(parents=True)
        self.url = lines.url(number)
        self._lines = lines
        self._operator = operator
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._spawned_at_s = 0.0
        self.ready = False
        self.paused = False  # by SIGSTOP
        self.cut = False  # from its peers, in whatever way

    def configure(self) -> None:
        """Write the configuration file."""
        connect = {"connect": list(self._lines.peers(self.number)), "lease_ms": LEASE_MS}
        tables: dict[str, dict[str, Any]] = {
            "node": {"name": self.name, "cluster": "proof", "data": str(self.data)},
            "api": {"admin_key_hash": self._operator.hash},
            "link": connect,
            "log": {"file": str(self.folder / "node.log")},
            "drills": {"enabled": True},
        }
        for table, values in self._lines.settings(self.number).items():
            tables[table].update(values)
        lines: list[str] = []
        for table, values in tables.items():
            lines.append(f"[{table}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        (self.folder / "node.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    # Processes -----------------------------------------------------------------------------------

    def spawn(self) -> None:
        """A new process; `poll` tells when it is ready."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KONKORDAT_")}
        command = [sys.executable, "-m", *self._program, str(self.folder / "node.toml")]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [*with_us(), *self._lines.prefix(self.number), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self._spawned_at_s = time.monotonic()
        self.ready = self.paused = False

    def poll(self) -> str:
        """What became of the process: "" while all is well, or how it ended by itself."""
        process = self._process
        if process is None:
            return ""
        if process.poll() is not None:
            code, last_words = self.end()
            return f"ended by itself with exit code {code}: {last_words.strip()[-200:]}"
        if not self.ready and not self.paused:
            self.ready = _says_ready(process)
            if not self.ready and time.monotonic() - self._spawned_at_s > START_S:
                self.kill()
                return f"was not ready after {START_S:.0f} s"
        return ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def well(self) -> bool:
        """True if nothing was done to it that is not over."""
        return self.running and self.ready and not (self.paused or self.cut)

    def kill(self) -> None:
        """No chance to say anything."""
        self.signal(signal.SIGKILL)
        self.end()

    def finish(self) -> str:
        """Ask it to stop, and wait; "" or how it ended otherwise."""
        self.signal(signal.SIGTERM)
        code, last_words = self.end()
        return "" if code == 0 else f"ended with exit code {code}: {last_words.strip()[-200:]}"

    def end(self) -> tuple[int, str]:
        """Wait for the process to end; its exit code and last words. Raises NodeFailed."""
        process, self._process = self._process, None
        self.ready = self.paused = False
        assert process is not None
        try:
            _, stderr = process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise NodeFailed(f"{self.name} does not stop") from None
        return process.returncode, stderr.decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        self.signal(signal.SIGCONT)
        self.paused = False

    def drill(self, *, cut: bool) -> None:
        """Let the node itself cut its links, or mend them. A process that is not ready has all its links."""
        self.cut = cut
        if self.ready:
            self.signal(signal.SIGUSR1 if cut else signal.SIGUSR2)

    # Through the API -------------------------------------------------------------------------------

    def standing(self) -> Any:
        """Frontier and digest by the node's own word; None while it cannot tell."""
        try:
            headers = {"authorization": f"Bearer {self._operator.key}"}
            told = httpx.get(f"{self.url}/v2/cluster", headers=headers, timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return None
        own = next(node for node in told["nodes"] if node["is_self"])
        return own["frontier"], own["digest"]

    def tenant_key(self, name: str) -> str:
        """A fresh key of the tenant."""
        headers = {"authorization": f"Bearer {self._operator.key}"}
        wish = {"name": name, "tenant": TENANT, "scopes": ["read", "write"]}
        made = httpx.post(f"{self.url}/v2/keys", json=wish, headers=headers, timeout=30)
        if made.status_code != httpx.codes.CREATED:
            raise NodeFailed(f"{self.name} makes no key: {made.text}")
        return str(made.json()["key"])


def _says_ready(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        # One line, written at once: what can be read is all of it, or the end.
        return bool(selector.select(0)) and process.stdout.readline().startswith(b"ready ")


def agree(nodes: Sequence[RealNode]) -> bool:
    """True when all say the same of themselves."""
    states = [node.standing() for node in nodes]
    return states[0] is not None and all(state == states[0] for state in states)


def await_agreement(nodes: Sequence[RealNode], patience_s: float) -> bool:
    """Wait until all say the same of themselves."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if agree(nodes):
            return True
        time.sleep(0.1)
    return False
