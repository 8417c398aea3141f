"""`python -m konkordat.node CONFIG.toml`: a node without the command line's imports, for service managers and tests."""

from __future__ import annotations

import sys
from pathlib import Path

from konkordat.node.config import load_config
from konkordat.node.errors import ConfigError
from konkordat.node.run import run_node, told


def main() -> int:
    """The exit code."""
    if len(sys.argv) != 2:
        print("usage: python -m konkordat.node CONFIG.toml", file=sys.stderr)  # noqa: T201
        return ConfigError.exit_code
    try:
        config = load_config(Path(sys.argv[1]))
    except ConfigError as error:
        print(f"konkordat: {told(error)}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return run_node(config)


if __name__ == "__main__":
    sys.exit(main())
