"""Why a file could not be read as a programme. Nothing is imported when one of these is raised.

    ProgrammeError
     ├─ EmptyDocument      no bytes, or only blanks
     ├─ TooLarge           beyond the size limit, refused before it is read whole
     ├─ TooMany            more sessions, rooms or persons than the limits
     ├─ TooDeep            nested beyond the depth limit
     ├─ BrokenDocument     not well-formed, with the line
     ├─ ForbiddenContent   a document type or entities, which schedules never need
     ├─ NotASchedule       well-formed, but something else
     ├─ EmptyProgramme     a schedule without a single session
     ├─ NoDates            not one day is named, so there is no event to put sessions into
     └─ BadTimeZone        the time zone asked for does not exist

What is wrong with one session only is no error but a ``Finding``, and the import goes on.
"""

from __future__ import annotations

import inspect


class ProgrammeError(Exception):
    """The programme could not be read."""

    code = "bad_programme"

    def __str__(self) -> str:
        """The docstring of the class, with the attributes filled in, as one line."""
        text = " ".join(inspect.cleandoc(type(self).__doc__ or self.code).split())
        return text.format(**self.__dict__)


class EmptyDocument(ProgrammeError):
    """{name} is empty. Nothing was imported. Give a schedule in frab XML, frab JSON or iCalendar."""

    code = "empty_document"

    def __init__(self, name: str) -> None:
        self.name = name


class TooLarge(ProgrammeError):
    """{name} has {size} bytes, more than the {size_max} that are read. Nothing was imported.
    Export single days, or leave out what is not a schedule.
    """

    code = "too_large"

    def __init__(self, name: str, size: int, size_max: int) -> None:
        self.name, self.size, self.size_max = name, size, size_max


class TooMany(ProgrammeError):
    """{name} has more than {count_max} {what}. Nothing was imported. Split the file by day."""

    code = "too_many"

    def __init__(self, name: str, what: str, count_max: int) -> None:
        self.name, self.what, self.count_max = name, what, count_max


class TooDeep(ProgrammeError):
    """{name} is nested deeper than {depth_max} levels, which no schedule is.
    Nothing was imported. Check that this is the right file.
    """

    code = "too_deep"

    def __init__(self, name: str, depth_max: int) -> None:
        self.name, self.depth_max = name, depth_max


class BrokenDocument(ProgrammeError):
    """{name} is broken at line {line}: {reason}. Nothing was imported.
    Mend the file there or export it again.
    """

    code = "broken_document"

    def __init__(self, name: str, line: int, reason: str) -> None:
        self.name, self.line, self.reason = name, line, reason


class ForbiddenContent(ProgrammeError):
    """{name} declares a document type or entities, which are not read from files for safety.
    Nothing was imported. Remove the DOCTYPE declaration.
    """

    code = "forbidden_content"

    def __init__(self, name: str) -> None:
        self.name = name


class NotASchedule(ProgrammeError):
    """{name} is not a schedule: {found}. Nothing was imported.
    Give a schedule in frab XML (root element schedule), frab JSON or iCalendar.
    """

    code = "not_a_schedule"

    def __init__(self, name: str, found: str) -> None:
        self.name, self.found = name, found


class EmptyProgramme(ProgrammeError):
    """{name} is a schedule without a session. Nothing was imported. Check that it was published."""

    code = "empty_programme"

    def __init__(self, name: str) -> None:
        self.name = name


class NoDates(ProgrammeError):
    """{name} names no day that can be read, neither for the event nor for a session.
    Nothing was imported. Give the conference a start date (2027-06-01).
    """

    code = "no_dates"

    def __init__(self, name: str) -> None:
        self.name = name


class BadTimeZone(ProgrammeError):
    """{time_zone} is not a time zone of the IANA database. Nothing was imported.
    Give one like Europe/Zurich.
    """

    code = "bad_time_zone"

    def __init__(self, time_zone: str) -> None:
        self.time_zone = time_zone
