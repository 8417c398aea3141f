"""Structured logs: one line per event, JSON for machines or text for people, never a secret.

Every line carries the time, the level, the node, the event and its circumstances; what belongs to a request carries its
`cause_id`, which travels with the change and appears in the logs of every node it reaches.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

import structlog

from konkordat.node.errors import ConfigError

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
VALUE_CHARS_MAX: Final = 2_000  # a line is for reading; what is longer is in the database
# Names of fields whose values are never written, whoever passes them.
_SECRET: Final = re.compile(r"(?i)authorization|password|secret|token$|api_?key|admin_key|cookie")
# API keys (kk_tenant_id_secret) and bearer headers, in whatever text they turn up: the secret part goes.
_SECRET_VALUE: Final = re.compile(r"\b(kk_[\w-]{1,60}?_)[0-9a-z]{40,}|((?i:\bbearer)\s+)\S+")

Event = MutableMapping[str, Any]


class Log(Protocol):
    """One structured line. Safe to call from every thread."""

    def __call__(self, level: str, event: str, **fields: Any) -> None: ...

    def wants(self, level: str) -> bool:
        """Whether a line of this level would be written: what is dear to gather need not be."""


class NodeLog:
    """The log of one node."""

    def __init__(self, node: str, format: str, level: str, file: str = "") -> None:
        """Raises ConfigError if the file cannot be opened."""
        self._file = _open(file)
        self._level = LEVELS[level]
        renderer: Any = structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
        if format == "text":
            renderer = structlog.dev.ConsoleRenderer(colors=self._file.isatty(), pad_event_to=24)
        self._logger = structlog.wrap_logger(
            structlog.WriteLogger(self._file),
            processors=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.ExceptionRenderer(),
                without_secrets,
                renderer,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
            cache_logger_on_first_use=True,
        ).bind(node=node)

    def __call__(self, level: str, event: str, **fields: Any) -> None:
        getattr(self._logger, level)(event, **fields)

    def wants(self, level: str) -> bool:
        return LEVELS[level] >= self._level

    def close(self) -> None:
        """Stop writing to a file; stderr stays open."""
        if self._file is not sys.stderr:
            self._file.close()

    def take_over_logging(self) -> None:
        """Send what libraries log through `logging` the same way, warnings and worse."""
        root = logging.getLogger()
        root.handlers = [_Bridge(self)]
        root.setLevel(max(self._level, logging.WARNING))


class _Bridge(logging.Handler):
    """What libraries say, as our lines."""

    def __init__(self, log: NodeLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
        self._log(level if level in LEVELS else "error", "library_said", **fields)


def without_secrets(_logger: Any, _method: str, event: Event) -> Event:
    """A structlog processor: hide values by name and by form, and cut what is too long."""
    return {key: _safe(key, value) for key, value in event.items()}


def _safe(key: str, value: Any) -> Any:
    if _SECRET.search(key):
        return "[hidden]"
    if isinstance(value, dict):
        return {str(k): _safe(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_safe("", item) for item in value]
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if not isinstance(value, str):
        return value
    text = _SECRET_VALUE.sub(lambda m: f"{m[1] or m[2]}[hidden]", value)
    if len(text) <= VALUE_CHARS_MAX:
        return text
    # The end of a traceback says most, of anything else the beginning.
    return f"…{text[-VALUE_CHARS_MAX:]}" if key == "exception" else f"{text[:VALUE_CHARS_MAX]}…"


def _open(file: str) -> TextIO:
    if not file:
        return sys.stderr
    try:
        return Path(file).open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise ConfigError(f"log.file: {file} cannot be written: {error.strerror}") from None
