"""The simulator itself: the same seed is the same run, and what it does to a cluster is what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from konkordat.kernel.digest import EMPTY
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, make_origin
from konkordat.store.port import StoreWriteError, WriteSet
from konkordat.testing.clock import START_MS, SkewedClock
from konkordat.testing.disk import MemoryDisk, PowerLost, Replays
from konkordat.testing.domain import Put, item
from konkordat.testing.files import SqliteDisk
from konkordat.testing.frames import CLUSTER, FRAMES_KEPT, Frames
from konkordat.testing.network import Network, damaged
from konkordat.testing.options import PROFILES, drawn
from konkordat.testing.randomness import Source
from konkordat.testing.sim import run
from konkordat.testing.timeline import Timeline
from konkordat.testing.workbench import Workbench
from konkordat.wire.codec import Codec
from konkordat.wire.errors import WireError
from konkordat.wire.messages import Heartbeat
from support.effort import share_of

ZURICH, BERN, BASEL = NodeName("zurich"), NodeName("bern"), NodeName("basel")
ORIGIN = make_origin(ZURICH, START_MS, bytes(5))


# One seed, one run ------------------------------------------------------------------------------


def hash_of(seed: int, hash_seed: str) -> str:
    """The last line of a run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "konkordat.testing.sim", "--seed", str(seed), "--quiet"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("seed", share_of([2, 9, 14]))
def test_the_same_seed_gives_the_same_log_in_every_process(seed: int) -> None:
    here = run(drawn(seed))
    assert {hash_of(seed, "0"), hash_of(seed, "4711"), here.hash} == {here.hash}


def test_another_seed_gives_another_log() -> None:
    assert run(drawn(2)).hash != run(drawn(3)).hash


