"""What people call things, and what the nodes call them: rooms, events, sessions and attendees by name or id."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from konkordat.cli.exits import CommandError, ExitCode
from konkordat.client import Client, NotFound

Item = dict[str, Any]

ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
END_CHARS_MIN: Final = 4  # of an id, to name a record by: fewer is a slip more likely than a name
NAMES_SHOWN_MAX: Final = 12  # of what there is, where a name fits nothing
# Records that are looked through for a name: a large programme, a large congress. Beyond it takes the id.
LOOKED_MAX: Final = 20_000
PAGE: Final = "200"
LIVE: Final = frozenset(
    {"confirmed", "tentative"}
)  # states of a slot that has or asks for its place


class Site(Struct, frozen=True):
    """A room or booth."""

    kind: str  # room, booth
    id: str
    name: str
    venue: str  # id
    zone: str  # of the venue

    def slot(self) -> dict[str, str]:
        """What of a slot it says."""
        return {self.kind: self.id}


class Names:
    """Finds records by what people call them, and what to call them. Lists are read once, and only when needed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lists: dict[str, list[Item]] = {}
        self._records: dict[tuple[str, str], Item | None] = {}

    # From a name to a record -------------------------------------------------------------------------

    def event(self, text: str) -> Item:
        """An event by slug, name or id; by nothing, if there is one only. Raises CommandError."""
        if text:
            return self._one("events", text)
        events = self._list("events")
        if len(events) == 1:
            return events[0]
        there = _listed([_event_name(event) for event in events])
        message = f"Say for which event with --event. {there}"
        raise CommandError(message, ExitCode.USAGE, "usage")

    def site(self, text: str) -> Site:
        """A room or booth by name ("Saal", "Kursaal/Saal") or id. Raises CommandError."""
        venue_name, slash, name = text.rpartition("/")
        found = self._matching(("rooms", "booths"), name)
        if slash and found:
            venues = {v["id"] for _, v in self._matching(("venues",), venue_name)}
            found = [(c, place) for c, place in found if place["venue"] in venues]
        if not found and slash:  # a name may have a slash
            found = self._matching(("rooms", "booths"), text)
        collection, place = self._only(found, text, "room or booth", self._places)
        kind = collection.removesuffix("s")
        return Site(kind, place["id"], name_of(place), place["venue"], self.zone(place))

    def zone(self, item: Item) -> str:
        """The time zone of an event or venue, or of a place's venue."""
        of = item if "time_zone" in item else self.get("venues", str(item.get("venue")))
        return str(of["time_zone"]) if of else "UTC"

    def record(self, collection: str, text: str) -> Item:
        """A record of a collection by name or id. Raises CommandError."""
        return self._one(collection, text)

    def anywhere(self, text: str) -> tuple[str, Item]:
        """(collection, record) of an event, venue, room or booth of that name or id. Raises CommandError."""
        found = self._matching(("events", "venues"), text)
        found = found or self._matching(("rooms", "booths"), text)
        if not found and "/" in text:
            site = self.site(text)
            return f"{site.kind}s", {"id": site.id, "venue": site.venue}

        def there() -> Iterable[str]:
            yield from map(_event_name, self._list("events"))
            yield from map(name_of, self._list("venues"))
            yield from self._places()

        return self._only(found, text, "event, venue, room or booth", there)

    def attendee(self, text: str) -> Item:
        """An attendee by name, mail address or id. Raises CommandError."""
        return self._one("attendees", text)

    def _one(self, collection: str, text: str) -> Item:
        kind = "series" if collection == "series" else collection.removesuffix("s")
        names = _event_name if collection == "events" else name_of
        found = self._matching((collection,), text)
        # Of several by one name those that have or want their place are meant.
        found = [one for one in found if _is_live(one[1])] or found
        return self._only(found, text, kind, lambda: map(names, self._list(collection)))[1]

    def _matching(self, collections: Sequence[str], text: str) -> list[tuple[str, Item]]:
        """By id; else by name as written, in other letters, by the end of the id: the first of these that fits any."""
        if ID.fullmatch(text):
            read = [(collection, self.get(collection, text)) for collection in collections]
            return [(collection, item) for collection, item in read if item is not None]
        items = [
            (collection, item) for collection in collections for item in self._list(collection)
        ]
        lower = text.casefold()
        ways: tuple[Callable[[Item], bool], ...] = (
            lambda item: text in _called(item),
            lambda item: lower in {name.casefold() for name in _called(item)},
            lambda item: len(text) >= END_CHARS_MIN and item["id"].endswith(lower),
        )
        return next((found for way in ways if (found := [i for i in items if way(i[1])])), [])

    def _only(
        self,
        found: Sequence[tuple[str, Item]],
        text: str,
        kind: str,
        there: Callable[[], Iterable[str]],
    ) -> tuple[str, Item]:
        if len(found) == 1:
            return found[0]
        if not found:
            raise unknown(kind, text, there())
        which = ", ".join(self._told_apart(item) for _, item in found[:NAMES_SHOWN_MAX])
        message = f"{text} may be any of {which}. Give the id, or its last {END_CHARS_MIN * 2} characters."
        raise CommandError(message, ExitCode.USAGE, "ambiguous")

    def _told_apart(self, item: Item) -> str:
        """What tells records of one name apart."""
        venue = self.get("venues", item["venue"]) if item.get("venue") else None
        mark = (
            name_of(venue)
            if venue
            else item.get("email")
            or (item.get("slot") or {}).get("local_start", "").replace("T", " ")
        )
        return f"{item['id']} ({mark})" if mark else str(item["id"])

    def _places(self) -> list[str]:
        return [name_of(place) for kind in ("rooms", "booths") for place in self._list(kind)]

    def _site(self, kind: str, place: Item) -> Site:
        venue = self.get("venues", place["venue"])
        zone = str(venue["time_zone"]) if venue else "UTC"
        return Site(kind, place["id"], name_of(place), place["venue"], zone)

    # From a record to its name -----------------------------------------------------------------------

    def get(self, collection: str, id: str) -> Item | None:
        """A record by its id; None if it is not there."""
        if (collection, id) not in self._records:
            try:
                self._records[collection, id] = self._client.get(collection, id)
            except NotFound:
                self._records[collection, id] = None
        return self._records[collection, id]

    def name(self, collection: str, id: str) -> str:
        """What to call a record."""
        item = self.get(collection, id)
        return id if item is None else name_of(item)

    def note(self, collection: str, item: Item) -> None:
        """Remember a record as it is now."""
        self._records[collection, item["id"]] = item

    def known(self, collection: str, id: str) -> str:
        """What a record was called, if it was ever seen: it may be gone by now."""
        item = self._records.get((collection, id))
        return id if item is None else name_of(item)

    def place(self, slot: Item) -> str:
        """The room or booth of a slot."""
        kind = "rooms" if slot.get("room") else "booths"
        return self.name(kind, str(slot.get("room") or slot.get("booth")))

    def holder(self, claim: Item) -> str:
        """Who has a place: 'Auftakt', or the hold 'for the board'."""
        if claim["type"] == "sessions":
            title = claim.get("title") or {}
            return f"‘{next(iter(title.values()), '') or self.name('sessions', claim['id'])}’"
        if claim["type"] == "holds":
            hold = self.get("holds", claim["id"])
            note = f" ‘{hold['note']}’" if hold and hold.get("note") else ""
            return f"a hold{note}"
        return f"{claim['type']} {claim['id']}"

    def _list(self, collection: str) -> list[Item]:
        if collection not in self._lists:
            listed = self._client.list(collection, limit=PAGE)
            found = list(islice(listed, LOOKED_MAX + 1))
            if len(found) > LOOKED_MAX:
                message = (
                    f"There are more than {LOOKED_MAX} {collection} to look through. Give the id."
                )
                raise CommandError(message, ExitCode.USAGE, "too_many")
            self._lists[collection] = found
            self._records |= {(collection, item["id"]): item for item in found}
        return self._lists[collection]


