"""Commands that look at a running cluster and its keys: status, watch, audit, key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from konkordat.cli.options import (
    TIMEOUT_S_DEFAULT,
    URLS_DEFAULT,
    AsJson,
    Authority,
    Key,
    Timeout,
    Urls,
    help_of,
)

PANEL: Final = "Look and operate"

keys = typer.Typer(
    name="key",
    help="Make, list and revoke API keys.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("status", help=help_of(status), rich_help_panel=PANEL)(status)
    app.command("watch", help=help_of(watch), rich_help_panel=PANEL)(watch)
    app.command("audit", help=help_of(audit), rich_help_panel=PANEL)(audit)
    keys.command("new-admin", help=help_of(new_admin))(new_admin)
    keys.command("create", help=help_of(create))(create)
    keys.command("list", help=help_of(list_keys))(list_keys)
    keys.command("revoke", help=help_of(revoke))(revoke)
    app.add_typer(keys, rich_help_panel=PANEL)


def status(
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    follow: Annotated[
        bool, typer.Option("--watch", "-w", help="Stay, and show what changes until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show every node of the cluster as one node sees it: what it has, what it lacks, whether it is well.

    Records: living ones. Frontier: batches it has, per origin. Lag: age of the oldest change that the asked node
    has and it lacks. Seats: venues and events it decides for; `konkordat seats` names them. Digest: equal digests mean
    equal content. The exit code is 1 if a node is not ready, lags, or differs.

    [bold]Examples[/]

      [dim]$[/] konkordat status
      [dim]$[/] konkordat status --watch --url https://zurich.example:8443
      [dim]$[/] konkordat status --json | jq '.nodes[] | select(.health != "ready")'
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.status import show_status

    return show_status(Connection(tuple(url), key, ca, timeout), follow, as_json)


def watch(
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            "-t",
            metavar="COLLECTION",
            help="Only these: sessions, holds, seats, … Repeatable.",
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="TOKEN",
            help="First what has changed since that consistency token.",
            show_default=False,
        ),
    ] = "",
    count: Annotated[
        int, typer.Option(metavar="N", min=0, help="End after so many changes; 0: never.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per change and line (NDJSON).")
    ] = False,
) -> int:
    """Show changes as they happen, from any node, until Ctrl-C; what became of claims, and who decides from now on.

    What asks for a place or seats is told again when that is decided: confirmed, waitlisted, or displaced and by what.
    A seat (who decides for a venue or event) is told when its holder is not heard, and when another has it. A
    connection that breaks is taken up where it stopped, at another node if several are given.

    [bold]Examples[/]

      [dim]$[/] konkordat watch
      [dim]$[/] konkordat watch --type sessions --type seats
      [dim]$[/] konkordat watch --type sessions --json | jq -r .data.title.de
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.watch import watch_changes

    connection = Connection(tuple(url), key, ca, timeout)
    return watch_changes(connection, tuple(types or ()), since, count, as_json)


def audit(
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to stdout."),
    ] = None,
    log: Annotated[
        bool,
        typer.Option(
            "--log",
            help="The log itself, each batch with its hash and bytes, that proves the trail. Operator's key only.",
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Check it instead: every hash, every chain, the order, nothing missing.",
        ),
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="FILE", help="With --verify: an export kept earlier, not a node's."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --verify: the result as one JSON object.")
    ] = False,
) -> int:
    """Write the audit trail (one JSON object per line), or verify it.

    Every node that has the same changes writes the same bytes. --verify computes the hash of every batch and follows
    the chain of each origin; with a tenant's key it can check the order only. Its exit code is 1 if anything is wrong.

    [bold]Examples[/]

      [dim]$[/] konkordat audit --output trail.ndjson
      [dim]$[/] konkordat audit --verify
      [dim]$[/] konkordat audit --log --output log.ndjson
      [dim]$[/] konkordat audit --verify --file log.ndjson
      [dim]$[/] konkordat audit | sha256sum         [dim]# the same at every node[/]
    """
    from konkordat.cli.audit import AuditOptions, run_audit
    from konkordat.cli.connection import Connection

    connection = Connection(tuple(url), key, ca, timeout)
    return run_audit(connection, AuditOptions(output, log, verify, file, as_json))


def new_admin(as_json: AsJson = False) -> int:
    """Make the operator's key. It is shown once; nodes are told its hash only.

    The hash goes into the configuration of every node (api.admin_key_hash) or into their environment. Nothing is sent
    anywhere, and nothing is kept.

    [bold]Example[/]

      [dim]$[/] konkordat key new-admin
    """
    from konkordat.cli.keys import make_admin_key

    return make_admin_key(as_json)


def create(
    tenant: Annotated[str, typer.Option(metavar="NAME", help="Whose data the key opens.")],
    name: Annotated[
        str, typer.Option(metavar="TEXT", help="What it is for; shown in lists.")
    ] = "command line",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE", help="read, write or admin; each includes the one before. Repeatable."
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Expires after so many days.")
    ] = None,
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Make a key for a tenant. It works at every node as soon as the change is there, and is shown once.

    [bold]Example[/]

      [dim]$[/] konkordat key create --tenant forum --name "ticket shop" --scope read --days 90
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.keys import KeyWish, create_key

    wish = KeyWish(tenant, name, tuple(scope or ("write",)), days)
    return create_key(Connection(tuple(url), key, ca, timeout), wish, as_json)


def list_keys(
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """List the keys: id, tenant, scopes, name, expiry. Never the keys themselves: nobody has them.

    [bold]Example[/]

      [dim]$[/] konkordat key list
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.keys import show_keys

    return show_keys(Connection(tuple(url), key, ca, timeout), as_json)


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `key list` shows it.")],
    url: Urls = URLS_DEFAULT,
    key: Key = "",
    ca: Authority = None,
    timeout: Timeout = TIMEOUT_S_DEFAULT,
    as_json: AsJson = False,
) -> int:
    """Revoke a key, for good. Each node refuses it as soon as the change is there.

    [bold]Example[/]

      [dim]$[/] konkordat key revoke 0f3k9q2m7x1c5v8b
    """
    from konkordat.cli.connection import Connection
    from konkordat.cli.keys import revoke_key

    return revoke_key(Connection(tuple(url), key, ca, timeout), key_id, as_json)
