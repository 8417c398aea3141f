"""Power cuts on the real SQLite store: whatever a disk makes of the writes before one, nothing acknowledged is lost.

PROOF: I2 (crash between fsync and acknowledgement, between log and state), I9 (the clock survives), I11; faults "kill
at any point" and "power loss with torn and reordered unsynced writes"; planted bug "ack before fsync".
"""

from __future__ import annotations

from pathlib import Path

import pytest

from konkordat.testing.crash.again import crash_again
from konkordat.testing.crash.campaign import record, run_campaign, scratch
from konkordat.testing.crash.moments import moments
from konkordat.testing.crash.run import FULL, NORMAL, Run, Settings
from konkordat.testing.crash.scenarios import SCENARIOS, Scenario, put
from konkordat.testing.crash.tape import DirectorySynced, Mark, Removed, Synced, Wrote

IMAGES = 2_000
SPILLING_WRITES = 2 * 2 * 12  # two a frame, and twice the pages that the scenario's cache holds
ALL_STEPS = 1  # images at least: the campaign does not leave out steps of named scenarios


def test_every_crash_leaves_a_sound_store_with_all_that_was_acknowledged() -> None:
    report = run_campaign(IMAGES, seed=1)
    assert report.complaints == []
    assert report.late == []
    assert report.images >= IMAGES
    assert set(report.scenarios) == {*(scenario.name for scenario in SCENARIOS), "anything"}
    # The campaign saw what it is for: every way of losing power, and all three ends that are allowed.
    assert set(report.hows) == {"kept", "lost", "torn", "shuffled"}
    assert report.ends.keys() >= {"nothing", "as acknowledged", "one further"}
    # Some crashed again while they recovered.
    assert report.recoveries > IMAGES // 200
    assert report.second_crashes > 10 * report.recoveries
    # To ask the operator must stay the rare exception that it is: one image in thousands.
    assert report.ends.get("said why", 0) <= IMAGES // 500


def test_a_store_that_syncs_too_late_is_found_by_a_second_crash() -> None:
    """What was acknowledged after a recovery is gone after the next crash: the second crash has teeth of its own."""
    scenario, found = SCENARIOS[1], []
    with scratch() as folder:
        *_, (_, platter) = moments(record(scenario, 1, folder).tape)
        for synchronous in (FULL, NORMAL):
            seconds = crash_again(platter.remains(), folder, 1, Settings(synchronous=synchronous))
            found.append([what for second in seconds for what in second.complaints])
    assert found[0] == []
    assert any("acknowledged commits are lost" in what for what in found[1])


def test_a_store_that_syncs_too_late_is_found_by_its_images_and_by_the_monitor() -> None:
    report = run_campaign(ALL_STEPS, seed=1, synchronous=NORMAL, scenarios=SCENARIOS[:2])
    assert report.unsound > 0
    assert any(
        "acknowledged commits are lost" in what for c in report.complaints for what in c.what
    )
    assert report.late, "the monitor of acknowledgements saw nothing"


def test_the_same_seed_makes_the_same_images() -> None:
    scenario = SCENARIOS[2]
    with scratch() as folder:
        first, second = (record(scenario, 7, folder) for _ in range(2))
    assert first.states == second.states
    assert [type(step) for step in first.tape.steps] == [type(step) for step in second.tape.steps]


def test_the_scenarios_do_what_they_are_named_for() -> None:
    with scratch() as folder:
        tapes = {s.name: record(s, 1, folder) for s in SCENARIOS}
    for name, (tape, states) in tapes.items():
        assert Mark("returned", len(states) - 1) in tape.steps, f"{name}: its last commit failed"
    checkpointed = tapes["commit with checkpoint"].tape.steps
    begins = [step.at for step in checkpointed if isinstance(step, Wrote)]
    assert begins.count(0) > 3, "the log of writes never started over"
    assert sum(isinstance(step, Removed) for step in tapes["restart"].tape.steps) >= 2
    large = tapes["large batch"].tape.steps
    between = large[large.index(Mark("begun", 2)) : large.index(Mark("returned", 2))]
    assert sum(isinstance(step, Wrote) for step in between) > SPILLING_WRITES


def test_names_of_files_are_durable_before_the_first_acknowledgement() -> None:
    with scratch() as folder:
        tape = record(SCENARIOS[0], 1, folder).tape
    first = tape.steps.index(Mark("returned", 0))
    assert any(isinstance(step, DirectorySynced) for step in tape.steps[:first])


def test_a_commit_costs_one_sync(tmp_path: Path) -> None:
    """The bound that makes a group commit worth while; more would be paid for by every writer."""
    with Run(tmp_path, 1, Settings()) as run:
        run.open()
        run.write(put(run, "a"))
        before = len(run.tape.steps)
        run.write(put(run, "b"), put(run, "c"))
        steps = run.tape.steps[before:]
    assert sum(isinstance(step, Synced) for step in steps) == 1


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_every_step_of_a_tape_is_a_moment(scenario: Scenario) -> None:
    with scratch() as folder:
        tape = record(scenario, 1, folder).tape
        assert [point.step for point, _platter in moments(tape)] == list(range(len(tape.steps)))
