"""Options that several commands share, declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

CONNECTION: Final = "Connection"
URL_DEFAULT: Final = "http://127.0.0.1:8080"

Urls = Annotated[
    list[str],
    typer.Option(
        "--url",
        "-u",
        metavar="URL",
        envvar="KONKORDAT_URL",
        help="A node's address. Give it several times and the next one is tried when one fails;"
        " in the variable, separate them by blanks.",
        rich_help_panel=CONNECTION,
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        metavar="KEY",
        envvar="KONKORDAT_KEY",
        show_default=False,
        help="An API key. Better in the variable: other users of a machine can read command lines.",
        rich_help_panel=CONNECTION,
    ),
]
Authority = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        metavar="FILE",
        envvar="KONKORDAT_CA",
        show_default=False,
        help="Certificates (PEM) to trust instead of the system's.",
        rich_help_panel=CONNECTION,
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.1,
        help="How long to try before giving up on a request.",
        rich_help_panel=CONNECTION,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON object as the last line of stdout, and nothing else there."
    ),
]

URLS_DEFAULT: Final = [URL_DEFAULT]
TIMEOUT_S_DEFAULT: Final = 20.0


def help_of(command: Callable[..., int]) -> str:
    """The docstring with each paragraph on one line, for the terminal to break it; examples as written."""
    lines = inspect.cleandoc(command.__doc__ or "").splitlines()
    text = ""
    for line in lines:
        goes_on = bool(line) and not line.startswith(" ") and bool(text) and not text.endswith("\n")
        text = f"{text} {line}" if goes_on else f"{text}{line}"
        if not line or line.startswith(" "):
            text += "\n" if line else "\n\n"
    return text
