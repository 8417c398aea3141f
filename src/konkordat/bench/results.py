"""What a measurement came to: figures, each beside what it should be where somebody said what that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text


class Figure(Struct, frozen=True):
    """One number."""

    name: str  # snake_case, for `--json`
    label: str
    value: float | int | str | bool
    unit: str = ""
    bound: str = ""  # what it should be, in words; "" = nobody said
    ok: bool | None = None  # whether it is; None without a bound


class Section(Struct, frozen=True):
    """One measurement."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    how: str  # one or two sentences: what was done


def below(name: str, label: str, value: float, bound: float, unit: str) -> Figure:
    """A figure that should be under a bound."""
    return Figure(name, label, value, unit, f"< {bound:g} {unit}", value < bound)


def at_least(name: str, label: str, value: float, bound: float, unit: str) -> Figure:
    """A figure that should reach a bound."""
    return Figure(name, label, value, unit, f"≥ {bound:g} {unit}", value >= bound)


def holds(name: str, label: str, value: bool) -> Figure:
    """Something that must be so."""
    return Figure(name, label, value, "", "yes", value)


def show(console: Console, section: Section) -> None:
    """A section for people."""
    console.print()
    console.print(_rendered(section))


def _rendered(section: Section) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("")
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("should be", no_wrap=True)
    table.add_column("", no_wrap=True)
    for figure in section.figures:
        mark = {True: Text("pass", "green"), False: Text("fail", "bold red"), None: Text("")}
        table.add_row(figure.label, _value(figure), figure.bound, mark[figure.ok])
    return Group(Text(section.title, "bold"), Text(section.how, "dim"), table)


def _value(figure: Figure) -> str:
    if isinstance(figure.value, bool):
        return "yes" if figure.value else "no"
    if isinstance(figure.value, float):
        digits = 0 if figure.value >= 1000 else 1 if figure.value >= 100 else 2
        return f"{figure.value:.{digits}f} {figure.unit}".rstrip()
    return f"{figure.value} {figure.unit}".rstrip()


def as_json(sections: Sequence[Section]) -> dict[str, Any]:
    """Sections by name, each a mapping of figures, with bounds and verdicts beside them."""
    return {
        section.name: {
            **{figure.name: _rounded(figure.value) for figure in section.figures},
            "bounds": {f.name: f.bound for f in section.figures if f.bound},
            "passed": {f.name: f.ok for f in section.figures if f.ok is not None},
        }
        for section in sections
    }


def _rounded(value: float | str) -> float | str:
    return round(value, 3) if isinstance(value, float) else value


def plain(value: Any) -> Any:
    """A struct as JSON-ready objects."""
    return msgspec.to_builtins(value)
