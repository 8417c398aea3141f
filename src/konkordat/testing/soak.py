"""The long campaign: everything of the proof plan, in proportion to the time there is, and one page about it.

    python -m konkordat.testing.soak --minutes 30

Short and long seeds, merge laws, the model of seats, crash images, failing disks, flipped bits, planted bugs and real
processes share the cores. It tells how far it is while it runs, ends with the report as text and (with --json FILE, or
on the last line with --json -) as JSON, and with exit status 1 if any judge found anything, a planted bug was not
found, or something that must be met was never met.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Final

from konkordat.testing.soak_page import Page
from konkordat.testing.soak_parts import (
    LAWS,
    Broken,
    Hunt,
    Laws,
    Outcome,
    Piece,
    Seed,
    done,
    pieces,
    quotas,
    seeds,
)

FIRST_SEED: Final = 1_000_000  # apart from the seeds of the tests, so that each run adds something
SECONDS_PER_MINUTE: Final = 60
TELL_EVERY_S: Final = 15.0
# Of the time spent so far, how much may have gone to everything but seeds before a seed is next.
SHARE_OF_PIECES: Final = 0.5
# Pieces begin only while there is this much of the time left: the longest take about a minute.
LAST_PIECE_SHARE: Final = 0.12


class Soak:
    """Keeps every core busy until the time is up."""

    def __init__(self, page: Page, todo: list[Piece], more: Iterator[Seed]) -> None:
        self.page = page
        self._todo = todo[::-1]
        self._seeds = more
        self._began_s = self._told_s = time.monotonic()
        self._ends_s = self._began_s + SECONDS_PER_MINUTE * page.minutes
        self._pieces_s = self._seeds_s = 0.0  # spent
        self._running: dict[Future[tuple[Outcome, float]], Piece] = {}

    def run(self) -> None:
        with ProcessPoolExecutor(self.page.jobs) as pool:
            while True:
                while len(self._running) < self.page.jobs and (piece := self._next()) is not None:
                    self._running[pool.submit(done, piece)] = piece
                if not self._running:
                    break
                finished, _ = wait(self._running, TELL_EVERY_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._take(future)
                self._tell()

    def _next(self) -> Piece | None:
        """A piece of the plan, or a seed: whichever had less than its share of the time."""
        left_s = self._ends_s - time.monotonic()
        spent = self._pieces_s + self._seeds_s
        if left_s <= LAST_PIECE_SHARE * (self._ends_s - self._began_s):
            self.page.left_over += sum(not isinstance(piece, Hunt) for piece in self._todo)
            # Planted bugs are looked for however short the time is: without them nothing was shown.
            self._todo = [piece for piece in self._todo if isinstance(piece, Hunt)]
            if self._todo:
                return self._todo.pop()
        elif self._todo and self._pieces_s <= SHARE_OF_PIECES * spent:
            return self._todo.pop()
        if left_s <= 0:
            return None
        return next(self._seeds)

    def _take(self, future: Future[tuple[Outcome, float]]) -> None:
        piece = self._running.pop(future)
        error = future.exception()
        if error is not None:
            self.page.add(Broken(str(piece), repr(error)))
            return
        outcome, seconds = future.result()
        if isinstance(piece, Seed):
            self._seeds_s += seconds
        else:
            self._pieces_s += seconds
        failures = len(self.page.failures)
        self.page.add(outcome)
        for what in self.page.failures[failures:]:
            _say(what)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told_s < TELL_EVERY_S:
            return
        self._told_s = now
        page, parts = self.page, ", ".join(f"{n} {part}" for part, n in self.page.done.items() if n)
        minutes = (now - self._began_s) / SECONDS_PER_MINUTE
        state = f"{len(page.failures)} failures" if page.failures else "nothing found"
        if page.planted:
            parts = f"{sum(map(bool, page.planted.values()))} planted bugs, {parts}"
        to_do = len(self._todo)
        _say(f"{minutes:5.1f} of {page.minutes:g} min: {parts}; {to_do} pieces to do, {state}")


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m konkordat.testing.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-planted", action="store_true", help="leave the planted bugs out")
    parser.add_argument(
        "--json", default="", help="where to write the report as JSON; - for the last line"
    )
    chosen = parser.parse_args(arguments)
    quota = quotas(chosen.minutes)
    page = Page(chosen.minutes, chosen.jobs, quota)
    todo = pieces(chosen.first_seed, quota, planted=not chosen.no_planted)
    if chosen.no_planted:
        page.skip("planted bugs: not wanted")
    if not LAWS.exists():
        page.skip(f"merge laws: no {LAWS} here")
        todo = [piece for piece in todo if not isinstance(piece, Laws)]
    Soak(page, todo, seeds(chosen.first_seed, quota)).run()
    print(page.text())
    if chosen.json == "-":
        print(page.json())
    elif chosen.json:
        Path(chosen.json).write_text(page.json() + "\n", encoding="utf-8")
    return 1 if page.red else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
