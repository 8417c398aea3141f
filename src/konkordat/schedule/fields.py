"""Constrained scalars of the schedule bodies.

Each limit is a named constant with its reason. The descriptions and examples end in the OpenAPI
document, so they are written for the people who call the API.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from msgspec import Meta

# In Python "$" also matches before a line feed at the end; elsewhere (ECMA 262, as JSON Schema has it)
# it does not, and the look-ahead says nothing new.
_END = r"$(?!\n)"
# RFC 9562, version 7, lower case: one spelling per id, so that equal ids are equal strings.
UUID7_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}" + _END
# The subset of BCP 47 that event software uses: language, then script, region or variant.
LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}" + _END
SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]*" + _END
SYSTEM_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}" + _END
_DATE = r"^(19[7-9][0-9]|[2-8][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
DATE_PATTERN = _DATE + _END
CLOCK_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]" + _END
LOCAL_TIME_PATTERN = _DATE + r"T([01][0-9]|2[0-3]):[0-5][0-9]" + _END
ZONE_PATTERN = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}" + _END
# Any scheme but those that make a browser run or open what the link itself contains; no blanks, and
# no control character in front, which browsers skip. Letter by letter, for JavaScript's own regular
# expressions have no way to ignore case.
URL_PATTERN = (
    r"^(?![Jj][Aa][Vv][Aa][Ss][Cc][Rr][Ii][Pp][Tt]:|[Vv][Bb][Ss][Cc][Rr][Ii][Pp][Tt]:"
    r"|[Dd][Aa][Tt][Aa]:|[Bb][Ll][Oo][Bb]:|[Ff][Ii][Ll][Ee]:)[^\s\x00-\x20\x7f]+$(?!\n)"
)
EMAIL_PATTERN = r"^[^@\s]+@[^@\s]+" + _END

# Longest title in the real programmes at hand is 129 characters; 500 leaves room, and fits a badge.
TITLE_CHARS_MAX = 500
# Longest abstract at hand 4 555, longest description 9 988. A record must fit one frame many times over.
ABSTRACT_CHARS_MAX = 20_000
DESCRIPTION_CHARS_MAX = 100_000
LABEL_CHARS_MAX = 200
SLUG_CHARS_MAX = 200
URL_CHARS_MAX = 2_000
EXTERNAL_ID_CHARS_MAX = 500
# One per language; Switzerland has four, the EU twenty-four.
LANGUAGES_MAX = 40
SYSTEMS_MAX = 40
SPEAKERS_MAX = 200
LINKS_MAX = 200
FEATURES_MAX = 100
AVAILABILITY_MAX = 100  # times of one speaker: several a day for a long festival
# Two weeks: longer than any session, short enough that a typing error is caught.
DURATION_MINUTES_MAX = 14 * 24 * 60
BUFFER_MINUTES_MAX = 24 * 60
# A room with more parallel sessions than this is not a room; it also bounds the decider's work.
CONCURRENT_MAX = 1_000
PEOPLE_MAX = 1_000_000

Id = Annotated[
    str,
    Meta(
        pattern=UUID7_PATTERN,
        description="A UUIDv7 in lower case.",
        examples=["019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"],
    ),
]
Slug = Annotated[
    str,
    Meta(
        pattern=SLUG_PATTERN,
        max_length=SLUG_CHARS_MAX,
        description="Short name for addresses: lower case, digits, hyphen, underscore.",
        examples=["forum-2027"],
    ),
]
Language = Annotated[
    str,
    Meta(pattern=LANGUAGE_PATTERN, description="A BCP 47 language tag.", examples=["de", "fr-CH"]),
]
System = Annotated[
    str, Meta(pattern=SYSTEM_PATTERN, description="Name of another system.", examples=["frab"])
]
Date = Annotated[
    str, Meta(pattern=DATE_PATTERN, description="A calendar date.", examples=["2027-06-01"])
]
Clock = Annotated[
    str, Meta(pattern=CLOCK_PATTERN, description="A time of day, 24 hours.", examples=["09:00"])
]
LocalTime = Annotated[
    str,
    Meta(
        pattern=LOCAL_TIME_PATTERN,
        description="Wall time at the place, without offset, to the minute.",
        examples=["2027-06-01T09:00"],
    ),
]
TimeZone = Annotated[
    str,
    Meta(
        pattern=ZONE_PATTERN,
        max_length=64,
        description="A time zone of the IANA database.",
        examples=["Europe/Zurich"],
    ),
]
Url = Annotated[
    str,
    Meta(
        pattern=URL_PATTERN,
        max_length=URL_CHARS_MAX,
        description="An address; schemes that run code are refused.",
        examples=["https://example.ch/talk/12"],
    ),
]
Email = Annotated[
    str,
    Meta(
        pattern=EMAIL_PATTERN,
        max_length=320,
        description="A mail address.",
        examples=["a@example.ch"],
    ),
]
# What a text is to look like, for people who read refusals: by its pattern, what it is, and an example.
FORMS_SAID: dict[str, str] = {
    meta.pattern: f"{meta.description} For example: {meta.examples[0]}"
    for form in (Id, Slug, Language, System, Date, Clock, LocalTime, TimeZone, Url, Email)
    for meta in get_args(form)[1:]
}
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_CHARS_MAX)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=EXTERNAL_ID_CHARS_MAX)]
DurationMinutes = Annotated[
    int,
    Meta(ge=1, le=DURATION_MINUTES_MAX, description="Length in whole minutes.", examples=[45]),
]
BufferMinutes = Annotated[int, Meta(ge=0, le=BUFFER_MINUTES_MAX, examples=[10])]

Title = Annotated[str, Meta(min_length=1, max_length=TITLE_CHARS_MAX)]
Titles = Annotated[
    dict[Language, Title],
    Meta(
        max_length=LANGUAGES_MAX,
        description="Text per language. Languages merge one by one.",
        examples=[{"de": "Netze, die halten", "fr": "Des réseaux qui tiennent"}],
    ),
]
NamedTitles = Annotated[Titles, Meta(min_length=1)]
Abstracts = Annotated[
    dict[Language, Annotated[str, Meta(min_length=1, max_length=ABSTRACT_CHARS_MAX)]],
    Meta(max_length=LANGUAGES_MAX, description="A paragraph per language."),
]
Descriptions = Annotated[
    dict[Language, Annotated[str, Meta(min_length=1, max_length=DESCRIPTION_CHARS_MAX)]],
    Meta(
        max_length=LANGUAGES_MAX, description="Full text per language, Markdown or HTML as given."
    ),
]
ExternalIds = Annotated[
    dict[System, ExternalId],
    Meta(
        max_length=SYSTEMS_MAX,
        description="What other systems call this record. Systems merge one by one.",
        examples=[{"frab": "9025"}],
    ),
]
Features = Annotated[
    tuple[Label, ...],
    Meta(
        max_length=FEATURES_MAX, description="What is there.", examples=[["beamer", "hearing loop"]]
    ),
]

Deciding = Literal["majority", "home"]
EventState = Literal["draft", "published", "cancelled"]
SessionState = Literal["draft", "submitted", "accepted", "confirmed", "cancelled"]
SessionType = Literal[
    "talk",
    "lecture",
    "keynote",
    "workshop",
    "panel",
    "lightning",
    "meeting",
    "podium",
    "performance",
    "break",
    "blocker",
    "other",
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
