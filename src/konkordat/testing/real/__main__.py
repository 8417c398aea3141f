"""Kill, stop and cut off real nodes under load, then judge.

    python -m konkordat.testing.real --seed 1 --kills 20

ends with one line of figures, or with what the judges found and exit status 1. The faults and operations are drawn from
the seed; their timing is the machine's, so a seed is not replayed event by event here. Where the machine allows it,
nodes live in network namespaces, and packets are dropped between them; else they are on loopback, and cut themselves
off when told to.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from konkordat.testing.options import NODES
from konkordat.testing.real.campaign import Campaign, Report
from konkordat.testing.real.lines import Lines, Loopback, Namespaces, go_inside, is_inside, missing
from konkordat.testing.real.nodes import PROGRAM, free_ports

MODULE: Final = "konkordat.testing.real"
FAULTY: Final = "konkordat.testing.real.faulty"


def main(arguments: Sequence[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=5, choices=(3, 4, 5))
    parser.add_argument("--lines", choices=("any", "namespaces", "loopback"), default="any")
    parser.add_argument(
        "--planted", default="", help="run nodes with this bug of testing/real/faulty.py"
    )
    parser.add_argument("--json", action="store_true", help="the report as one line of JSON")
    chosen = parser.parse_args(arguments)
    why_not = "" if chosen.lines == "loopback" or is_inside() else missing()
    if chosen.lines != "loopback" and not is_inside() and not why_not:
        return go_inside(MODULE, arguments)
    if chosen.lines == "namespaces" and why_not:
        parser.error(f"no network namespaces: {why_not}")
    with tempfile.TemporaryDirectory(prefix="konkordat-") as folder:
        lines = _lines(Path(folder), chosen.nodes)
        program = (FAULTY, chosen.planted) if chosen.planted else PROGRAM
        with closing(lines):
            report = Campaign(Path(folder), chosen.seed, lines, chosen.nodes, program).run(
                chosen.kills
            )
    if not lines.can_cut:
        report.skipped.append(f"cuts between real nodes: {why_not or 'loopback was asked for'}")
    _tell(report, as_json=chosen.json)
    return 1 if report.violations else 0


def _lines(folder: Path, nodes: int) -> Lines:
    if is_inside():
        return Namespaces(folder, NODES[:nodes])
    ports = free_ports(2 * nodes)
    return Loopback(list(zip(ports[::2], ports[1::2], strict=True)))


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(report).decode())
        return
    for violation in report.violations:
        print(f"VIOLATED {violation.checker}: {violation.what}")
    for what in report.skipped:
        print(f"SKIPPED {what}")
    print(report.line())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
