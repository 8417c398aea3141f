"""Commands that start nodes on this machine: demo, serve, bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from konkordat.cli.options import AsJson, help_of

PANEL: Final = "Run"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("demo", help=help_of(demo), rich_help_panel=PANEL)(demo)
    app.command("serve", help=help_of(serve), rich_help_panel=PANEL)(serve)
    app.command("bench", help=help_of(bench), rich_help_panel=PANEL)(bench)


def demo(
    programme: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A schedule to import (frab XML, frab JSON, iCalendar) instead of the one that ships.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the nodes running, and say how to reach and stop them."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the nodes' files go. Must be empty. Default: a temporary directory.",
            show_default=False,
        ),
    ] = None,
    nodes: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Names of the nodes, separated by commas, three at least. The first one is given the programme;"
            " the others take turns in the scenes.",
        ),
    ] = "zurich,geneva,basel,lugano,bern",
    as_json: AsJson = False,
) -> int:
    """Five nodes keep one conference programme in agreement, before your eyes.

    Five processes with a database file each find each other by gossip from one address. A programme is imported at
    the first and arrives everywhere; a room is not booked twice; a node is cut off, both sides go on editing, it comes
    back, and all copies are equal. The same room is wanted in several regions at the same minute, and one gets it; the
    node that decides is killed while its rooms go on being booked, another takes over, and who decided when is shown.
    Everything is checked: the exit code is 1 if anything did not hold.

    [bold]Examples[/]

      [dim]$[/] konkordat demo
      [dim]$[/] konkordat demo --programme fosdem-2020.xml
      [dim]$[/] konkordat demo --keep            [dim]# leaves the nodes running[/]
      [dim]$[/] konkordat demo --json | tail -1  [dim]# figures for a script; the story goes to stderr[/]
    """
    from konkordat.cli.demo import DemoOptions, run_demo

    names = tuple(name.strip() for name in nodes.split(",") if name.strip())
    return run_demo(DemoOptions(programme, keep, data, names, as_json))


def serve(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="A TOML file. Flags win over it.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="This node's name, unique in the cluster.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where this node's data lives.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="NAME", help="Nodes of other clusters are not talked to.")
    ] = None,
    api: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Where clients reach this node. Port 0 takes a free one."
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Where other nodes reach this one: tcp/127.0.0.1:7447, tls/:7447.",
        ),
    ] = None,
    connect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="A node to begin with; the others are learned from it. Repeatable.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other key of the file: --set link.lease_ms=3000. Repeatable.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check the configuration and print it; start nothing.")
    ] = False,
    with_parent: Annotated[int, typer.Option("--with-parent", hidden=True)] = 0,
) -> int:
    r"""Run one node until it is told to stop (Ctrl-C or SIGTERM).

    It listens for clients (REST and WebSocket) and for other nodes, finds those by gossip, and answers alone when it
    finds none. Once it listens, DIR/node.json holds its addresses. Off this machine both need TLS.

    The hash of the operator's key comes from [cyan]KONKORDAT_ADMIN_KEY_HASH[/]: see [cyan]konkordat key new-admin[/].

    [bold]Examples[/]

      [dim]$[/] konkordat serve --name zurich --data /var/lib/konkordat
      [dim]$[/] konkordat serve --name geneva --data ./geneva --api 127.0.0.1:8081 \
            --listen tcp/127.0.0.1:7448 --connect tcp/127.0.0.1:7447
      [dim]$[/] konkordat serve --config /etc/konkordat.toml --check
    """
    from konkordat.cli.serve import ServeOptions, serve_node

    flags = ServeOptions(
        config=config,
        name=name,
        data=data,
        cluster=cluster,
        api=api,
        listen=listen,
        connect=tuple(connect or ()),
        settings=tuple(settings or ()),
        check=check,
        with_parent=with_parent,
    )
    return serve_node(flags)


def bench(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHAT]...",
            help="delay, throughput, restart, catchup, memory, start, store, size, claims, contention, takeover, "
            "deciding; or all. Default: delay throughput.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Smaller figures of the same kind, in about a tenth of the time."
        ),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the nodes' files go: this is the disk that is measured. Default: a temporary directory.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Measure five nodes on this machine, and print the figures beside what they should be.

    delay: commit at one node to visible at each other. throughput: single changes acknowledged per second in all,
    each synced to disk. restart: kill -9 during load, nothing acknowledged may be missing. catchup: a node with 100 000
    changes to fetch. memory: a node with 100 000 sessions. start: until ready. store: the store alone. size: bytes
    on the wire against JSON. claims: from booking to confirmed, at the holder, by majority and from elsewhere.
    contention: decisions per second on twenty rooms. takeover: holder killed, until its venues are decided again.
    deciding: one claim beside 10 and beside 10 000 others.

    Load comes at the times it was planned for, whether or not earlier requests were answered (open loop), and delays
    count from those times. Figures are reported, not asserted: the exit code is 0 if everything could be run.

    [bold]Examples[/]

      [dim]$[/] konkordat bench
      [dim]$[/] konkordat bench all --quick
      [dim]$[/] konkordat bench throughput --data /mnt/disk --json
    """
    from konkordat.bench.run import BenchOptions, run_bench

    return run_bench(BenchOptions(tuple(what or ()), quick, data, as_json))
