"""The table of nodes: what each one has, how far it is behind, and its digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from rich import box
from rich.table import Table
from rich.text import Text

from konkordat.cli.output import thousands

_STYLES: Final = {
    "ready": "green",
    "starting": "dim",
    "cut off": "yellow",
    "lost": "red",
    "stopped": "red",
    "killed": "red",
}
# Digests are told apart by colour as well: the same colour, the same digest.
_DIGEST_STYLES: Final = ("cyan", "magenta", "yellow", "blue", "red")

WIDTH_WHOLE: Final = 79


class NodeLook(Struct, frozen=True):
    """A node at one moment."""

    name: str
    sessions: int
    frontier: Mapping[str, int]  # node name -> its batches that are here
    lag_ms: float  # age of the oldest change that somebody else has and this node lacks
    digest: str
    state: str


def board(looks: Sequence[NodeLook], names: Sequence[str], width: int) -> Table:
    """The table. With five nodes it fits 80 columns; on fewer, sums and shorter digests do."""
    narrow = width < WIDTH_WHOLE
    table = Table(box=box.ROUNDED, border_style="dim", header_style="bold")
    table.add_column("node", min_width=6, no_wrap=True)
    table.add_column("sessions", justify="right", no_wrap=True)
    heading = "batches" if narrow else f"frontier {'·'.join(short_names(names))}"
    table.add_column(heading, justify="right", min_width=7 if narrow else 20, no_wrap=True)
    table.add_column("lag ms", justify="right", min_width=6, no_wrap=True)
    table.add_column("digest", min_width=6 if narrow else 12, no_wrap=True)
    table.add_column("", min_width=8, no_wrap=True)
    styles = _digest_styles(looks)
    for look in looks:
        table.add_row(
            Text(look.name, "bold"),
            thousands(look.sessions),
            str(sum(look.frontier.values())) if narrow else _frontier(look, names),
            Text(_lag(look.lag_ms), "yellow" if look.lag_ms >= 1 else "dim"),
            Text(look.digest[:6] if narrow else look.digest, styles.get(look.digest, "dim")),
            Text(look.state, _STYLES.get(look.state, "yellow")),
        )
    return table


def _frontier(look: NodeLook, names: Sequence[str]) -> str:
    return "·".join(str(look.frontier.get(name, 0)) for name in names)


def plain_lines(looks: Sequence[NodeLook], names: Sequence[str]) -> list[str]:
    """The same as lines of text, for logs and pipes."""
    heading = f"{'node':<10}{'sessions':>9}  {'frontier ' + '·'.join(short_names(names)):<24}"
    lines = [f"{heading}{'lag ms':>7}  {'digest':<13}"]
    for look in looks:
        frontier = _frontier(look, names)
        numbers = f"{look.name:<10}{look.sessions:>9}  {frontier:<24}{_lag(look.lag_ms):>7}"
        lines.append(f"{numbers}  {look.digest or '-':<13}{look.state}")
    return lines


def short_names(names: Sequence[str]) -> list[str]:
    """The shortest beginnings that tell the names apart: z, g, ba, l, be."""
    return [
        next(
            (
                name[:length]
                for length in range(1, len(name))
                if sum(other.startswith(name[:length]) for other in names) == 1
            ),
            name,
        )
        for name in names
    ]


def _lag(lag_ms: float) -> str:
    return thousands(lag_ms)


def _digest_styles(looks: Sequence[NodeLook]) -> dict[str, str]:
    distinct = list(dict.fromkeys(look.digest for look in looks if look.digest))
    if len(distinct) == 1:
        return {distinct[0]: "green"}
    return {
        digest: _DIGEST_STYLES[number % len(_DIGEST_STYLES)]
        for number, digest in enumerate(distinct)
    }
