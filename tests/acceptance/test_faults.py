"""What goes wrong with a node as its operator meets it: one line, an exit code, and nothing lost."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from konkordat.bench.cluster import generate
from konkordat.bench.load import Job, Target
from konkordat.cli.cluster import LocalCluster
from konkordat.client import Client
from support.terminal import COMMAND, access, cluster, environment, run

SERVE = ("serve", "--api", "127.0.0.1:0", "--listen", "tcp/127.0.0.1:0")


def test_a_port_in_use_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("serve", "--name", "zurich", "--data", str(tmp_path / "d"), "--api", address)
    assert result.code == 69
    assert address in _last(result.err)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--name", "Zürich", "--data", "d"], "node.name"),
        (["--name", "zurich"], "node.data"),
        (["--name", "zurich", "--data", "d", "--connect", "tcp/geneva.example:7447"], "plain text"),
        (["--name", "zurich", "--data", "d", "--api", "0.0.0.0:8080"], "plain HTTP"),
        (["--name", "zurich", "--data", "d", "--set", "link.lease=3"], "link"),
        (["--name", "zurich", "--data", "d", "--set", "link.lease_ms=3"], "link.lease_ms"),
        (["--config", "/nowhere/konkordat.toml"], "/nowhere/konkordat.toml"),
    ],
)
def test_a_wrong_configuration_is_named_by_its_key(flags: list[str], says: str) -> None:
    result = run("serve", *flags)
    assert result.code == 78
    assert says in _last(result.err)
    assert "Traceback" not in result.err


def test_a_configuration_is_checked_and_shown_without_its_secret(tmp_path: Path) -> None:
    file = tmp_path / "konkordat.toml"
    secret = "ab" * 32
    file.write_text(
        '[node]\nname = "zurich"\ndata = "data"\n[api]\nadmin_key_hash = "HASH"\n'.replace(
            "HASH", secret
        )
    )
    result = run("serve", "--config", str(file), "--check")
    assert result.code == 0
    assert json.loads(result.out)["node"]["data"] == str(tmp_path / "data")
    assert secret not in result.out
    assert not (tmp_path / "data").exists()


def test_a_data_directory_in_use_or_of_another_node_is_refused(tmp_path: Path) -> None:
    with cluster(tmp_path, "zurich") as nodes:
        data = str(nodes.nodes["zurich"].spec.data)
        in_use = run(*SERVE, "--name", "zurich", "--data", data, "--cluster", "other")
        assert in_use.code == 73
        assert "in use" in _last(in_use.err)
        asyncio.run(nodes.stop())
        foreign = run(*SERVE, "--name", "geneva", "--data", data)
        assert foreign.code == 73
        assert "zurich" in _last(foreign.err)
        assert run(*SERVE, "--name", "zurich", "--data", data, "--check").code == 0


def test_a_name_that_another_node_has_is_refused(tmp_path: Path) -> None:
    with cluster(tmp_path, "zurich") as nodes:
        first = nodes.nodes["zurich"]
        result = run(
            *SERVE,
            *("--name", "zurich", "--data", str(tmp_path / "second")),
            *("--cluster", first.spec.cluster, "--connect", first.addresses.link),
        )
    assert result.code == 76
    assert "zurich" in _last(result.err)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_is_told_to_stop_stops_quietly(number: int, tmp_path: Path) -> None:
    node = subprocess.Popen(
        [*COMMAND, *SERVE, "--name", "zurich", "--data", str(tmp_path / "d")],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert node.stdout is not None
    ready = node.stdout.readline()
    node.send_signal(number)
    _, said = node.communicate(timeout=20)
    assert ready.startswith(b"ready zurich http://127.0.0.1:")
    assert node.returncode == 0
    assert b"Traceback" not in said
    assert not (tmp_path / "d" / "node.json").exists()


def test_a_full_disk_stops_the_node_visibly_and_loses_nothing(tmp_path: Path) -> None:
    """The limit on the size of files stands for the end of the disk: writes fail in the middle of a commit."""
    with cluster(tmp_path, "zurich") as nodes:
        node = nodes.nodes["zurich"]
        acknowledged: list[str] = []
        size = max(file.stat().st_size for file in node.spec.data.iterdir())
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (size + 400_000, size + 400_000))
        refused = _write_until_refused(nodes, acknowledged)
        assert node.exit_code(20.0) == 74
        assert acknowledged
        assert refused in {"store_failed", "stopping", "unreachable"}
        said = node.spec.log.read_text()
        assert "Traceback" not in said
        assert "durable" in _last(said)
        asyncio.run(nodes.restart("zurich"))
        with Client(nodes.urls["zurich"], key=nodes.key) as client:
            kept = {speaker["id"] for speaker in client.list("speakers", limit="200")}
    assert set(acknowledged) <= kept


def _write_until_refused(nodes: LocalCluster, acknowledged: list[str]) -> str:
    biography = {"en": "x" * 20_000}
    from konkordat.client import NodeUnreachable, ProblemError, RetryPolicy

    once = RetryPolicy(attempts_max=1)
    with Client(nodes.urls["zurich"], key=nodes.key, retry=once) as client:
        for number in range(1_000):
            try:
                made = client.create("speakers", {"name": f"S {number}", "biography": biography})
            except ProblemError as error:
                return error.code
            except NodeUnreachable:
                return "unreachable"
            acknowledged.append(made["id"])
    return "never"


@pytest.mark.row("S0-10")
@pytest.mark.row("S0-41")
def test_kill_9_during_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with cluster(tmp_path, "zurich", "geneva", "basel") as nodes:
        template = '{"op":"create","type":"speakers","data":{"name":"S %d"}}'
        job = Job(
            targets=[Target(url, nodes.key) for url in nodes.urls.values()],
            operations=[[template]] * 3,
            rate_per_s=150,
            seconds=5,
            warm_up_s=0,
            keep_numbers=True,
        )
        outcome = asyncio.run(_load_and_kill(nodes, job))
        assert outcome.unknown > 0, "the kill was not noticed"
        assert outcome.acknowledged > 200
        expected = {f"S {number}" for number in outcome.numbers}
        for name in nodes.names:
            env = access(nodes, name)
            with Client(env["KONKORDAT_URL"], key=nodes.key) as client:
                client.token = _everything(nodes)
                there = {speaker["name"] for speaker in client.list("speakers", limit="200")}
            assert expected <= there, f"lost at {name}"
            assert there <= {f"S {n}" for n in range(outcome.offered + 3)}, "nobody asked for it"
        trails = {run("audit", env=access(nodes, name)).out for name in nodes.names}
        assert len(trails) == 1


async def _load_and_kill(nodes: LocalCluster, job: Job) -> object:
    loading = asyncio.create_task(generate(job))
    await asyncio.sleep(2.0)
    nodes.nodes["geneva"].kill()
    await asyncio.sleep(0.5)
    await nodes.restart("geneva")
    return await loading


def _everything(nodes: LocalCluster) -> str:
    """A token of what all nodes have together: each waits for it before it answers."""
    with Client(nodes.urls["zurich"], key=nodes.key) as client:
        for url in nodes.urls.values():
            with Client(url, key=nodes.key) as other:
                other.page("speakers", limit="1")
                client.token = other.token
                client.page("speakers", limit="1")
        return client.token


def _last(text: str) -> str:
    """The last line: what the operator reads."""
    return text.strip().splitlines()[-1]
