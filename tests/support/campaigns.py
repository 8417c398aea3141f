"""The judge of a campaign whose seeds ran in several tests and processes.

Each chunk of seeds tells what it met as a property of its test. Those reach the one process that leads the run,
however many others there are. Here they are added up; a situation that no chunk met makes the run red.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from konkordat.testing.campaign import Report

PROPERTY: Final = "campaign"  # of a test's report: a campaign's Report as JSON
FILE: Final = "tests/simulation/test_campaign.py"


class CampaignJudge:
    """A pytest plugin, for the process that leads the run."""

    def __init__(self) -> None:
        self.total = Report()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":  # the same properties come along with the teardown
            return
        for name, told in report.user_properties:
            if name == PROPERTY:
                self.total.merge(msgspec.json.decode(str(told), type=Report))

    def verdict(self) -> pytest.TestReport | None:
        """A failure if the campaign did not meet what its judges are there for. Violations have failed their chunks."""
        if not self.total.blind:
            return None
        missing = ", ".join(self.total.missing)
        return pytest.TestReport(
            f"{FILE}::the_whole_campaign",
            (FILE, None, "the_whole_campaign"),
            {},
            "failed",
            f"{self.total.page()}\n\nNo seed has met: {missing}",
            "call",
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        verdict = self.verdict()
        if verdict is not None:
            session.config.hook.pytest_runtest_logreport(report=verdict)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.total.seeds:
            terminalreporter.section("simulated clusters")
            terminalreporter.write_line(self.total.brief())
