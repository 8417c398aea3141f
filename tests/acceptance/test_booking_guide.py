"""docs/booking.md: its commands run as they are printed, and print what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from konkordat.client import Client
from support.source import ROOT
from support.terminal import access, cluster, environment

BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
END = "---end-of-block---"


def examples() -> list[tuple[str, str]]:
    """Shell blocks, each with the text that the block after it shows."""
    found: list[tuple[str, str]] = []
    for kind, body in BLOCK.findall((ROOT / "docs" / "booking.md").read_text(encoding="utf-8")):
        if kind == "sh":
            found.append((body, "…"))
        else:
            found[-1] = (found[-1][0], body)
    return found


def pattern(shown: str) -> str:
    """What is printed is what is shown; … stands for anything, alone on a line for any lines."""
    parts = [re.escape(part) for part in shown.strip().split("…")]
    return r"\s*" + ".*".join(parts) + r"\s*"


def test_the_commands_of_the_guide_run_and_print_what_it_shows(tmp_path: Path) -> None:
    blocks = examples()
    assert len(blocks) > 5
    script = f'konkordat() {{ {sys.executable} -m konkordat "$@"; }}\n'
    script += "".join(f"{body}\necho '{END}'\n" for body, _ in blocks)
    with cluster(tmp_path / "nodes", "zurich") as nodes:
        with Client(nodes.urls["zurich"], key=nodes.key) as client:
            zone = {"time_zone": "Europe/Zurich"}
            venue = client.venues.create({"name": {"de": "Kursaal"}, **zone})["id"]
            for name, seats in (("Saal", 200), ("Estrich", 40)):
                client.rooms.create({"venue": venue, "name": {"de": name}, "capacity": seats})
            client.booths.create({"venue": venue, "name": {"de": "A1"}})
            days = {"start_date": "2027-06-01", "end_date": "2027-06-03", **zone}
            client.events.create({"slug": "forum", "name": {"de": "Forum"}, **days})
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment(access(nodes)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    printed = done.stdout.split(END)
    assert len(printed) == len(blocks) + 1
    for (body, shown), output in zip(blocks, printed, strict=False):
        # A table is padded to its width, and ends are no matter of a guide.
        plain = "\n".join(line.rstrip() for line in output.splitlines() if line.strip())
        assert re.fullmatch(pattern(shown), plain, re.DOTALL), f"{body}\nprinted:\n{plain}"
