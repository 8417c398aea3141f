"""Times as people write and read them: wall time at the place, lengths, days."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from konkordat.cli.exits import CommandError, ExitCode

START: Final = re.compile(r"(?:(\d{4}-\d{2}-\d{2})[T ])?(\d{1,2}):(\d{2})", re.ASCII)
LENGTH: Final = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?", re.ASCII)


def start_of(text: str, day: str = "") -> str:
    """`2027-06-01T09:00` (or a blank for the T), or `9:00` on `day`, as the API writes it. Raises CommandError."""
    found = START.fullmatch(text.strip())
    if found is None or int(found[2]) > 23 or int(found[3]) > 59:
        raise wrong(f"{text!r} is no time. Write it like 2027-06-01T09:00.")
    on = found[1] or day
    if not on:
        raise wrong(
            f"{text!r} says no day. Write it like 2027-06-01T{int(found[2]):02}:{found[3]}."
        )
    return f"{day_of(on)}T{int(found[2]):02}:{found[3]}"


def day_of(text: str) -> str:
    """A date as the API writes it. Raises CommandError."""
    try:
        if len(text) == len("2027-06-01"):
            return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise wrong(f"{text!r} is no date. Write it like 2027-06-01.") from error
    raise wrong(f"{text!r} is no date. Write it like 2027-06-01.")


def minutes_until(start: str, until: str, zone: str) -> int:
    """From a start to an end in wall time of a zone, in minutes that pass. Raises CommandError if there are none."""
    end = start_of(until, start[:10])
    at = _zone(zone)
    # Of two equal wall times the later: who stays until the clocks go back stays while they do.
    passed = datetime.fromisoformat(end).replace(tzinfo=at, fold=1).astimezone(
        UTC
    ) - datetime.fromisoformat(start).replace(tzinfo=at).astimezone(UTC)
    minutes = int(passed // timedelta(minutes=1))
    if minutes < 1:
        day = "" if "-" in until else "; if it is on a later day, give that too"
        raise wrong(f"--until {until} is not after the start, {start.replace('T', ' ')}{day}.")
    return minutes


def seconds_of(text: str) -> int:
    """A length like 15m, 2h, 1h30m or 90s. Raises CommandError."""
    found = LENGTH.fullmatch(text.strip().replace(" ", ""))
    hours, minutes, seconds = (int(part or 0) for part in (found.groups() if found else ("0",) * 3))
    total = (hours * 60 + minutes) * 60 + seconds
    if not total:
        raise wrong(f"{text!r} is no length of time. Write it like 15m, 2h or 1h30m.")
    return total


def wrong(message: str) -> CommandError:
    """What was written cannot be meant."""
    return CommandError(message, ExitCode.USAGE, "usage")


# For reading ------------------------------------------------------------------------------------------


def slot_text(slot: dict[str, Any]) -> str:
    """`Tue 2027-06-01 09:00–09:45`, from a slot or place as answers show it."""
    start = datetime.fromisoformat(slot["local_start"])
    end = start + timedelta(minutes=slot["duration_minutes"])
    if slot.get("end"):
        end = datetime.fromisoformat(local(slot["end"], slot["time_zone"]))
    return span_text(start, end)


def span_text(start: datetime, end: datetime) -> str:
    """From when to when, the day once if it is the same."""
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%a %Y-%m-%d %H:%M}"
    return f"{start:%a %Y-%m-%d %H:%M}–{until}"


def clocks_text(start: str, end: str, day: str = "") -> str:
    """`09:00–09:45`, of wall times; `24:00` is the midnight that ends `day`."""
    until = end[11:16]
    if day and end[:10] > day and until == "00:00":
        until = "24:00"
    return f"{start[11:16]}–{until}"


def local(instant: str, zone: str) -> str:
    """An instant as wall time of a zone, like 2027-06-01T09:00."""
    moment = datetime.fromisoformat(instant).astimezone(_zone(zone))
    return moment.replace(tzinfo=None).isoformat(timespec="minutes")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise wrong(f"This machine does not know the time zone {name}.") from error
