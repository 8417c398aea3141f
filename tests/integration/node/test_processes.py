"""Whole nodes in their own processes: they find each other, agree, survive kill -9, and end with a reason."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from konkordat.node.errors import ExitCode
from support.certificates import Certify
from support.node import eventually
from support.processes import NodeProcess, bearer, cluster_of, converged

PATIENCE_S = 30.0


def speakers(count: int, prefix: str) -> Any:
    return {
        "operations": [
            {"op": "create", "type": "speakers", "data": {"name": f"{prefix} {n}"}}
            for n in range(count)
        ]
    }


def soon(what: Any) -> Any:
    return eventually(what, PATIENCE_S)


@pytest.mark.row("S0-2")
@pytest.mark.row("S0-29")
def test_five_nodes_that_all_write_end_up_with_the_same(tmp_path: Path) -> None:
    names = ("zurich", "geneva", "basel", "lugano", "bern")
    with cluster_of(tmp_path, *names) as nodes:
        soon(lambda: all(node.peers() == set(names) - {node.name} for node in nodes))
        key = nodes[0].make_key()
        soon(lambda: converged(*nodes))
        for node in nodes:
            answer = node.post("/v2/batch", speakers(50, node.name), key)
            assert answer.status_code == 200, answer.text
        soon(lambda: converged(*nodes) and nodes[4].cluster()["nodes"][0]["records"] == 252)
        # Each also says so of all the others, once their next heartbeats have come.
        soon(lambda: all(node.cluster()["converged"] for node in nodes))
        for node in nodes:
            told = node.cluster()
            assert told["digests_equal"]
            assert told["problems"] == []


@pytest.mark.row("S0-3")
@pytest.mark.row("S0-10")
def test_a_node_alone_reads_and_writes_and_replays_when_others_come(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich") as (zurich,):
        key = zurich.make_key()
        assert zurich.post("/v2/batch", speakers(20, "alone"), key).status_code == 200
        geneva = NodeProcess(tmp_path, "geneva", {"link": {"connect": [zurich.link]}})
        try:
            geneva.start()
            soon(lambda: converged(zurich, geneva))
            listed = geneva.get("/v2/speakers?limit=100", key).json()["data"]
            assert len(listed) == 20
        finally:
            if geneva.running:
                geneva.kill()


class Writer(threading.Thread):
    """Writes to one node without pause until told to stop; keeps the ids that were acknowledged."""

    def __init__(self, node: NodeProcess, key: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: set[str] = set()
        self.unknown = 0
        self._node, self._key = node, key
        self._enough = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._node.url, headers=bearer(self._key), timeout=30) as client:
            n = 0
            while not self._enough.is_set():
                n += 1
                try:
                    answer = client.post("/v2/speakers", json={"name": f"{self._node.name} {n}"})
                except httpx.HTTPError:
                    self.unknown += 1
                    self._enough.wait(0.05)
                    continue
                if answer.status_code == 201:
                    self.acknowledged.add(answer.json()["id"])

    def stop(self) -> None:
        self._enough.set()
        self.join(PATIENCE_S)


def ids(node: NodeProcess, key: str) -> set[str]:
    """All speakers of a node, page by page."""
    found: set[str] = set()
    cursor = ""
    while True:
        page = node.get(f"/v2/speakers?limit=200{cursor}", key).json()
        found |= {item["id"] for item in page["data"]}
        if not page["has_more"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.row("S0-41")
def test_a_node_killed_under_load_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich", "geneva", "basel") as nodes:
        zurich, geneva, basel = nodes
        key = zurich.make_key()
        soon(lambda: converged(*nodes))
        writers = [Writer(zurich, key), Writer(geneva, key)]
        for writer in writers:
            writer.start()
        for _ in range(3):
            before = len(writers[1].acknowledged)
            soon(lambda before=before: len(writers[1].acknowledged) >= before + 30)
            geneva.kill()
            soon(lambda: "geneva" not in zurich.peers())
            while_away = len(writers[0].acknowledged)
            soon(lambda n=while_away: len(writers[0].acknowledged) > n + 10)  # others go on
            geneva.start()
        for writer in writers:
            writer.stop()
        assert writers[1].unknown > 0, "no write was in flight at any kill"
        soon(lambda: converged(*nodes))
        everything = set().union(*(writer.acknowledged for writer in writers))
        for node in nodes:
            assert everything <= ids(node, key)
        soon(lambda: basel.cluster()["digests_equal"])


@pytest.mark.row("S0-41")
def test_a_stuck_peer_holds_up_nobody_else(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich", "geneva", "basel", link={"lease_ms": 60_000}) as nodes:
        zurich, geneva, basel = nodes
        key = zurich.make_key()
        soon(lambda: basel.peers() == {"zurich", "geneva"} and converged(*nodes))
        geneva.send(signal.SIGSTOP)  # its lease is long: it stays linked, and takes nothing
        for n in range(20):
            assert zurich.post("/v2/batch", speakers(100, f"b{n}"), key).status_code == 200
        soon(lambda: converged(zurich, basel))
        geneva.send(signal.SIGCONT)
        soon(lambda: converged(*nodes))


@pytest.mark.row("S0-33")
def test_one_change_can_be_followed_through_the_logs_of_all_nodes(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich", "geneva", log={"level": "debug"}) as (zurich, geneva):
        soon(lambda: zurich.peers() == {"geneva"})
        key = zurich.make_key()
        headers = bearer(key) | {"x-request-id": "follow-me-7"}
        url = f"{zurich.url}/v2/speakers"
        assert httpx.post(url, json={"name": "A"}, headers=headers, timeout=30).status_code == 201
        soon(lambda: "follow-me-7" in geneva.log())
        for node in (zurich, geneva):
            lines = [json.loads(line) for line in node.log().splitlines()]
            (line,) = [x for x in lines if "follow-me-7" in x.get("cause_ids", ())]
            assert line["event"] == "committed"
            assert line["batches"][0].startswith("zurich.")
        assert key not in zurich.log()


def test_a_stopped_machine_is_missed_within_its_lease_and_noticed_again(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich", "geneva", link={"lease_ms": 1_000}) as (zurich, geneva):
        soon(lambda: zurich.peers() == {"geneva"})
        geneva.send(signal.SIGSTOP)
        soon(lambda: zurich.peers() == set())
        key = zurich.make_key()
        assert zurich.post("/v2/batch", speakers(20, "meanwhile"), key).status_code == 200
        geneva.send(signal.SIGCONT)
        soon(lambda: converged(zurich, geneva))


def test_a_cut_line_and_its_mending_can_be_exercised(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich", "geneva", drills={"enabled": True}) as (zurich, geneva):
        key = zurich.make_key()
        soon(lambda: zurich.peers() == {"geneva"} and converged(zurich, geneva))
        geneva.send(signal.SIGUSR1)
        soon(lambda: zurich.peers() == set() and geneva.peers() == set())
        for node in (zurich, geneva):
            assert node.post("/v2/batch", speakers(5, node.name), key).status_code == 200
        assert not converged(zurich, geneva)
        geneva.send(signal.SIGUSR2)
        soon(lambda: converged(zurich, geneva))
        assert zurich.cluster()["nodes"][0]["records"] == 12


def test_a_told_stop_is_graceful_and_soon_and_the_peers_know_at_once(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich", "geneva") as (zurich, geneva):
        soon(lambda: zurich.peers() == {"geneva"})
        address = json.loads((geneva.data / "node.json").read_text())
        assert (address["api_url"], address["link"]) == (geneva.url, f"tcp/{geneva.link}")
        assert geneva.stop() == (0, "")
        soon(lambda: zurich.peers() == set())
        assert not (geneva.data / "node.json").exists()
        assert '"peer_left"' in zurich.log()


def test_a_stream_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich") as (zurich,):
        key = zurich.make_key()
        url = f"{zurich.url}/v2/stream/events"
        with httpx.stream("GET", url, headers=bearer(key), timeout=30) as stream:
            assert stream.status_code == 200
            began = time.monotonic()
            assert zurich.stop() == (0, "")
            assert time.monotonic() - began < PATIENCE_S / 3


@pytest.mark.row("S0-19")
def test_a_cluster_can_speak_tls_alone_inside_and_out(tmp_path: Path, certify: Certify) -> None:
    names = ("zurich", "geneva", "basel")
    nodes: list[NodeProcess] = []
    try:
        for name in names:
            tls = certify(name)
            node = NodeProcess(tmp_path, name, {"link": {"members": list(names)}})
            pems = {"tls_certificate": tls.certificate, "tls_key": tls.key}
            known = [f"tls/{nodes[0].link}"] if nodes else []
            node.set(
                {
                    "api": pems,
                    "link": {"listen": f"tls/{node.link}", "connect": known, "tls_ca": tls.ca}
                    | pems,
                }
            )
            node.trust = ssl.create_default_context(cafile=tls.ca)
            nodes.append(node)
            node.start()
        zurich, geneva, basel = nodes
        soon(lambda: basel.peers() == {"zurich", "geneva"})
        key = geneva.make_key()
        assert geneva.post("/v2/batch", speakers(10, "secret"), key).status_code == 200
        soon(lambda: converged(*nodes) and zurich.cluster()["nodes"][0]["records"] == 12)
        with pytest.raises(httpx.HTTPError):  # plain HTTP is not spoken at all
            httpx.get(f"http{zurich.url.removeprefix('https')}/livez", timeout=10)
    finally:
        for node in nodes:
            if node.running:
                node.kill()


# What keeps a node from running: one line, a code, and the cause in it ------------------------------


def refused(node: NodeProcess) -> tuple[int, str]:
    node.spawn()
    code, stderr = node.end()
    lines = [line for line in stderr.splitlines() if line]
    assert len(lines) == 1, stderr
    assert lines[0].startswith("konkordat: ")
    assert "Traceback" not in stderr
    return code, lines[0]


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        node = NodeProcess(tmp_path, "zurich", {"api": {"port": port}})
        code, line = refused(node)
        assert code == ExitCode.UNAVAILABLE
        assert f"127.0.0.1:{port}" in line
        assert not node.data.exists()  # nothing was written
        node = NodeProcess(tmp_path, "geneva", {"link": {"listen": f"127.0.0.1:{port}"}})
        code, line = refused(node)
        assert code == ExitCode.UNAVAILABLE
        assert f"tcp/127.0.0.1:{port}" in line


def test_a_data_directory_in_use_is_one_line(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich") as (zurich,):
        twin = NodeProcess(tmp_path / "twin", "zurich", {"node": {"data": str(zurich.data)}})
        code, line = refused(twin)
        assert code == ExitCode.DATA_DIR
        assert "in use" in line
        assert zurich.get("/readyz").status_code == 200


def test_another_nodes_data_directory_is_one_line(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich") as (zurich,):
        zurich.stop()
        geneva = NodeProcess(tmp_path, "geneva", {"node": {"data": str(zurich.data)}})
        code, line = refused(geneva)
        assert code == ExitCode.DATA_DIR
        assert "zurich" in line


def test_a_second_node_of_one_name_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich", "geneva") as (zurich, geneva):
        impostor = NodeProcess(
            tmp_path / "other", "zurich", {"link": {"connect": [geneva.link], "lease_ms": 500}}
        )
        code, line = refused(impostor)
        assert code == ExitCode.IDENTITY
        assert "zurich" in line
        assert zurich.get("/readyz").status_code == 200
        soon(lambda: zurich.peers() == {"geneva"} and geneva.peers() == {"zurich"})


def test_a_wrong_configuration_is_one_line(tmp_path: Path) -> None:
    code, line = refused(NodeProcess(tmp_path, "zurich", {"link": {"listne": "x"}}))
    assert code == ExitCode.CONFIG
    assert "link" in line
    assert "listne" in line


def test_a_full_disk_stops_the_node_visibly_and_nothing_acknowledged_is_lost(
    tmp_path: Path,
) -> None:
    with cluster_of(tmp_path, "zurich") as (zurich,):
        key = zurich.make_key()
        zurich.stop()
        # As if the disk were full: no file of this process may grow beyond this.
        limit = 4 << 20
        code = (
            "import resource, runpy, signal, sys;"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
            f"sys.argv = ['node', {str(zurich.folder / 'node.toml')!r}];"
            "runpy.run_module('konkordat.node', run_name='__main__')"
        )
        zurich.process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        zurich.wait_ready()
        acknowledged = 0
        status = 200
        while status == 200 and acknowledged < 100_000:
            try:
                answer = zurich.post("/v2/batch", speakers(200, f"b{acknowledged}"), key)
            except httpx.HTTPError:
                break
            status = answer.status_code
            if status == 200:
                results = answer.json()["results"]
                acknowledged += sum(1 for r in results if r["status"] == 201)
                if any(r["status"] == 503 for r in results):
                    break
        exit_code, stderr = zurich.end()
        assert exit_code == ExitCode.STORE_FAILED, stderr
        assert len(stderr.strip().splitlines()) == 1
        assert "Traceback" not in stderr
        assert acknowledged > 0
        zurich.start()
        assert zurich.cluster()["nodes"][0]["records"] >= acknowledged + 1
