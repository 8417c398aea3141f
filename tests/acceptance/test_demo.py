"""`konkordat demo`: the main job, on the programme that ships and on real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from support.effort import share_of
from support.terminal import COMMAND, environment, run

PROMISED = {
    *("nodes", "sessions", "rooms", "slots_refused", "speaker_clashes"),
    *("converged", "digests_equal", "audit_equal", "visible_ms", "import_s"),
    *("decided_after_kill_s", "claims", "timeline"),
}


def survivors(folder: Path) -> list[int]:
    """Nodes whose files are in the folder and that are still running."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in part for part in process.info["cmdline"] or ())
        and "serve" in (process.info["cmdline"] or ())
    ]


@pytest.mark.row("S0-1")
@pytest.mark.row("S0-2")
@pytest.mark.row("S0-29")
@pytest.mark.row("S0-31")
def test_five_nodes_keep_the_shipped_programme_in_agreement(tmp_path: Path) -> None:
    result = run("demo", "--json", "--data", str(tmp_path / "nodes"))
    assert result.code == 0, result.err
    told = result.json
    assert len(result.out.splitlines()) == 1, "nothing but the object on stdout"
    assert told.keys() >= PROMISED
    assert told["visible_ms"].keys() == {"p50", "p99", "max"}
    assert told["nodes"] == 5
    assert told["sessions"] >= 190
    assert (told["slots_refused"], told["speaker_clashes"]) == (1, 2)
    assert told["converged"] is told["digests_equal"] is told["audit_equal"] is True
    assert all(check["ok"] for check in told["checks"])
    assert len(told["checks"]) >= 12
    assert told["timeline"][0]["holder"] == "zurich" != told["timeline"][1]["holder"]
    assert told["claims"] == {"confirmed": 6, "displaced": 2, "tentative": 0}
    assert "All 20 expectations met" in result.err
    assert survivors(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "sessions", "rooms", "refused", "clashes"),
    share_of(
        [
            ("fosdem-2020.xml", 872, 35, 0, 3),
            ("fosdem-2023.xml", 780, 35, 1, 0),
            ("31c3.xml", 138, 4, 0, 2),
        ]
    ),
)
def test_real_programmes_come_to_what_is_known_of_them(
    file: str,
    sessions: int,
    rooms: int,
    refused: int,
    clashes: int,
    programme_files: Mapping[str, Path],
) -> None:
    result = run("demo", "--json", "--programme", str(programme_files[file]))
    assert result.code == 0, result.err
    told = result.json
    assert (told["sessions"], told["rooms"]) == (sessions, rooms)
    assert (told["slots_refused"], told["speaker_clashes"]) == (refused, clashes)


def test_three_nodes_are_enough(tmp_path: Path) -> None:
    names = "zurich,bern,st-gallen"
    result = run("demo", "--json", "--nodes", names, "--data", str(tmp_path / "nodes"))
    assert result.code == 0, result.err
    assert result.json["nodes"] == 3


def test_kept_nodes_go_on_and_are_reached_as_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "nodes"
    result = run("demo", "--json", "--keep", "--nodes", "a,b,c", "--data", str(folder))
    try:
        assert result.code == 0, result.err
        told = result.json
        assert told["urls"].keys() == {"a", "b", "c"}
        assert "kill " in result.err
        assert told["key"] not in result.err, "a terminal's history is no place for a key"
        assert (folder / "env").stat().st_mode & 0o077 == 0
        env = {"KONKORDAT_URL": told["urls"]["b"], "KONKORDAT_KEY": told["key"]}
        assert run("status", env=env).code == 0
    finally:
        for pid in survivors(folder):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_however_the_demo_ends_no_node_is_left_behind(number: int, tmp_path: Path) -> None:
    folder = tmp_path / "nodes"
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--keep", "--data", str(folder)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _until(lambda: len(survivors(folder)) == 5)
    demo.send_signal(number)
    _, said = demo.communicate(timeout=20)
    _until(lambda: survivors(folder) == [])
    assert demo.returncode == 128 + number
    assert said == b""


def test_a_demo_that_is_killed_takes_its_nodes_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "nodes"
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--data", str(folder)], env=environment(), stdout=subprocess.DEVNULL
    )
    _until(lambda: len(survivors(folder)) == 5)
    demo.kill()
    demo.wait()
    _until(lambda: survivors(folder) == [])


def test_an_unmet_expectation_is_named_and_ends_with_an_error(tmp_path: Path) -> None:
    """A node dies in the middle: nothing can be as promised."""
    folder = tmp_path / "nodes"
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--data", str(folder)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _until(lambda: len(survivors(folder)) == 5)
    os.kill(survivors(folder)[-1], signal.SIGKILL)
    out, said = demo.communicate(timeout=60)
    assert demo.returncode in (1, 6)
    assert "unmet" in out.decode()
    assert b"Traceback" not in out + said
    assert survivors(folder) == []


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    result = run("demo", "--data", str(tmp_path))
    assert result.code == 2
    assert "not empty" in _error(result.err)
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_a_programme_too_small_for_the_story_is_said(tmp_path: Path) -> None:
    file = tmp_path / "small.xml"
    file.write_text(
        "<schedule><conference><acronym>x</acronym><title>X</title><start>2027-06-01</start><end>2027-06-01</end>"
        '</conference><day index="1" date="2027-06-01"><room name="A"><event id="1" guid="a">'
        "<date>2027-06-01T10:00:00+02:00</date><start>10:00</start><duration>00:30</duration><room>A</room>"
        "<title>T</title></event></room></day></schedule>"
    )
    result = run("demo", "--programme", str(file))
    assert result.code == 5
    assert "needs 4 sessions" in _error(result.err)


def _error(text: str) -> str:
    return text.strip().splitlines()[-1]


def _until(holds: object) -> None:
    deadline = time.monotonic() + 30
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)