def test_a_run_says_first_what_it_is_a_run_of(capsys: pytest.CaptureFixture[str]) -> None:
    from konkordat.testing.sim import main

    assert main(["--seed", "2", "--profile", "quiet", "--operations", "30"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seed=2 domain=")
    assert "profile=quiet" in lines[0]
    assert lines[1].split()[1:] == ["zurich", "starts", "as", lines[1].split()[-1]]
    assert len(lines[-1]) == 32


def test_a_source_depends_on_its_label_alone() -> None:
    one, other = Source("7"), Source("7")
    one.random()
    assert one.fork("network").random() == other.fork("network").random()
    assert one.fork("network").random() != other.fork("disk").random()


@pytest.mark.parametrize("profile", share_of(sorted(PROFILES)))  # the campaign runs all of them
def test_every_profile_ends_in_agreement(profile: str) -> None:
    result = run(drawn(5, profile=profile))
    assert result.violations == ()
    assert result.agreed_after_ms >= 0
    assert bool(result.faults) == (profile != "quiet")


# The timeline -------------------------------------------------------------------------------------


def test_what_is_planned_for_one_moment_happens_in_the_order_of_planning() -> None:
    timeline, done = Timeline(), list[str]()
    timeline.after(5, done.append, "b")
    timeline.after(5, done.append, "c")
    timeline.after(1, done.append, "a")
    timeline.run_for(10)
    assert done == ["a", "b", "c"]
    assert timeline.now_us - timeline.start_us == 10


def test_a_leap_takes_everything_that_is_planned_along() -> None:
    timeline, done = Timeline(), list[int]()
    timeline.after(5, lambda: done.append(timeline.now_us - timeline.start_us))
    timeline.leap(1_000)
    timeline.run_for(4)
    assert done == []
    timeline.run_for(1)
    assert done == [1_005]


# Clocks -----------------------------------------------------------------------------------------


def test_a_clock_set_back_goes_on_at_half_speed_within_a_process() -> None:
    clock = SkewedClock(1_000)
    clock.restart(START_MS)
    clock.offset_ms = 0
    assert clock.now_ms(START_MS) == START_MS + 1_000
    assert clock.now_ms(START_MS + 500) == START_MS + 1_250
    assert clock.now_ms(START_MS + 3_000) == START_MS + 3_000


def test_a_new_process_believes_its_machine() -> None:
    clock = SkewedClock(1_000)
    clock.restart(START_MS)
    clock.offset_ms = -1_000
    clock.restart(START_MS)
    assert clock.now_ms(START_MS) == START_MS - 1_000


# The network ------------------------------------------------------------------------------------


class Lines:
    """A network of three nodes and what arrives on it."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.arrived: list[tuple[str, str, bytes]] = []
        names = [ZURICH, BERN, BASEL]
        self.network = Network(
            names, self.timeline, Source("network"), lambda a, b, f: self.arrived.append((a, b, f))
        )

    def send(self, *frames: bytes) -> list[bytes]:
        """Send from Zurich to Bern, let time pass, and say what arrived."""
        for frame in frames:
            self.network.send(ZURICH, BERN, frame)
        self.timeline.run_for(20_000_000)
        arrived, self.arrived = self.arrived, []
        return [frame for _, _, frame in arrived]


NUMBERS = [bytes([n]) for n in range(50)]


def test_a_good_line_delivers_in_order() -> None:
    assert Lines().send(*NUMBERS) == NUMBERS


def test_a_lossy_line_loses_some() -> None:
    lines = Lines()
    lines.network.lines[ZURICH, BERN].conditions.loss = 0.5
    arrived = lines.send(*NUMBERS)
    assert 0 < len(arrived) < len(NUMBERS)
    assert lines.network.counts["lost"] == len(NUMBERS) - len(arrived)


def test_a_stuttering_line_repeats() -> None:
    lines = Lines()
    lines.network.lines[ZURICH, BERN].conditions.duplicate = 1.0
    assert sorted(lines.send(*NUMBERS)) == sorted(NUMBERS * 2)


def test_a_disorderly_line_reorders_and_loses_nothing() -> None:
    lines = Lines()
    lines.network.lines[ZURICH, BERN].conditions.reorder = True
    arrived = lines.send(*NUMBERS)
    assert arrived != NUMBERS
    assert sorted(arrived) == NUMBERS


def test_a_damaged_frame_differs_in_one_bit() -> None:
    frame = bytes(64)
    changed = damaged(frame, Source("x"))
    difference = int.from_bytes(frame, "big") ^ int.from_bytes(changed, "big")
    assert difference.bit_count() == 1


def test_a_cut_goes_one_way() -> None:
    lines = Lines()
    lines.network.cut(ZURICH, BERN)
    lines.network.send(BERN, ZURICH, b"back")
    assert lines.send(b"there") == [b"back"]
    assert not lines.network.connected(ZURICH, BERN)
    lines.network.mend(ZURICH, BERN)
    assert lines.send(b"there") == [b"there"]


def test_a_frame_of_a_closed_connection_may_arrive_later() -> None:
    lines = Lines()
    lines.network.lines[ZURICH, BERN].conditions.late = 1.0
    lines.network.send(ZURICH, BERN, b"early")
    lines.network.cut(ZURICH, BERN)
    lines.network.mend(ZURICH, BERN)
    assert sorted(lines.send(b"new")) == [b"early", b"new"]
    assert lines.network.counts["late"] == 1


def test_a_clogged_line_holds_and_then_frees() -> None:
    lines = Lines()
    lines.network.clog(ZURICH, BERN)
    assert lines.send(*NUMBERS) == []
    lines.network.free(ZURICH, BERN)
    assert lines.send() == NUMBERS


def test_a_narrow_line_takes_the_time_that_its_bytes_take() -> None:
    lines = Lines()
    lines.network.lines[ZURICH, BERN].conditions.bytes_per_s = 1_000
    lines.network.send(ZURICH, BERN, bytes(5_000))
    lines.timeline.run_for(4_900_000)
    assert lines.arrived == []
    lines.timeline.run_for(200_000)
    assert len(lines.arrived) == 1


# Disks ------------------------------------------------------------------------------------------


def commit(disk: MemoryDisk, *hlcs: int) -> None:
    store = disk.open()
    for hlc in hlcs:
        store.commit(WriteSet(Hlc(hlc)))


def clock_on(disk: MemoryDisk) -> int:
    return disk.open().book.hlc


def test_what_was_committed_survives_the_process_and_the_power() -> None:
    disk = MemoryDisk(ZURICH)
    commit(disk, 1, 2)
    assert disk.lose_power() == 0
    assert clock_on(disk) == 2


@pytest.mark.parametrize(
    ("how", "error", "left"),
    [
        ("before power", PowerLost, 1),
        ("after power", PowerLost, 2),
        ("before error", StoreWriteError, 1),
        ("after error", StoreWriteError, 2),
    ],
)
def test_a_commit_fails_before_or_after_it_is_durable(
    how: str, error: type[Exception], left: int
) -> None:
    disk = MemoryDisk(ZURICH)
    commit(disk, 1)
    disk.fail_next(how)
    with pytest.raises(error):
        commit(disk, 2)
    assert clock_on(disk) == left


def test_a_disk_that_lies_loses_what_it_had_not_synced() -> None:
    disk = MemoryDisk(ZURICH)
    disk.sync_every = 3
    commit(disk, 1, 2, 3, 4)
    assert disk.lose_power() == 1
    assert clock_on(disk) == 3


def test_a_backup_is_put_back_as_it_was() -> None:
    disk = MemoryDisk(ZURICH)
    commit(disk, 1, 2)
    backup = disk.backup()
    commit(disk, 3)
    disk.restore(backup)
    assert clock_on(disk) == 2


def test_a_new_incarnation_is_another_origin_with_the_same_content() -> None:
    disk = MemoryDisk(ZURICH)
    commit(disk, 1)
    before = disk.origin
    assert disk.mint(START_MS + 1) != before
    assert disk.open().book.origin == disk.origin
    assert clock_on(disk) == 1


def test_a_disk_belongs_to_the_latest_process() -> None:
    disk = MemoryDisk(ZURICH)
    old = disk.open()
    disk.open()
    with pytest.raises(StoreWriteError):
        old.commit(WriteSet(Hlc(1)))


def test_disks_with_one_log_share_its_replay_and_nothing_else() -> None:
    table = Workbench("zurich", "bern")
    table.write("zurich", Put(item("a"), {"title": "one"}))
    table.settle()
    disks = [node.disk for node in table.nodes.values()]
    replays: Replays = {}
    for disk in disks:
        assert isinstance(disk, MemoryDisk)
        disk.replays = replays
        assert disk.content().check() == []
    assert len(replays) == 1
    spoilt = disks[1]
    assert isinstance(spoilt, MemoryDisk)
    spoilt.data().records.popitem()
    assert [what.partition(" ")[0] for what in spoilt.content().check()] == ["record"]
    assert len(replays) == 1


# Frames -----------------------------------------------------------------------------------------


def beat(now_ms: int = START_MS) -> bytes:
    told = Heartbeat(ORIGIN, {ORIGIN: 3}, EMPTY, now_ms, Hlc(1), 1)
    return Codec(CLUSTER, ZURICH).encode(told)


def heard(frames: Frames, frame: bytes) -> Heartbeat:
    read = frames.read(frame)
    assert read is not None
    assert read[0] == ZURICH
    assert isinstance(read[1], Heartbeat)
    return read[1]


def test_what_several_nodes_heard_is_each_ones_own() -> None:
    frames = Frames()
    for told in [heard(frames, beat()) for _ in range(2)]:
        assert told.frontier == {ORIGIN: 3}
        assert isinstance(told.frontier, dict)
        told.frontier[ORIGIN] = 4
    assert heard(frames, beat()).frontier == {ORIGIN: 3}


def test_a_frame_that_was_damaged_is_refused_though_others_got_it_whole() -> None:
    frames = Frames()
    heard(frames, beat())
    for _ in range(2):
        with pytest.raises(WireError):
            frames.read(damaged(beat(), Source("damage")))
    assert heard(frames, beat()).now_ms == START_MS


def test_what_was_read_is_forgotten_in_time() -> None:
    frames = Frames()
    for number in range(2 * FRAMES_KEPT):
        assert heard(frames, beat(START_MS + number)).now_ms == START_MS + number
    assert len(frames._kept) <= FRAMES_KEPT


# Stores -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "domain"), [(4, "trial"), (6, "schedule"), (12, "trial")])
def test_the_sqlite_store_makes_no_difference(seed: int, domain: str, tmp_path: Path) -> None:
    """The same seed on memory and on SQLite is the same log, event by event: decisions, digests, pages and all."""
    options = drawn(seed, domain=domain, operations=120)
    disks: list[SqliteDisk] = []

    def on_files(node: NodeName) -> MemoryDisk:
        disks.append(SqliteDisk(node, tmp_path))
        return disks[-1]

    try:
        on_sqlite = run(options, disk=on_files)
    finally:
        for disk in disks:
            disk.close()
    assert on_sqlite.violations == ()
    assert on_sqlite.hash == run(options).hash
