"""The published programmes at hand: what an import of them must say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from konkordat.schedule.interchange.frab_json import write_frab_json
from konkordat.schedule.interchange.frab_xml_writer import write_frab_xml
from konkordat.schedule.interchange.plan import ImportReport, plan_import
from konkordat.schedule.interchange.programme import Programme
from konkordat.schedule.interchange.read import read_programme

NAMES = pytest.mark.parametrize("name", ["fosdem-2020.xml", "fosdem-2023.xml", "31c3.xml"])


def programme_of(files: Mapping[str, Path], name: str) -> Programme:
    return read_programme(files[name].read_bytes(), name)


def report_of(files: Mapping[str, Path], name: str) -> ImportReport:
    return plan_import(programme_of(files, name)).report


def test_fosdem_2020_has_three_pairs_of_one_speaker_and_drops_none(
    programme_files: Mapping[str, Path],
) -> None:
    report = report_of(programme_files, "fosdem-2020.xml")
    assert (report.sessions, report.rooms, report.placed) == (872, 35, 872)
    assert (len(report.slots_refused), len(report.speaker_clashes)) == (0, 3)


def test_fosdem_2023_has_exactly_one_pair_refused_in_a_room(
    programme_files: Mapping[str, Path],
) -> None:
    report = report_of(programme_files, "fosdem-2023.xml")
    assert (report.sessions, report.rooms, report.placed) == (780, 35, 779)
    (refused,) = report.slots_refused
    assert refused.room == "AW1.120"
    assert len(refused.in_the_way) == 1
    assert report.speaker_clashes == ()


def test_31c3_has_two_pairs_of_one_speaker(programme_files: Mapping[str, Path]) -> None:
    report = report_of(programme_files, "31c3.xml")
    assert (report.sessions, report.rooms) == (138, 4)
    assert (len(report.slots_refused), len(report.speaker_clashes)) == (0, 2)


def test_the_news_show_at_a_quarter_past_midnight_is_on_the_next_date(
    programme_files: Mapping[str, Path],
) -> None:
    programme = programme_of(programme_files, "31c3.xml")
    (show,) = [s for s in programme.sessions if s.external_id == "6109"]
    assert show.placement is not None
    assert show.placement.local_start == "2014-12-29T00:15"
    assert programme.event.time_zone == "Europe/Zurich"


@NAMES
def test_nothing_of_them_is_found_wanting(programme_files: Mapping[str, Path], name: str) -> None:
    assert programme_of(programme_files, name).findings == ()


@NAMES
@pytest.mark.row("S0-40")
def test_they_come_back_from_xml_and_json_as_they_were(
    programme_files: Mapping[str, Path], name: str
) -> None:
    programme = programme_of(programme_files, name)
    for write in (write_frab_xml, write_frab_json):
        again = read_programme(write(programme), name)
        assert again.event == programme.event
        assert again.venues == programme.venues
        assert set(again.rooms) == set(programme.rooms)
        assert set(again.speakers) == set(programme.speakers)
        assert set(again.sessions) == set(programme.sessions)
