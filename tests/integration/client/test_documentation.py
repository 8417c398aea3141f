"""docs/client.md runs as it is printed, and every public name of the client says what it is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import konkordat.client
from integration.client.serving import Served
from konkordat.schedule.sample import sample_programme
from support.source import ROOT

QUICK_START_LINES_MAX = 10
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.row("S0-44")
def test_the_page_runs_from_top_to_bottom(
    served: Served, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("programme.xml").write_bytes(sample_programme())
    names: dict[str, Any] = {"KEY": key}
    assert len(BLOCKS) >= 6
    for block in BLOCKS:
        code = block.replace("http://127.0.0.1:8080", served.urls["zurich"])
        exec(code.replace("http://127.0.0.1:8081", served.urls["geneva"]), names)
    assert names["calendar"].startswith(b"BEGIN:VCALENDAR")


@pytest.mark.row("S0-44")
def test_the_quick_start_is_short() -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) <= QUICK_START_LINES_MAX


@pytest.mark.row("S0-44")
def test_every_public_name_of_the_client_has_a_docstring() -> None:
    silent = []
    for name in konkordat.client.__all__:
        public = getattr(konkordat.client, name)
        if inspect.isclass(public):
            members = {m: v for m, v in vars(public).items() if not m.startswith("_")}
            silent += [f"{name}.{m}" for m, v in members.items() if _silent(v)]
        silent += [name] if _silent(public) else []
    assert silent == []


def _silent(value: Any) -> bool:
    documented = inspect.isclass(value) or inspect.isfunction(value) or isinstance(value, property)
    return documented and not inspect.getdoc(value)


@pytest.mark.row("S0-34")
def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def surface(kind: type) -> dict[str, list[str]]:
        found: dict[str, Callable[..., Any]] = {
            name: value
            for name, value in vars(kind).items()
            if not name.startswith("_") and inspect.isfunction(value)
        }
        return {name: list(inspect.signature(call).parameters) for name, call in found.items()}

    client = konkordat.client
    assert surface(client.Client) == surface(client.AsyncClient)
    assert surface(client.Records) == surface(client.AsyncRecords)
