"""The table of problems: complete, documented, and the only source of codes."""

from __future__ import annotations

import re

import pytest

from konkordat.api.errors_page import page
from konkordat.api.problems import TABLE, Problem
from support.source import ROOT, SOURCE

# Where a code is named: the first argument of what makes a problem or refusal.
NAMED = re.compile(r"\b(?:Problem|Refusal)\(\s*\"([a-z_]+)\"")
# Refusals of times carry their code as a field's default.
OF_TIMES = re.compile(r"code: str = \"([a-z_]+)\"")


def test_the_page_of_errors_is_that_of_the_table() -> None:
    written = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m konkordat.api.errors_page > docs/errors.md"


@pytest.mark.parametrize("package", ["api", "schedule", "replica"])
def test_every_code_that_is_used_is_in_the_table(package: str) -> None:
    used = {}
    for path in (SOURCE / "konkordat" / package).rglob("*.py"):
        if "interchange" in path.parts:  # problems of files, told by the command line
            continue
        text = path.read_text(encoding="utf-8")
        used |= dict.fromkeys(NAMED.findall(text), path)
        if path.name == "times.py":
            used |= dict.fromkeys(OF_TIMES.findall(text), path)
    assert used, "the pattern finds nothing"
    assert {code: path for code, path in used.items() if code not in TABLE} == {}


def test_titles_and_remedies_are_sentences() -> None:
    for code, entry in TABLE.items():
        assert re.fullmatch(r"[a-z][a-z_]*", code)
        assert entry.title[0].isupper()
        assert not entry.title.endswith(".")
        assert entry.remedy.endswith(".")
        assert entry.retryable or entry.status < 500


def test_what_can_be_retried_says_when_in_whole_seconds() -> None:
    assert Problem("overloaded", "", retry_after_ms=1).retry_after_s == 1
    assert Problem("overloaded", "", retry_after_ms=1_000).retry_after_s == 1
    assert Problem("overloaded", "", retry_after_ms=1_001).retry_after_s == 2
    assert Problem("overloaded", "").retry_after_s is None


def test_a_code_of_a_newer_domain_reads_as_a_refusal() -> None:
    problem = Problem("unheard_of", "A new rule.")
    assert (problem.status, problem.document("r")["code"]) == (409, "unheard_of")
