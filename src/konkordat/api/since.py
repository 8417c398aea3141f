"""From where and through which filter somebody follows changes, as the query says it."""

from __future__ import annotations

from typing import Final

from konkordat.api.call import Call
from konkordat.api.docs import EVENT, SESSION, VENUE, Field
from konkordat.api.problems import invalid
from konkordat.api.stream_messages import filter_of
from konkordat.api.tokens import Filter, parse_sync_token
from konkordat.kernel.ids import Origin
from konkordat.schedule.registry import COLLECTIONS

FILTER_FIELDS: Final = (
    Field("types", "Only these collections, separated by commas."),
    EVENT,
    VENUE,
    SESSION,
    Field("room", "Only sessions placed in this room or booth (its id)."),
    Field("fields", "Only changes that touch one of these fields, separated by commas."),
)


def since_of(call: Call, text: str | None, type_: str | None) -> tuple[Filter, dict[Origin, int]]:
    """The filter and the frontier to go on from. A token brings its filter; another one cannot be put on it."""
    query = call.query
    for name in ("types", "event", "venue", "session", "room", "fields"):
        if query.get(name) == "":
            raise invalid(f"?{name}", f"{name} is empty; leave it out to follow everything.")
    types = (type_,) if type_ else _names(query.get("types"))
    for name in types or ():
        if name not in COLLECTIONS:
            raise invalid("?types", f"There is no collection {name!r}.")
    asked = filter_of(
        types,
        _names(query.get("fields")),
        {n: query.get(n) for n in ("event", "venue", "session", "room")},
    )
    if text is None:
        raise invalid("?since", "since is a token: of a list's last page, or of any answer.")
    of_token, frontier = parse_sync_token(text)
    if of_token == Filter():
        return asked, frontier
    if asked not in {of_token, Filter(), Filter(types=of_token.types)}:
        raise invalid("?since", "The token belongs to another filter.")
    return of_token, frontier


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(","))
