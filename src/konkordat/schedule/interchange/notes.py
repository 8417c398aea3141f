"""Cleaning the texts of one session, noting what had to be cut or left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from konkordat.schedule import fields as f
from konkordat.schedule.interchange.programme import FindingCode
from konkordat.schedule.interchange.raw import Problem, RawLink
from konkordat.schedule.interchange.texts import is_language, is_url, one_line
from konkordat.schedule.model import Attachment, Link


class Notes:
    """What was wrong with one session, and the checks that note it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)

    def add(self, code: FindingCode, detail: str) -> None:
        self.problems.append(Problem(code, detail))

    def limited(self, text: str, chars_max: int, what: str) -> str:
        if len(text) <= chars_max:
            return text
        self.add(
            FindingCode.TEXT_TOO_LONG,
            f"its {what} has {len(text)} characters and was cut at {chars_max}",
        )
        return text[:chars_max]

    def language(self, text: str) -> str | None:
        if not text.strip():
            return None
        primary, dash, rest = text.strip().replace("_", "-").partition("-")
        language = primary.lower() + dash + rest
        if is_language(language):
            return language
        self.add(FindingCode.BAD_LANGUAGE, f"{text} is not a language tag")
        return None

    def url(self, text: str) -> str | None:
        url = text.strip().replace(" ", "%20")
        if not url:
            return None
        if is_url(url):
            return url
        self.add(FindingCode.BAD_LINK, f"{url[:200]} is not an address that may be linked")
        return None

    def links(self, raws: Iterable[RawLink]) -> tuple[Link, ...]:
        links = []
        for raw in self._few(raws, "links"):
            url = self.url(raw.url)
            if url:
                links.append(Link(url=url, title=self._title(raw)))
        return tuple(links)

    def attachments(self, raws: Iterable[RawLink], types: Sequence[str]) -> tuple[Attachment, ...]:
        attachments = []
        for index, raw in enumerate(self._few(raws, "attachments")):
            url = self.url(raw.url)
            type_ = raw.type or (types[index] if index < len(types) else "")
            if url:
                type_ = one_line(type_)[: f.LABEL_CHARS_MAX]
                attachments.append(Attachment(url=url, title=self._title(raw), type=type_))
        return tuple(attachments)

    def _title(self, raw: RawLink) -> str:
        return self.limited(one_line(raw.title), f.TITLE_CHARS_MAX, "text of a link")

    def _few(self, raws: Iterable[RawLink], what: str) -> list[RawLink]:
        found = list(raws)
        if len(found) > f.LINKS_MAX:
            detail = f"of {len(found)} {what} the first {f.LINKS_MAX} were taken"
            self.add(FindingCode.TOO_MANY_ENTRIES, detail)
        return found[: f.LINKS_MAX]
