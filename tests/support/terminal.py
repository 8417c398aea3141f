"""The command line as a person or a script meets it: real processes, their streams and exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konkordat.cli.cluster import LocalCluster

COMMAND = (sys.executable, "-m", "konkordat")


@dataclass(frozen=True)
class Result:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of stdout, which is one JSON object when `--json` was given."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def line(self) -> str:
        """The one line of an error. More lines, or a traceback, are a failure."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what a developer may have set for the program."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KONKORDAT_")}
    return kept | {"COLUMNS": "100", "NO_COLOR": "1"} | dict(extra or {})


def run(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_s: float = 60.0,
) -> Result:
    """Run a command to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(env),
        input=stdin,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def cluster(folder: Path, *names: str) -> Iterator[LocalCluster]:
    """Nodes of our own for as long as the block lasts."""
    nodes = LocalCluster(folder, names, settings={"drills.enabled": "true"})
    try:
        asyncio.run(nodes.start())
        yield nodes
    finally:
        nodes.kill()


def access(nodes: LocalCluster, name: str = "") -> dict[str, str]:
    """The environment in which commands reach a node with the tenant's key."""
    return {"KONKORDAT_URL": nodes.urls[name or nodes.names[0]], "KONKORDAT_KEY": nodes.key}
