"""Reading frab (pentabarf) schedule XML.

The file comes from anywhere, so it is read hardened: no document type, no entities, no network,
bounded size, depth and counts, and element by element, so that memory follows the longest session
and not the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final, TypeAlias, cast

from lxml import etree

from konkordat.schedule.interchange.assemble import assemble
from konkordat.schedule.interchange.errors import (
    BrokenDocument,
    ForbiddenContent,
    NotASchedule,
    TooDeep,
    TooLarge,
    TooMany,
)
from konkordat.schedule.interchange.extras import (
    EXTRAS_NAME,
    Extras,
    decode_extras,
)
from konkordat.schedule.interchange.frab_times import minutes
from konkordat.schedule.interchange.programme import (
    DEPTH_MAX,
    SESSIONS_MAX,
    SIZE_BYTES_MAX,
    TIME_ZONE_DEFAULT,
    FindingCode,
    Programme,
)
from konkordat.schedule.interchange.raw import (
    FrabWhen,
    Problem,
    RawDocument,
    RawLink,
    RawPerson,
    RawRoom,
    RawSession,
)
from konkordat.schedule.model import Recording

# The stubs of lxml know neither ``docinfo.doctype`` nor ``sourceline``, nor processing instructions.
_Element: TypeAlias = Any
# Addresses that have an element of their own, and the text to show for each.
_LINK_ELEMENTS: Final = (("video_download_url", "Video"), ("feedback_url", "Feedback"))


def read_frab_xml(
    data: bytes, name: str = "schedule.xml", time_zone: str = TIME_ZONE_DEFAULT
) -> Programme:
    """The programme of a frab XML file. Raises a ``ProgrammeError``."""
    if len(data) > SIZE_BYTES_MAX:
        raise TooLarge(name, len(data), SIZE_BYTES_MAX)
    reader = _Reader(name)
    try:
        for event, element in _events(data):
            reader.take(event, element)
    except etree.XMLSyntaxError as error:
        raise BrokenDocument(name, error.lineno or 1, _reason(error)) from error
    return assemble(reader.document(), time_zone)


def _events(data: bytes) -> Iterator[tuple[str, _Element]]:
    events = etree.iterparse(
        BytesIO(data),
        events=("start", "end", "pi"),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        remove_comments=True,
        huge_tree=False,
    )
    return cast("Iterator[tuple[str, _Element]]", events)


class _Reader:
    """Takes parser events, keeps what a schedule is made of, frees the rest."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.depth = 0
        self.conference: dict[str, str] = {}
        self.version = ""
        self.day = ""
        self.room = ""
        self.days: list[str] = []
        self.rooms: dict[str, RawRoom] = {}
        self.sessions: list[RawSession] = []
        self.extras = Extras()
        self.problems: list[Problem] = []
        # Depth of the session that is being read; whatever lies inside it belongs to it.
        self.session_depth = 0

    def take(self, event: str, element: _Element) -> None:
        if event == "start":
            self._start(element)
        elif event == "end":
            self._end(element)
        elif element.target == EXTRAS_NAME:
            self._read_extras(element.text or "")

    def _start(self, element: _Element) -> None:
        if self.depth == 0:
            self._check_root(element)
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise TooDeep(self.name, DEPTH_MAX)
        if self.session_depth:
            return
        if element.tag == "day":
            self.day = element.get("date", "")
            self.days.append(self.day)
        elif element.tag == "room":
            self.room = element.get("name", "")
            if self.room:
                self.rooms.setdefault(self.room, RawRoom(self.room))
        elif element.tag == "event":
            self.session_depth = self.depth

    def _check_root(self, element: _Element) -> None:
        if element.getroottree().docinfo.doctype:
            raise ForbiddenContent(self.name)
        if element.tag != "schedule":
            raise NotASchedule(self.name, f"its root element is {str(element.tag)[:100]}")

    def _end(self, element: _Element) -> None:
        depth = self.depth
        self.depth -= 1
        if self.session_depth and depth > self.session_depth:
            return
        match element.tag:
            case "event":
                if len(self.sessions) == SESSIONS_MAX:
                    raise TooMany(self.name, "sessions", SESSIONS_MAX)
                self.sessions.append(_session(element, self.day, self.room))
                self.session_depth = 0
            case "conference":
                self.conference = {str(c.tag): _text(c) for c in element if _is_element(c)}
            case "version" if depth == 2:
                self.version = _text(element)
            case "room":
                self.room = ""
            case "day":
                self.day = ""
            case _:
                pass  # not ours to read
        # The parts of the conference are read when it ends.
        if depth != 3 or element.getparent().tag != "conference":
            _free(element)

    def _read_extras(self, text: str) -> None:
        try:
            self.extras = decode_extras(text)
        except (ValueError, RecursionError) as error:
            self.problems.append(Problem(FindingCode.BAD_EXTENSION, str(error)[:200]))

    def document(self) -> RawDocument:
        conference = self.conference
        return RawDocument(
            name=self.name,
            source="frab",
            acronym=conference.get("acronym", ""),
            title=conference.get("title", ""),
            subtitle=conference.get("subtitle", ""),
            venue=conference.get("venue", ""),
            city=conference.get("city", ""),
            start=conference.get("start", ""),
            end=conference.get("end", ""),
            day_change=conference.get("day_change", ""),
            time_zone=conference.get("time_zone_name", ""),
            url=conference.get("url", ""),
            version=self.version,
            days=tuple(self.days),
            rooms=tuple(self.rooms.values()),
            sessions=tuple(self.sessions),
            extras=self.extras,
            problems=tuple(self.problems),
        )


