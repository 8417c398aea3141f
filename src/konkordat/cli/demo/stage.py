"""What the audience sees: scenes in order, each claim checked before their eyes, the table of nodes below.

On a terminal the table lives at the bottom and the story scrolls above it. Elsewhere (a pipe, CI, `TERM=dumb`) there
are lines only, and the table is printed when a scene asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from msgspec import Struct
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from konkordat.cli.board import NodeLook, board, plain_lines

REFRESHES_PER_S: Final = 8  # smooth to the eye, and little work on two cores that five nodes want
_INDENT: Final = 3


class Check(Struct, frozen=True):
    """Something that was promised, and whether it held."""

    name: str  # stable, snake_case
    ok: bool
    detail: str


class Stage:
    """Used as a context manager around the whole story."""

    def __init__(
        self, console: Console, names: Sequence[str], looks: Callable[[], Sequence[NodeLook]]
    ) -> None:
        self._console = console
        self._names = names
        self._looks = looks
        self._progress: Progress | None = None
        self._scene = 0
        self.checks: list[Check] = []
        is_live = console.is_terminal and not console.is_dumb_terminal
        self._live = (
            Live(
                get_renderable=self._bottom,
                console=console,
                refresh_per_second=REFRESHES_PER_S,
                vertical_overflow="crop",
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if is_live
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _bottom(self) -> RenderableType:
        looks = self._looks()
        parts: list[RenderableType] = []
        if self._progress is not None:
            parts.append(_indented(self._progress))
        if looks:
            parts.append(board(looks, self._names, self._console.width))
        return Group(*parts)

    # ---- the story

    def title(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/]")

    def scene(self, text: str) -> None:
        """Begin the next scene."""
        self._scene += 1
        self._console.print(f"\n[bold cyan]{self._scene}[/]  [bold]{text}[/]")

    def say(self, text: str) -> None:
        """A line of the story, in rich's markup."""
        self._console.print(_indented(Text.from_markup(text)))

    def expect(self, name: str, ok: bool, detail: str) -> bool:
        """Check a promise: shown now, counted at the end."""
        self.checks.append(Check(name, ok, detail))
        mark = "[bold green]✓[/]" if ok else "[bold red]✗[/]"
        self._console.print(_indented(_marked(mark, detail)))
        return ok

    def words(self, words: Sequence[str]) -> None:
        """Short things side by side, as many as fit a line."""
        marked = [Text.from_markup(word) for word in words]
        self._console.print(_indented(Columns(marked, padding=(0, 3), column_first=False)))

    def table(self, rows: RenderableType) -> None:
        self._console.print(_indented(rows))

    def show_board(self) -> None:
        """Show the table of nodes where it is not always on view."""
        if self._live is None:
            for line in plain_lines(self._looks(), self._names):
                self._console.print(_indented(Text(line)))

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Bars for as long as the block lasts: call what you get with (what, done, total)."""
        if self._live is None:
            yield lambda _what, _done, _total: None
            return
        bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            console=self._console,
            auto_refresh=False,
        )
        tasks: dict[str, TaskID] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total, unit="sessions")
            bars.update(tasks[what], completed=done, total=total)

        self._progress = bars
        try:
            yield update
        finally:
            self._progress = None

    async def pause(self, seconds: float) -> None:
        """Give people time to look. Programs need none."""
        if self._live is not None:
            await asyncio.sleep(seconds)


def _indented(what: RenderableType) -> Padding:
    return Padding.indent(what, _INDENT)


def _marked(mark: str, detail: str) -> Table:
    """A mark with a text beside it that wraps under itself."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row(mark, Text.from_markup(detail))
    return grid
