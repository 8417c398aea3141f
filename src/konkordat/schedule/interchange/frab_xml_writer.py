"""Writing frab (pentabarf) schedule XML, valid against the published schema.

The schema is c3voc's ``schedule.xml.xsd``, which pretalx, frab and the apps that read them share.
"""

from __future__ import annotations

from lxml import etree

from konkordat.schedule.interchange.extras import EXTRAS_NAME, encode_extras
from konkordat.schedule.interchange.layout import LaidSession, Layout, lay_out
from konkordat.schedule.interchange.programme import Programme
from konkordat.schedule.interchange.texts import fit

_Element = etree._Element  # noqa: SLF001 - lxml has no public name for it


def write_frab_xml(programme: Programme) -> bytes:
    """The programme as frab XML, UTF-8, valid against the published schema."""
    layout = lay_out(programme, carries_details=False)
    root = etree.Element("schedule")
    instruction = etree.ProcessingInstruction(EXTRAS_NAME, encode_extras(layout.extras))
    root.append(instruction)
    _add(root, "generator", name="konkordat")
    _add(root, "version", programme.event.version)
    _write_conference(root, programme, layout)
    for day in layout.days:
        attributes = {"index": str(day.index), "date": day.date, "start": day.start, "end": day.end}
        day_element = etree.SubElement(root, "day", attributes)
        for room in programme.rooms:
            room_element = etree.SubElement(day_element, "room", {"name": room.name})
            for session in day.rooms.get(room.name, ()):
                _write_session(room_element, session)
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8") + b"\n"


def _write_conference(root: _Element, programme: Programme, layout: Layout) -> None:
    event = programme.event
    conference = etree.SubElement(root, "conference")
    _add(conference, "acronym", event.slug)
    _add(conference, "title", event.title)
    _add(conference, "start", event.start_date)
    _add(conference, "end", event.end_date)
    _add(conference, "days", str(len(layout.days)))
    _add(conference, "timeslot_duration", "00:05")
    _add(conference, "time_zone_name", event.time_zone)


def _write_session(parent: _Element, laid: LaidSession) -> None:
    session = laid.session
    element = etree.SubElement(parent, "event", {"guid": laid.guid, "id": str(laid.id)})
    _add(element, "date", laid.date)
    _add(element, "start", laid.start)
    _add(element, "duration", laid.duration)
    _add(element, "room", laid.room)
    _add(element, "slug", laid.slug)
    if laid.url:
        _add(element, "url", laid.url)
    recording = etree.SubElement(element, "recording")
    _add(recording, "license", session.recording.license if session.recording else "")
    optout = session.recording is not None and session.recording.optout
    _add(recording, "optout", "true" if optout else "false")
    _add(element, "title", session.title)
    _add(element, "subtitle", session.subtitle)
    _add(element, "track", session.track or "")
    _add(element, "type", session.type_label or session.type)
    _add(element, "language", session.language or "")
    _add(element, "abstract", session.abstract)
    _add(element, "description", session.description)
    persons = etree.SubElement(element, "persons")
    for person in laid.persons:
        _add(persons, "person", person.speaker.name, id=str(person.id))
    links = etree.SubElement(element, "links")
    for link in session.links:
        _add(links, "link", link.title, href=link.url)
    attachments = etree.SubElement(element, "attachments")
    for attachment in session.attachments:
        _add(attachments, "attachment", attachment.title, href=attachment.url)


def _add(parent: _Element, tag: str, text: str = "", **attributes: str) -> None:
    etree.SubElement(parent, tag, attributes).text = fit(text)