def name_of(item: Item) -> str:
    """A record's name or title, in its first language; of a series that of its sessions, of a hold its note."""
    named = _named(item)
    if isinstance(named, dict):
        return str(next(iter(named.values()), item["id"]))
    return str(named or item["id"])


def _named(item: Item) -> Any:
    said = (item.get("title"), item.get("name"), (item.get("session") or {}).get("title"))
    return next(filter(None, (*said, item.get("note"))), None)


def unknown(kind: str, text: str, there: Iterable[str]) -> CommandError:
    """Nothing is called so; what there is."""
    message = f"There is no {kind} {text!r}. {_listed(list(there))}"
    return CommandError(message, ExitCode.REFUSED, "not_found")


def _called(item: Item) -> set[str]:
    named = _named(item)
    names = set(named.values()) if isinstance(named, dict) else {str(named)}
    return names | {item[key] for key in ("slug", "email") if item.get(key)}


def _is_live(item: Item) -> bool:
    return (item.get("slot") or {}).get("state", "confirmed") in LIVE


def _event_name(event: Item) -> str:
    return str(event["slug"])


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "There is none yet."
    shown = sorted(set(names))
    more = f" and {len(shown) - NAMES_SHOWN_MAX} more" if len(shown) > NAMES_SHOWN_MAX else ""
    return f"There are: {', '.join(shown[:NAMES_SHOWN_MAX])}{more}."
