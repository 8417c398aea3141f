"""Texts of files made fit for records: one spelling of blanks, no control characters; types."""

from __future__ import annotations

import re
from typing import Final

from konkordat.schedule.fields import (
    LANGUAGE_PATTERN,
    URL_CHARS_MAX,
    URL_PATTERN,
    SessionType,
)

# XML 1.0 has no place for these, and no reader wants them. Lone surrogates are no text at all.
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_URL: Final = re.compile(URL_PATTERN)
_LANGUAGE: Final = re.compile(LANGUAGE_PATTERN)

# What frab, pretalx and FOSDEM call the types; any other word becomes "other" and keeps its label.
_TYPES: Final[dict[str, SessionType]] = {
    "talk": "talk",
    "vortrag": "talk",
    "maintrack": "talk",
    "devroom": "talk",
    "lecture": "lecture",
    "keynote": "keynote",
    "workshop": "workshop",
    "hands-on": "workshop",
    "panel": "panel",
    "paneldiscussion": "panel",
    "discussion": "panel",
    "lightning": "lightning",
    "lightningtalk": "lightning",
    "meeting": "meeting",
    "meetup": "meeting",
    "bof": "meeting",
    "podium": "podium",
    "performance": "performance",
    "concert": "performance",
    "show": "performance",
    "film": "performance",
    "break": "break",
    "pause": "break",
    "blocker": "blocker",
    "other": "other",
}


def fit(text: str) -> str:
    """The text without what no format can carry."""
    return _UNFIT.sub("", text)


def one_line(text: str) -> str:
    """The text on one line, blanks single, control characters gone."""
    return " ".join(_UNFIT.sub("", text).split())


def paragraphs(text: str) -> str:
    """The text with line ends as they are written here, control characters gone."""
    return _UNFIT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def session_type(text: str) -> tuple[SessionType, str]:
    """The type, and the file's own word where it says more (empty otherwise)."""
    label = one_line(text)
    if not label:
        return "talk", ""
    type_ = _TYPES.get(re.sub(r"[ _]", "", label.lower()), "other")
    return type_, "" if label == type_ else label


def is_url(text: str) -> bool:
    """Whether the text is an address that may be shown as a link."""
    return len(text) <= URL_CHARS_MAX and _URL.fullmatch(text) is not None


def is_language(text: str) -> bool:
    """Whether the text is a language tag."""
    return _LANGUAGE.fullmatch(text) is not None
