"""`python -m konkordat.testing.crash --images N --seed S`: the campaigns, one page about them, and a line of JSON."""

from __future__ import annotations

import argparse
import sys
from typing import Final

import msgspec

from konkordat.testing.crash.campaign import Progress, Report, run_campaign
from konkordat.testing.crash.faults import FaultReport, try_every_operation
from konkordat.testing.crash.flips import FlipReport, run_flips
from konkordat.testing.crash.run import FULL, NORMAL

IMAGES_DEFAULT: Final = 2_500
FLIPS_DEFAULT: Final = 500
TOLD_EVERY: Final = 100
_ENDS: Final = {
    "nothing": "before the first opening had returned",
    "as acknowledged": "exactly what had been acknowledged",
    "one further": "and a commit that nobody had been told of yet",
    "said why": "a damaged end of the log: the operator was asked",
    "unsound": "UNSOUND",
}


class Page(msgspec.Struct):
    """The three campaigns together."""

    crashes: Report
    faults: FaultReport
    flips: FlipReport

    @property
    def sound(self) -> bool:
        return self.crashes.sound and self.faults.sound and self.flips.sound


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for; 1 if anything was not sound."""
    parser = argparse.ArgumentParser(prog="python -m konkordat.testing.crash", description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES_DEFAULT, help="crash images, at least")
    parser.add_argument("--flips", type=int, default=FLIPS_DEFAULT, help="flipped bits")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--synchronous",
        choices=("full", "normal"),
        default="full",
        help="normal plants a bug: commits return before they are durable. It must be found",
    )
    parser.add_argument("--json", action="store_true", help="the line of JSON alone")
    given = parser.parse_args(arguments)
    told = _silent if given.json or not sys.stderr.isatty() else _progress
    synchronous = FULL if given.synchronous == "full" else NORMAL
    page = Page(
        run_campaign(given.images, given.seed, synchronous, told("crash images")),
        try_every_operation(given.seed, progress=told("lives with a failing disk")),
        run_flips(given.flips, given.seed, told("flipped bits")),
    )
    if not given.json:
        print("\n".join(_lines(page)))
    print(msgspec.json.encode(page).decode())
    return 0 if page.sound else 1


def _silent(_what: str) -> Progress:
    return lambda _done: None


def _progress(what: str) -> Progress:
    def tell(done: int) -> None:
        if done % TOLD_EVERY == 0:
            print(f"\r{done:>9,} {what}\033[K", end="", file=sys.stderr, flush=True)

    return tell


def _lines(page: Page) -> list[str]:
    crashes, faults, flips = page.crashes, page.faults, page.flips
    lines = [
        "",
        (
            f"Crashes    {crashes.images:,} images of {crashes.lives:,} lives, {crashes.commits:,} commits;"
            f" seed {crashes.seed}, {crashes.images_per_s:.0f} images/s"
        ),
        *_table(crashes.scenarios, "images"),
        *_table(crashes.hows, "images"),
        *_table({_ENDS[end]: number for end, number in crashes.ends.items()}, "found"),
        f"  {'crashed again while they recovered':<48}{crashes.second_crashes:>8,} images of {crashes.recoveries:,}",
        f"  {'acknowledged before the sync':<48}{len(crashes.late):>8,}",
        "",
        (
            f"Faults     {faults.lives:,} lives with a full or failing disk;"
            f" {faults.went_on:,} could go on, {faults.stopped:,} took no more commits"
        ),
        *_table(faults.hits, "failed"),
        *_table(faults.errors, "said"),
        "",
        f"Flips      {flips.flips:,} bits, {flips.silent:,} silent",
        *_table(flips.ends, "flips"),
        "",
    ]
    for complaint in crashes.complaints:
        where = (
            f"{complaint.scenario}, seed {complaint.seed}, step {complaint.step}, {complaint.how}"
        )
        lines += [f"UNSOUND  {where}: {what}" for what in complaint.what]
    lines += [f"LATE     {late}" for late in crashes.late]
    lines += [f"UNSOUND  {what}" for what in (*faults.complaints, *flips.complaints)]
    return [*lines, "Sound." if page.sound else "NOT SOUND."]


def _table(rows: dict[str, int], unit: str) -> list[str]:
    return [f"  {name:<48}{number:>8,} {unit}" for name, number in rows.items()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
