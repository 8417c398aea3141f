"""The programme that ships with the project."""

from __future__ import annotations

from collections import Counter

import pytest

from konkordat.schedule.interchange.frab_xml_writer import write_frab_xml
from konkordat.schedule.interchange.plan import plan_import
from konkordat.schedule.interchange.programme import Programme
from konkordat.schedule.interchange.read import read_programme
from konkordat.schedule.sample import sample_programme
from konkordat.schedule.sample.build import build_sample, sample_text


@pytest.fixture(scope="module")
def programme() -> Programme:
    return read_programme(sample_programme(), "programme.xml")


def test_the_shipped_file_is_what_the_text_makes() -> None:
    assert write_frab_xml(build_sample(sample_text())) == sample_programme()


def test_it_is_three_days_at_five_venues_in_four_languages(programme: Programme) -> None:
    assert len(programme.sessions) == 200
    assert len(programme.rooms) == 25
    assert len(programme.speakers) == 150
    assert programme.findings == ()
    assert [venue.region for venue in programme.venues] == [
        "zurich",
        "geneva",
        "basel",
        "lugano",
        "bern",
    ]
    assert set(Counter(s.language for s in programme.sessions)) == {"de", "fr", "it", "en"}
    assert (programme.event.start_date, programme.event.end_date) == ("2027-06-02", "2027-06-04")


def test_it_holds_one_clash_of_rooms_and_two_of_speakers(programme: Programme) -> None:
    report = plan_import(programme).report
    assert [refused.room for refused in report.slots_refused] == ["Salon Einstein"]
    assert [clash.speaker for clash in report.speaker_clashes] == [
        "Valentine Corboz",
        "Priya Raman",
    ]


def test_every_session_is_written_out(programme: Programme) -> None:
    assert len({session.title for session in programme.sessions}) == 200
    assert min(len(session.abstract) for session in programme.sessions) >= 80
    assert all(session.speakers and session.track for session in programme.sessions)


def test_every_speaker_has_a_session(programme: Programme) -> None:
    on_stage = {speaker for session in programme.sessions for speaker in session.speakers}
    assert on_stage == {speaker.external_id for speaker in programme.speakers}


def test_one_session_begins_after_midnight(programme: Programme) -> None:
    starts = [s.placement.local_start for s in programme.sessions if s.placement]
    assert [start for start in starts if start.endswith("T00:15")] == ["2027-06-03T00:15"]
