"""The documents do not promise what is not there: links lead somewhere, and the quick start runs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.source import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
QUICK_START_LINES_MAX = 10
DEFAULT_API_PORT = "8080"


def quick_starts() -> list[str]:
    """The shell blocks of the README's section "Quick start"."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Quick start\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"^```sh\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE) if section else []


def anchors(document: Path) -> set[str]:
    """The names under which a document's headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_of_ours_leads_there(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    for link in (link for link in links if "://" not in link):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{document.name} links to {link}"


def test_every_target_of_make_that_the_documents_name_exists() -> None:
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    code = "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    named = set(re.findall(r"(?m)^make ([a-z-]+)", code))
    assert named
    assert named <= targets


@pytest.mark.row("S0-44")
@pytest.mark.parametrize("script", quick_starts())
def test_the_quick_start_runs_as_it_is_printed(script: str, tmp_path: Path) -> None:
    lines = [line for line in script.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= QUICK_START_LINES_MAX
    with socket.socket() as probe, socket.socket() as other:
        probe.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, link = (str(s.getsockname()[1]) for s in (probe, other))
    script = script.replace(DEFAULT_API_PORT, port)
    # Another node may run on this machine: the link's port is a free one too.
    script = script.replace("konkordat serve", f"konkordat serve --listen tcp/127.0.0.1:{link}")
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    output = tmp_path / "output"
    with output.open("w") as sink:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that the node it starts can be ended with it
        )
    try:
        exit_code = process.wait(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):  # nothing was left running
            os.killpg(process.pid, signal.SIGTERM)
    assert exit_code == 0, output.read_text()
