"""The judge of a campaign whose seeds ran in several tests and processes.

Each chunk of seeds tells what it met as a property of its test. Those reach the one process that leads the run,
however many others there are. Here they are added up; a situation that no chunk met makes the run red.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

if TYPE_CHECKING:
    from konkordat.testing.campaign import Report

PROPERTY: Final = "campaign"  # of a test's report: a campaign's Report as JSON
FILE: Final = "tests/simulation/test_campaign.py"


class CampaignJudge:
    """A pytest plugin, for the process that leads the run."""

    def __init__(self) -> None:
        self._chunks: list[str] = []

    @property
    def total(self) -> Report:
        """All chunks together. What the cluster is made of is imported here: most runs have no chunk, and a unit test
        must not fail because of what it does not use."""
        from konkordat.testing.campaign import Report

        total = Report()
        for told in self._chunks:
            total.merge(msgspec.json.decode(told, type=Report))
        return total

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":  # the same properties come along with the teardown
            return
        self._chunks += [str(told) for name, told in report.user_properties if name == PROPERTY]

    def verdict(self) -> pytest.TestReport | None:
        """A failure if the campaign did not meet what its judges are there for. Violations have failed their chunks."""
        if not self._chunks or not (total := self.total).blind:
            return None
        missing = ", ".join(total.missing)
        return pytest.TestReport(
            f"{FILE}::the_whole_campaign",
            (FILE, None, "the_whole_campaign"),
            {},
            "failed",
            f"{total.page()}\n\nNo seed has met: {missing}",
            "call",
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        verdict = self.verdict()
        if verdict is not None:
            session.config.hook.pytest_runtest_logreport(report=verdict)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._chunks:
            terminalreporter.section("simulated clusters")
            terminalreporter.write_line(self.total.brief())
