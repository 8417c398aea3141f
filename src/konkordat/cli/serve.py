"""`konkordat serve`: from flags and a file to a running node. The only command that imports one."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.output import say_error
from konkordat.node.config import NodeConfig, load_config
from konkordat.node.errors import NodeError

_PR_SET_PDEATHSIG: Final = 1
# Never shown, though only a hash: it is what a stolen configuration would be searched for.
_HIDDEN: Final = ("api", "admin_key_hash")


class ServeOptions(Struct, frozen=True, kw_only=True):
    """The flags as they were given."""

    config: Path | None
    name: str | None
    data: Path | None
    cluster: str | None
    api: str | None  # host:port
    listen: str | None
    connect: tuple[str, ...]
    settings: tuple[str, ...]  # key=value
    check: bool
    with_parent: int  # stop when this process, our parent, is gone; 0: go on without it


def serve_node(options: ServeOptions) -> int:
    """Run a node until it is stopped; its exit code comes back."""
    if options.with_parent:
        stop_with_parent(options.with_parent)
    from konkordat.node.run import run_node, told

    try:
        config = load_config(options.config, flags_of(options))
    except NodeError as error:
        say_error(told(error))
        return error.exit_code
    return _show(config) if options.check else run_node(config)


def flags_of(options: ServeOptions) -> dict[str, Any]:
    """The flags by dotted key, as the configuration names them. Raises CommandError for what is malformed."""
    flags: dict[str, Any] = {
        "node.name": options.name,
        "node.cluster": options.cluster,
        "node.data": None if options.data is None else str(options.data),
        "link.listen": options.listen,
        "link.connect": list(options.connect) or None,
    }
    if options.api is not None:
        flags["api.host"], flags["api.port"] = _host_port(options.api)
    given = {key: value for key, value in flags.items() if value is not None}
    return given | dict(_setting(text) for text in options.settings)


def _host_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal():
        message = f"--api {text!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080."
        raise CommandError(message, ExitCode.USAGE, "usage")
    return host.strip("[]"), int(port)


def _setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE; the value is read as JSON where it is some (numbers, true, lists), else as text."""
    key, equals, value = text.partition("=")
    if not equals or "." not in key:
        message = f"--set {text!r} is not TABLE.KEY=VALUE, such as link.lease_ms=3000."
        raise CommandError(message, ExitCode.USAGE, "usage")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _show(config: NodeConfig) -> int:
    """Print a checked configuration, every default filled in."""
    tables = msgspec.to_builtins(config)
    section, key = _HIDDEN
    if tables[section][key]:
        tables[section][key] = "(set)"
    sys.stdout.write(json.dumps(tables, indent=2, ensure_ascii=False) + "\n")
    return ExitCode.OK


def stop_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM when our parent dies, however it dies. Where there is no such call, do without."""
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before we asked
        raise SystemExit(ExitCode.OK)
