"""docs/api.md: its commands run as they are printed, and print what it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from konkordat.replica.messages import Tick
from support.api import OPERATOR_KEY, TrialGate
from support.api_server import listening
from support.source import ROOT

BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
END = "---end-of-block---"


def examples() -> list[tuple[str, list[Any]]]:
    """Shell blocks, each with the values that the block after it shows."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    found: list[tuple[str, list[Any]]] = []
    for kind, body in BLOCK.findall(text):
        if kind == "sh":
            found.append((body, []))
        elif "…" not in body:
            found[-1][1].extend(values(body))
    return found


def values(text: str) -> list[Any]:
    """JSON values, one after the other."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def holds(actual: Any, shown: Any) -> bool:
    """Whether an answer has all that the guide shows; it may have more."""
    if isinstance(shown, dict):
        return isinstance(actual, dict) and all(
            name in actual and holds(actual[name], part) for name, part in shown.items()
        )
    if isinstance(shown, list):
        return len(actual) == len(shown) and all(map(holds, actual, shown))
    return bool(actual == shown)


@pytest.mark.row("S0-34")
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_the_commands_of_the_guide_run_and_print_what_it_shows(tmp_path: Path) -> None:
    blocks = examples()
    assert len(blocks) > 10
    script = f"\necho; echo '{END}'\n".join(body for body, _ in blocks)
    gate = TrialGate("zurich", members=("zurich",))
    gate.handle([Tick()])
    with listening(gate) as port:
        variables = {"URL": f"http://127.0.0.1:{port}", "OPERATOR": OPERATOR_KEY.text}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **variables},
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    printed = done.stdout.split(END)
    assert len(printed) == len(blocks)
    for (body, shown), output in zip(blocks, printed, strict=True):
        actual = values(output) if shown else []
        assert len(actual) >= len(shown), f"{body}\n{output}"
        for one, expected in zip(actual, shown, strict=False):
            assert holds(one, expected), f"{body}\nprinted {one}\ninstead of {expected}"