def _session(element: _Element, day: str, room: str) -> RawSession:
    texts = {str(child.tag): _text(child) for child in element if _is_element(child)}
    get = texts.get
    return RawSession(
        line=int(element.sourceline or 0),
        id=(element.get("id") or "").strip(),
        guid=(element.get("guid") or "").strip(),
        slug=get("slug", ""),
        title=get("title", ""),
        subtitle=get("subtitle", ""),
        abstract=get("abstract", ""),
        description=get("description", ""),
        type=get("type", ""),
        track=get("track", ""),
        language=get("language", ""),
        room=room or get("room", ""),
        url=get("url", ""),
        when=FrabWhen(day.strip(), get("date", ""), get("start", "")),
        minutes=minutes(get("duration", "")),
        persons=tuple(
            RawPerson(_text(person), (person.get("id") or person.get("guid") or "").strip())
            for person in element.iterfind("persons/person")
        ),
        links=_links(element, texts),
        attachments=_attachments(element, texts),
        recording=_recording(element),
    )


def _links(element: _Element, texts: dict[str, str]) -> tuple[RawLink, ...]:
    listed = [
        RawLink((link.get("href") or "").strip() or _text(link), _text(link))
        for link in element.iterfind("links/link")
    ]
    named = [RawLink(texts[tag], title) for tag, title in _LINK_ELEMENTS if texts.get(tag)]
    return (*listed, *named)


def _attachments(element: _Element, texts: dict[str, str]) -> tuple[RawLink, ...]:
    listed = [
        RawLink((a.get("href") or "").strip(), _text(a), (a.get("type") or "").strip())
        for a in element.iterfind("attachments/attachment")
    ]
    logo = [RawLink(texts["logo"], "", "logo")] if texts.get("logo") else []
    return (*listed, *logo)


def _recording(element: _Element) -> Recording | None:
    recording = element.find("recording")
    if recording is None:
        return None
    optout = (recording.findtext("optout") or "").strip().lower() in ("true", "1", "yes")
    license_ = " ".join((recording.findtext("license") or "").split())[:200]
    return Recording(license=license_, optout=optout) if optout or license_ else None


def _is_element(node: _Element) -> bool:
    # Comments and processing instructions have a function where elements have a name.
    return isinstance(node.tag, str)


def _text(element: _Element) -> str:
    """All text inside, markup dropped."""
    return "".join(element.itertext("*")).strip()


def _free(element: _Element) -> None:
    """Gives up what was read; the empty elements before this one too."""
    element.clear()
    parent = element.getparent()
    while parent is not None and (previous := element.getprevious()) is not None:
        parent.remove(previous)


def _reason(error: etree.XMLSyntaxError) -> str:
    """The parser's message without the place, which is told apart."""
    text = " ".join((error.msg or "not well-formed").split())
    return text.partition(", line ")[0].rstrip(".")[:300]
