"""Every transcript in this folder is what nodes say today."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from transcripts.conversation import replayed

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_nodes_say_what_the_transcript_says(file: Path) -> None:
    written = file.read_text(encoding="utf-8")
    now = replayed(written)
    if os.environ.get("KONKORDAT_REWRITE"):
        file.write_text(now, encoding="utf-8")
    else:
        assert now == written


def test_there_are_transcripts() -> None:
    assert len(FILES) >= 8
