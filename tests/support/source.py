"""Reads our own source: which files there are, what a module imports, what it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PACKAGE = "konkordat"


@dataclass(frozen=True)
class Module:
    """One Python file, parsed."""

    name: str  # dotted and without the package: `kernel.hlc`; the package itself is ``
    path: str  # for people
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)


@dataclass(frozen=True)
class Use:
    """A dotted name that a module imports or reaches, and the line where."""

    name: str
    line: int


def is_generated(path: Path) -> bool:
    """What protoc writes is judged by what it is generated from."""
    return path.stem.endswith("_pb2")


def own_modules() -> list[Module]:
    """Every module of the package that people wrote."""
    modules = []
    for path in sorted((SOURCE / PACKAGE).rglob("*.py")):
        if is_generated(path):
            continue
        parts = path.relative_to(SOURCE / PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(Module(name, str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")))
    return modules


def imports(module: Module) -> Iterator[Use]:
    """Every name imported, in full, wherever in the file: `from a.b import c` gives `a.b.c`.

    Imports inside functions and under TYPE_CHECKING count: they are knowledge all the same.
    """
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                yield from (Use(alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(names=names):
                base = _base(module, node)
                yield from (Use(f"{base}.{alias.name}", node.lineno) for alias in names)


def reached_names(module: Module) -> Iterator[Use]:
    """Every dotted name the code reaches, with import aliases undone; builtins are bare.

    `from datetime import datetime as d; d.now()` gives `datetime.datetime.now`.
    """
    known = _bindings(module)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            dotted = _dotted(node)
            if dotted:
                head, _, rest = dotted.partition(".")
                full = known.get(head, head)
                yield Use(f"{full}.{rest}" if rest else full, node.lineno)


def _base(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = [PACKAGE, *module.name.split(".")]
    if not module.path.endswith("__init__.py"):
        package = package[:-1]
    above = package[: len(package) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def _bindings(module: Module) -> dict[str, str]:
    """What each imported local name stands for."""
    known = {}
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    head = alias.name.partition(".")[0]
                    known[alias.asname or head] = alias.name if alias.asname else head
            case ast.ImportFrom(names=names):
                base = _base(module, node)
                for alias in names:
                    known[alias.asname or alias.name] = f"{base}.{alias.name}"
    return known


def _dotted(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            head = _dotted(value)
            return f"{head}.{attr}" if head else None
        case _:
            return None
