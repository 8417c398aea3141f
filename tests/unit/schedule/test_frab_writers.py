from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from lxml import etree
from msgspec import structs

from konkordat.schedule.interchange.frab_json import write_frab_json
from konkordat.schedule.interchange.frab_xml_writer import write_frab_xml
from konkordat.schedule.interchange.layout import numbers
from konkordat.schedule.interchange.programme import (
    Placement,
    Programme,
    ProgrammeRoom,
    ProgrammeSession,
    ProgrammeSpeaker,
    ProgrammeVenue,
)
from konkordat.schedule.interchange.read import read_programme
from konkordat.schedule.model import Attachment
from konkordat.schedule.sample import sample_programme
from support.frab import event, read

Writer = Callable[[Programme], bytes]
WRITERS = pytest.mark.parametrize("write", [write_frab_xml, write_frab_json])
SHAPE = etree.RelaxNG(etree.parse(str(Path(__file__).parent / "frab_shape.rng")))


def rich() -> Programme:
    """What frab has no place for: foreign ids, two venues, a session without a slot."""
    talk = ProgrammeSession(
        external_id="talk@example.ch",
        guid="OQzXwQcnHSLD9Qd7Iu7Rqw",
        uid="1@forum",
        slug="talk",
        title="Netze?>",
        type="workshop",
        type_label="Meisterkurs",
        speakers=("NQTF8Y", "3"),
        duration_minutes=60,
        state="cancelled",
        seats=12,
        url="matrix:r/netze",
        attachments=(Attachment(url="/a.pdf", type="slides"),),
        placement=Placement("Saal", "2027-10-31T02:30", 45, fold=1),
        revision=7,
        updated_at_ms=1_800_000_000_000,
    )
    waiting = ProgrammeSession(external_id="8", title="Ohne Platz", speakers=("4",), state="draft")
    programme = read(event())
    return structs.replace(
        programme,
        source="ics",
        event=structs.replace(
            programme.event,
            subtitle="Zwei Häuser",
            url="https://example.ch",
            language="de",
            day_starts_at="02:00",
            start_date="2027-10-30",
            end_date="2027-11-01",
        ),
        venues=(ProgrammeVenue("Ost", "Chur", "chur", "UTC"), ProgrammeVenue("West", "Genf")),
        rooms=(ProgrammeRoom("Saal", "West", 80), ProgrammeRoom("Keller", "Ost")),
        speakers=(
            ProgrammeSpeaker("NQTF8Y", "Ada", "Schreibt > redet."),
            ProgrammeSpeaker("3", "Beat"),
            ProgrammeSpeaker("4", "Cleo"),
        ),
        sessions=(talk, waiting),
    )


@WRITERS
@pytest.mark.row("S0-40")
def test_what_frab_has_no_place_for_comes_back_too(write: Writer) -> None:
    assert read_programme(write(rich()), "forum") == rich()


@pytest.mark.parametrize("make", [rich, lambda: read_programme(sample_programme())])
def test_xml_has_the_published_shape(make: Callable[[], Programme]) -> None:
    document = etree.fromstring(write_frab_xml(make()))
    assert SHAPE.validate(document), SHAPE.error_log


def test_the_shape_can_tell_a_file_that_has_it_not() -> None:
    document = etree.fromstring(write_frab_xml(rich()))
    next(document.iter("event")).attrib["guid"] = "OQzXwQcnHSLD9Qd7Iu7Rqw"
    assert not SHAPE.validate(document)


def test_ids_guids_and_slugs_are_unique_in_the_file() -> None:
    twin = ProgrammeSession(
        external_id="a", title="A", slug="a", placement=Placement("Aula", "2027-06-01T09:00", 30)
    )
    twins = tuple(structs.replace(twin, external_id=name) for name in ("a", "b", "7"))
    document = etree.fromstring(write_frab_xml(structs.replace(read(event()), sessions=twins)))
    events = list(document.iter("event"))
    for values in (
        [e.get("id") for e in events],
        [e.get("guid") for e in events],
        [e.findtext("slug") for e in events],
    ):
        assert len(set(values)) == 3


def test_numbers_are_kept_where_they_are_and_derived_where_not() -> None:
    given = ["9025", "x", "007", "0", "y", "99999999999"]
    found = numbers(given)
    assert found["9025"] == 9025
    assert len(set(found.values())) == len(given)
    assert all(1 <= number < 2**31 for number in found.values())
    assert numbers(given) == found


def test_a_session_after_midnight_is_shown_on_the_evening_before() -> None:
    document = etree.fromstring(write_frab_xml(read(event(start="00:30"))))
    (day,) = [day for day in document.iter("day") if next(day.iter("event"), None) is not None]
    assert day.get("date") == "2027-06-01"
    assert next(day.iter("date")).text == "2027-06-02T00:30:00+02:00"


def test_json_says_what_readers_of_pretalx_look_for() -> None:
    document = msgspec.json.decode(write_frab_json(rich()))["schedule"]
    conference = document["conference"]
    assert conference["rooms"][0]["capacity"] == 80
    assert [day["index"] for day in conference["days"]] == [1, 2, 3]
    # At 02:30 on the 31st the day, which begins at 02:00, is the 31st.
    (entry,) = conference["days"][1]["rooms"]["Saal"]
    assert entry["date"] == "2027-10-31T02:30:00+01:00"
    assert [person["public_name"] for person in entry["persons"]] == ["Ada", "Beat"]


@WRITERS
def test_the_same_programme_is_the_same_bytes(write: Writer) -> None:
    assert write(rich()) == write(rich())


def test_a_file_edited_by_hand_means_what_it_says() -> None:
    data = write_frab_xml(rich()).replace(b"<title>Netze?&gt;</title>", b"<title>Neu</title>")
    assert read_programme(data).sessions[0].title == "Neu"
