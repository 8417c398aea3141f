"""Nodes as processes of their own, with real sockets, disks and signals."""

from __future__ import annotations

import json
import os
import selectors
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from konkordat.api.keys import ENTROPY_BYTES, hash_of, mint
from konkordat.kernel.ids import Tenant
from support.node import free_port

START_S = 30.0  # a start takes under a second; several at once on a busy machine take longer
OPERATOR = mint(Tenant("_system"), bytes(range(ENTROPY_BYTES))).text


class NodeProcess:
    """One node in its own process. Its directory stays over restarts."""

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Mapping[str, Any]]) -> None:
        self.name = name
        self.folder = folder / name
        self.data = self.folder / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.link = f"127.0.0.1:{free_port()}"
        self._settings: dict[str, dict[str, Any]] = {
            "node": {"name": name, "cluster": "summit", "data": str(self.data)},
            "api": {"port": free_port(), "admin_key_hash": hash_of(OPERATOR)},
            "link": {"listen": self.link},
            "log": {"file": str(self.folder / "node.log")},
        }
        self.set(settings)
        self.process: subprocess.Popen[bytes] | None = None
        self.trust: ssl.SSLContext | bool = True

    def set(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Change the configuration, for the next start."""
        for table, values in settings.items():
            self._settings.setdefault(table, {}).update(values)
        lines = []
        for table, values in self._settings.items():
            lines.append(f"[{table}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        (self.folder / "node.toml").write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        scheme = "https" if "tls_certificate" in self._settings["api"] else "http"
        return f"{scheme}://127.0.0.1:{self._settings['api']['port']}"

    def spawn(self) -> None:
        """Start the process and do not wait for it."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KONKORDAT_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "konkordat.node", str(self.folder / "node.toml")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )

    def start(self) -> float:
        """Start the process; returns after how many seconds it said that it is ready."""
        began = time.monotonic()
        self.spawn()
        self.wait_ready()
        return time.monotonic() - began

    def wait_ready(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(START_S), f"{self.name} says nothing: {self.log()[-2000:]}"
        line = self.process.stdout.readline().decode()
        assert line.startswith(f"ready {self.name} "), f"{line!r}: {self.end()}"

    def end(self, patience_s: float = START_S) -> tuple[int, str]:
        """Wait for the process to end; its exit code and what it said on stderr."""
        assert self.process is not None
        _, stderr = self.process.communicate(timeout=patience_s)
        code = self.process.returncode
        self.process = None
        return code, stderr.decode()

    def stop(self) -> tuple[int, str]:
        """Ask it to stop, and wait."""
        self.send(signal.SIGTERM)
        return self.end()

    def kill(self) -> None:
        """No chance to say anything."""
        self.send(signal.SIGKILL)
        self.end()

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        path = self.folder / "node.log"
        return path.read_text() if path.exists() else ""

    # Through the API -------------------------------------------------------------------------------

    def get(self, path: str, key: str = OPERATOR) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers=bearer(key), timeout=30, verify=self.trust)

    def post(self, path: str, body: Any, key: str) -> httpx.Response:
        url = f"{self.url}{path}"
        return httpx.post(url, json=body, headers=bearer(key), timeout=30, verify=self.trust)

    def cluster(self) -> Any:
        """What `/v2/cluster` tells, or nothing while the node is not there."""
        try:
            return self.get("/v2/cluster").json()
        except httpx.HTTPError:
            return None

    def peers(self) -> set[str]:
        """Names of the peers that are alive."""
        told = self.cluster()
        return (
            {n["name"] for n in told["nodes"] if n["alive"] and not n["is_self"]} if told else set()
        )

    def make_key(self, tenant: str = "acme") -> str:
        wish = {"name": "tests", "tenant": tenant, "scopes": ["read", "write"]}
        made = self.post("/v2/keys", wish, OPERATOR)
        assert made.status_code == 201, made.text
        return str(made.json()["key"])


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def converged(*nodes: NodeProcess) -> bool:
    """True when all nodes have the same frontier and digest, by their own word."""
    states = []
    for node in nodes:
        told = node.cluster()
        if not told:
            return False
        own = next(n for n in told["nodes"] if n["is_self"])
        states.append((own["frontier"], own["digest"], own["records"]))
    return all(state == states[0] for state in states)


@contextmanager
def cluster_of(
    folder: Path, *names: str, **settings: Mapping[str, Any]
) -> Iterator[list[NodeProcess]]:
    """Running nodes that know the first one's address; ended whatever happens."""
    nodes = [NodeProcess(folder, name, settings) for name in names]
    try:
        for node in nodes:
            if node is not nodes[0]:
                node.set({"link": {"connect": [nodes[0].link]}})
            node.spawn()
        for node in nodes:
            node.wait_ready()
        yield nodes
    finally:
        for node in nodes:
            if node.running:
                node.kill()
