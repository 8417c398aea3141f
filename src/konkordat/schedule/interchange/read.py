"""One door for all formats: the content decides, the file's name helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Final, Literal

from konkordat.schedule.interchange.errors import EmptyDocument, NotASchedule, TooLarge
from konkordat.schedule.interchange.frab_json import read_frab_json
from konkordat.schedule.interchange.frab_xml import read_frab_xml
from konkordat.schedule.interchange.icalendar_ import read_icalendar
from konkordat.schedule.interchange.programme import SIZE_BYTES_MAX, TIME_ZONE_DEFAULT, Programme

Format = Literal["xml", "json", "ics"]

_READERS: Final[dict[Format, Callable[[bytes, str, str], Programme]]] = {
    "xml": read_frab_xml,
    "json": read_frab_json,
    "ics": read_icalendar,
}
# Enough to see past a byte order mark and blank lines.
_HEAD_BYTES: Final = 1024


def read_programme(
    data: bytes, name: str = "programme", time_zone: str = TIME_ZONE_DEFAULT
) -> Programme:
    """The programme in ``data``. ``time_zone`` is used where the file tells none.

    Raises a ``ProgrammeError``; what is wrong with single sessions is in ``findings``.
    """
    check_size(len(data), name)
    if not data.strip():
        raise EmptyDocument(name)
    if _head(data).lower().startswith((b"<!doctype html", b"<html")):
        raise NotASchedule(name, "it is a web page (HTML)")
    format_ = detect_format(data, name)
    if format_ is None:
        raise NotASchedule(name, "it is neither XML nor JSON nor iCalendar")
    return _READERS[format_](data, name, time_zone)


def check_size(size: int, name: str) -> None:
    """Refuses a file by its size, so that it need not be read first. Raises ``TooLarge``."""
    if size > SIZE_BYTES_MAX:
        raise TooLarge(name, size, SIZE_BYTES_MAX)


def detect_format(data: bytes, name: str) -> Format | None:
    """The format by its first characters, else by the extension of the name."""
    head = _head(data)
    if head[:15].upper().startswith(b"BEGIN:VCALENDAR"):
        return "ics"
    if head.startswith((b"{", b"[")):
        return "json"
    if head.startswith(b"<"):
        return "xml"
    by_extension: dict[str, Format] = {".xml": "xml", ".json": "json", ".ics": "ics"}
    return by_extension.get(PurePath(name).suffix.lower())


def _head(data: bytes) -> bytes:
    """The first characters, in whatever encoding they are ASCII in."""
    # UTF-16 has a zero in every other byte of plain text.
    return data[:_HEAD_BYTES].lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()
