"""Published programmes, imported over the API: what the nodes refuse is what the file's own overlaps say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from konkordat.client import Client


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sessions", "rooms", "refused", "speaker_pairs"),
    [
        ("fosdem-2020.xml", 872, 35, 0, 3),
        ("fosdem-2023.xml", 780, 35, 1, None),
        ("31c3.xml", 138, 4, 0, 2),
    ],
)
def test_a_real_programme_is_imported_with_the_right_figures(
    client: Client,
    programme_files: Mapping[str, Path],
    name: str,
    sessions: int,
    rooms: int,
    refused: int,
    speaker_pairs: int | None,
) -> None:
    result = client.import_programme(programme_files[name])
    assert result.failed == []
    assert (result.sessions, result.rooms) == (sessions, rooms)
    assert len(result.slots_refused) == refused
    assert {one["code"] for one in result.slots_refused} <= {"slot_taken"}
    assert all(len(one["in_the_way"]) == 1 for one in result.slots_refused)
    shown = list(client.sessions.list(event=result.event, limit="200"))
    assert len(shown) == sessions
    assert {one["slot"]["state"] for one in shown if one["slot"]} == {"confirmed"}
    if speaker_pairs is not None:
        assert len(result.speaker_clashes) == speaker_pairs
    told = client.clashes(result.event)
    assert len(told["speakers"]) == len(result.speaker_clashes)
