"""Small frab XML files, written as a test needs them."""

from __future__ import annotations

from konkordat.schedule.interchange.programme import Programme, ProgrammeSession
from konkordat.schedule.interchange.read import read_programme


def event(
    id_: str = "1",
    *,
    start: str = "09:00",
    duration: str = "00:45",
    title: str = "Netze, die halten",
    more: str = "",
) -> str:
    return (
        f"<event id='{id_}'><start>{start}</start><duration>{duration}</duration>"
        f"<title>{title}</title>{more}</event>"
    )


def schedule(
    *events: str, date: str = "2027-06-01", room: str = "Aula", conference: str = ""
) -> bytes:
    return (
        f"<schedule><conference><title>Forum 2027</title>{conference}</conference>"
        f"<day date='{date}' index='1'><room name='{room}'>{''.join(events)}</room></day>"
        "</schedule>"
    ).encode()


def read(*events: str, date: str = "2027-06-01", conference: str = "") -> Programme:
    return read_programme(schedule(*events, date=date, conference=conference), "forum.xml")


def only(programme: Programme) -> ProgrammeSession:
    (session,) = programme.sessions
    return session


def found(programme: Programme) -> list[tuple[str, str]]:
    return [(finding.code, finding.session) for finding in programme.findings]
