"""Bits that flip in the files of a stopped node: each is noticed, or was in bytes that mean nothing.

PROOF: I11; fault "bit-rot in any stored object"; figure "bit flips, none silent".
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from konkordat.store.sqlite.backup import adopt, inspect
from konkordat.store.sqlite.wal import damage_of
from konkordat.testing.crash.campaign import record, scratch
from konkordat.testing.crash.flips import lay, run_flips
from konkordat.testing.crash.judge import Judge
from konkordat.testing.crash.platter import Files, Platter
from konkordat.testing.crash.run import REPLAY
from konkordat.testing.crash.scenarios import SCENARIOS
from konkordat.testing.crash.tape import LOG_NAME, State

FLIPS = 500


@pytest.fixture(scope="module")
def killed() -> tuple[Files, tuple[State, ...]]:
    """What a node that was killed after four commits leaves: a log of writes that was never copied back."""
    with scratch() as folder:
        tape, states = record(SCENARIOS[1], 1, folder)
    platter = Platter()
    for step in tape.steps:
        platter.play(step)
    return platter.image("lost", Random(0)), states


def flipped(files: Files, name: str, bit: int) -> Files:
    content = bytearray(files[name])
    content[bit // 8] ^= 1 << bit % 8
    return {**files, name: bytes(content)}


def test_no_flipped_bit_is_silent() -> None:
    report = run_flips(FLIPS, seed=1)
    assert report.complaints == []
    assert report.flips == FLIPS
    assert report.ends["refused at the start: damaged"]
    assert report.ends["found when it was read"]
    assert report.ends["harmless: bytes that mean nothing"]


def test_a_bit_of_the_log_of_writes_does_not_take_acknowledged_commits_with_it(
    killed: tuple[Files, tuple[State, ...]], tmp_path: Path
) -> None:
    """SQLite alone opens such a database, and the commits behind the flipped bit are gone without a word."""
    files, states = killed
    judge = Judge(tmp_path, 512)
    returned = len(states) - 1
    assert judge.judge(files, states, returned, returned).complaints == []
    random = Random(1)
    for _ in range(60):
        bit = random.randrange(8 * len(files[LOG_NAME]))
        complaints = judge.judge(
            flipped(files, LOG_NAME, bit), states, returned, returned
        ).complaints
        assert len(complaints) == 1
        assert "is damaged, and acknowledged commits with it" in complaints[0]


def test_a_damaged_log_is_named_by_check_and_given_up_by_adopting_the_directory(
    killed: tuple[Files, tuple[State, ...]], tmp_path: Path
) -> None:
    files, states = killed
    late = 8 * (len(files[LOG_NAME]) * 9 // 10)  # the first half makes the tables
    data = tmp_path / "zurich"
    lay(data, flipped(files, LOG_NAME, late))
    _facts, findings = inspect(data, REPLAY)
    assert any("write-ahead log" in finding for finding in findings)
    assert (data / LOG_NAME).stat().st_size == len(files[LOG_NAME]), "looking changed something"
    facts = adopt(data, REPLAY)
    assert 0 < facts.batches < len(states) - 1
    _facts, findings = inspect(data, REPLAY)
    assert findings == []


@pytest.mark.parametrize("cut", [1, 24, 31, 33, 4_000, 9_000])
def test_a_log_that_was_cut_short_is_what_a_loss_of_power_leaves(
    killed: tuple[Files, tuple[State, ...]], tmp_path: Path, cut: int
) -> None:
    files, _states = killed
    log = tmp_path / LOG_NAME
    log.write_bytes(files[LOG_NAME][:-cut])
    assert damage_of(log) == ""
    log.write_bytes(files[LOG_NAME][:cut])
    assert damage_of(log) == ""


def test_a_log_that_is_not_there_or_empty_is_sound(tmp_path: Path) -> None:
    assert damage_of(tmp_path / LOG_NAME) == ""
    (tmp_path / LOG_NAME).write_bytes(b"")
    assert damage_of(tmp_path / LOG_NAME) == ""
