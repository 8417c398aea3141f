"""Whole nodes in processes, whose disks are put back, lost and copied: told in words, mended by one command.

PROOF: faults "restore of an old backup" and "a node's disk lost"; I2.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from konkordat.cli.main import main
from konkordat.node.errors import ExitCode
from support.node import eventually
from support.processes import NodeProcess, cluster_of, converged

PATIENCE_S = 30.0


def soon(what: Any) -> Any:
    return eventually(what, PATIENCE_S)


def write(node: NodeProcess, key: str, *names: str) -> None:
    operations = [{"op": "create", "type": "speakers", "data": {"name": name}} for name in names]
    answer = node.post("/v2/batch", {"operations": operations}, key)
    assert answer.status_code == 200, answer.text


def names_at(node: NodeProcess, key: str) -> set[str]:
    return {row["name"] for row in node.get("/v2/speakers?limit=200", key).json()["data"]}


def origin_of(node: NodeProcess) -> str:
    return str(next(n for n in node.cluster()["nodes"] if n["is_self"])["origin"])


def test_an_old_copy_is_stopped_with_the_remedy_and_then_goes_on_as_a_new_incarnation(
    tmp_path: Path,
) -> None:
    with cluster_of(tmp_path, "zurich", "geneva") as (zurich, geneva):
        key = zurich.make_key()
        write(zurich, key, "before")
        soon(lambda: converged(zurich, geneva))
        old = origin_of(zurich)
        zurich.stop()
        shutil.copytree(zurich.data, tmp_path / "copy")
        zurich.start()
        write(zurich, key, "after")
        soon(lambda: converged(zurich, geneva))

        zurich.kill()
        shutil.rmtree(zurich.data)
        shutil.copytree(tmp_path / "copy", zurich.data)
        zurich.spawn()
        code, said = zurich.end()
        assert code == ExitCode.IDENTITY
        assert "konkordat restore --in-place" in said.splitlines()[-1]

        assert main(["restore", "--in-place", "--data", str(zurich.data)]) == 0
        zurich.start()
        write(zurich, key, "again")
        soon(lambda: converged(zurich, geneva))
        assert origin_of(zurich) != old
        assert names_at(geneva, key) == names_at(zurich, key) == {"before", "after", "again"}


def test_a_backup_of_a_running_node_brings_it_back_with_what_came_after(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich", "geneva") as (zurich, geneva):
        key = zurich.make_key()
        write(zurich, key, "before")
        file = tmp_path / "zurich.backup"
        assert main(["backup", "--data", str(zurich.data), "--to", str(file), "--json"]) == 0
        write(zurich, key, "after")
        soon(lambda: converged(zurich, geneva))

        zurich.kill()
        shutil.rmtree(zurich.data)
        assert main(["restore", "--from", str(file), "--data", str(zurich.data)]) == 0
        zurich.start()
        write(zurich, key, "again")
        soon(lambda: converged(zurich, geneva))
        assert names_at(geneva, key) == names_at(zurich, key) == {"before", "after", "again"}


def test_a_lost_disk_is_filled_again_by_the_others(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "zurich", "geneva") as (zurich, geneva):
        key = zurich.make_key()
        write(zurich, key, *[f"no. {n}" for n in range(50)])
        soon(lambda: converged(zurich, geneva))
        zurich.kill()
        shutil.rmtree(zurich.data)
        zurich.set({"link": {"connect": [geneva.link]}})
        zurich.start()
        soon(lambda: converged(zurich, geneva))
        assert len(names_at(zurich, key)) == 50
