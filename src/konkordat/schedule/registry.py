"""The collections of the schedule as data, and the way between a body and the groups of a record.

A record in the store is ``{group: JSON value}``; each group is one register that merges as a whole.

    field kind   groups                      example
    VALUE        one, of the field's name    state, speakers
    MAP          one per key: field.key      title.de, external_ids.frab
    UNIT         one object                  slot, recording

A field that equals its default has no group: defaults are computed on read.
A group holding null is a cleared one. Groups that no field knows (written by a newer release) are
left alone here; the store keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, structs

from konkordat.schedule.attendance import AttendeeBody, RegistrationBody, id_of_registration
from konkordat.schedule.holds import HoldBody
from konkordat.schedule.model import (
    BoothBody,
    EventBody,
    RoomBody,
    SessionBody,
    SpeakerBody,
    VenueBody,
)
from konkordat.schedule.patches import patch_of
from konkordat.schedule.releases import ReleaseBody, ReleasePartBody
from konkordat.schedule.series_body import SeriesBody

# What the API adds to every answer; a client may send it back, and it is dropped before decoding.
READ_ONLY_FIELDS: Final = frozenset(
    ("version", "created_at", "updated_at", "updated_by", "updated_at_node", "deleted_at")
)

Groups = dict[str, Any]


class FieldKind(Enum):
    """How the values of a field are spread over groups."""

    VALUE = "value"
    MAP = "map"
    UNIT = "unit"


class FieldSpec(Struct, frozen=True):
    """One field of a body."""

    name: str
    kind: FieldKind
    # The value of a record without the group, JSON-ready; UNSET for a required field.
    default: Any


class Reference(Struct, frozen=True):
    """A place in a body that holds the id of another record, or a list of such ids."""

    pointer: (
        str  # JSON pointer (RFC 6901) within the body: "/slot/room"; * stands for each of a list
    )
    collection: str


class CollectionSpec(Struct, frozen=True):
    """A collection: its bodies, how they become groups, and what they refer to."""

    name: str
    body: type[Struct]
    patch: type[Struct]
    fields: tuple[FieldSpec, ...]
    references: tuple[Reference, ...] = ()
    # The group whose value is a claim on a room or booth; None for collections without such claims.
    claim_group: str | None = None
    # Fields that say who decides what the record is about, and so never change once they are set.
    fixed: frozenset[str] = frozenset()
    # The id that a body's record has, where it is not free: what must exist once at most has one id everywhere.
    id_of: Callable[[Any], str] | None = None
    # What answers show of the claim that the record makes, beside the body. Sent back, it is ignored.
    outcome: tuple[str, ...] = ()
    # Written once, then never changed nor deleted.
    is_frozen: bool = False

    @property
    def has_claims(self) -> bool:
        """True if what is shown of a record depends on decisions."""
        return self.claim_group is not None or bool(self.outcome)


def _spec(
    name: str,
    body: type[Struct],
    *,
    maps: tuple[str, ...],
    units: tuple[str, ...] = (),
    references: tuple[tuple[str, str], ...] = (),
    claim_group: str | None = None,
    fixed: tuple[str, ...] = (),
) -> CollectionSpec:
    def kind(field: str) -> FieldKind:
        if field in maps:
            return FieldKind.MAP
        return FieldKind.UNIT if field in units else FieldKind.VALUE

    fields = tuple(
        FieldSpec(field.name, kind(field.name), _default(field))
        for field in structs.fields(body)
        if field.name != "id"
    )
    links = tuple(Reference(pointer, collection) for pointer, collection in references)
    return CollectionSpec(name, body, patch_of(body), fields, links, claim_group, frozenset(fixed))


def _default(field: structs.FieldInfo) -> Any:
    if field.required:
        return UNSET
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return list(field.default) if isinstance(field.default, tuple) else field.default


COLLECTIONS: Final[Mapping[str, CollectionSpec]] = {
    spec.name: spec
    for spec in (
        _spec(
            "events",
            EventBody,
            maps=("name", "subtitle", "description", "external_ids"),
            references=(("/venues", "venues"),),
        ),
        _spec("venues", VenueBody, maps=("name", "external_ids")),
        _spec(
            "rooms",
            RoomBody,
            maps=("name", "description", "external_ids"),
            references=(("/venue", "venues"), ("/event", "events")),
            fixed=("venue",),
        ),
        _spec(
            "booths",
            BoothBody,
            maps=("name", "description", "external_ids"),
            references=(("/venue", "venues"), ("/event", "events")),
            fixed=("venue",),
        ),
        _spec("speakers", SpeakerBody, maps=("biography", "external_ids")),
        _spec(
            "sessions",
            SessionBody,
            maps=("title", "subtitle", "abstract", "description", "external_ids"),
            units=("recording", "slot"),
            references=(
                ("/event", "events"),
                ("/speakers", "speakers"),
                ("/slot/room", "rooms"),
                ("/slot/booth", "booths"),
                ("/slot/alternatives/*/room", "rooms"),
                ("/slot/alternatives/*/booth", "booths"),
                ("/series", "series"),
            ),
            claim_group="slot",
            fixed=("event", "series", "recurrence_id"),
        ),
        _spec(
            "series",
            SeriesBody,
            maps=("external_ids",),
            units=("slot", "session"),
            references=(
                ("/event", "events"),
                ("/slot/room", "rooms"),
                ("/slot/booth", "booths"),
                ("/slot/alternatives/*/room", "rooms"),
                ("/slot/alternatives/*/booth", "booths"),
                ("/session/speakers", "speakers"),
            ),
            fixed=("event", "slot", "rule", "session"),
        ),
        _spec(
            "holds",
            HoldBody,
            maps=("external_ids",),
            units=("slot",),
            references=(
                ("/event", "events"),
                ("/slot/room", "rooms"),
                ("/slot/booth", "booths"),
                ("/slot/alternatives/*/room", "rooms"),
                ("/slot/alternatives/*/booth", "booths"),
            ),
            claim_group="slot",
            fixed=("event",),
        ),
        _spec("attendees", AttendeeBody, maps=("external_ids",)),
        structs.replace(
            _spec(
                "registrations",
                RegistrationBody,
                maps=("external_ids",),
                references=(("/session", "sessions"), ("/attendee", "attendees")),
                fixed=("session", "attendee"),
            ),
            id_of=id_of_registration,
            outcome=("state", "seats_held", "reason"),
        ),
        structs.replace(
            _spec("releases", ReleaseBody, maps=(), references=(("/event", "events"),)),
            outcome=("state",),
            is_frozen=True,
        ),
    )
}
# Kept and replicated like the others, and shown only as what they are part of.
INNER_COLLECTIONS: Final[Mapping[str, CollectionSpec]] = {
    "release_parts": structs.replace(
        _spec("release_parts", ReleasePartBody, maps=(), references=(("/event", "events"),)),
        is_frozen=True,
    )
}


def body_data(spec: CollectionSpec, body: Struct) -> dict[str, Any]:
    """The body as a JSON-ready object of what differs from the defaults, without the id."""
    plain = _plain(body)
    return {
        field.name: plain[field.name]
        for field in spec.fields
        if plain[field.name] is not None and plain[field.name] != field.default
    }


def to_groups(spec: CollectionSpec, body: Struct) -> Groups:
    """The groups of a new record: only what differs from the defaults."""
    data = body_data(spec, body)
    groups: Groups = {}
    for field in spec.fields:
        if field.name not in data:
            continue
        if field.kind is FieldKind.MAP:
            groups.update({f"{field.name}.{key}": text for key, text in data[field.name].items()})
        else:
            groups[field.name] = data[field.name]
    return groups


def replace_groups(spec: CollectionSpec, body: Struct, current: Mapping[str, Any]) -> Groups:
    """The writes that make ``current`` equal to the body: null for what it no longer has.

    Groups that already hold the value are left out, and so are groups of fields unknown here.
    """
    wanted = to_groups(spec, body)
    names = {field.name for field in spec.fields}
    cleared: Groups = {
        group: None
        for group, value in current.items()
        if value is not None and group not in wanted and group.partition(".")[0] in names
    }
    changed = {group: value for group, value in wanted.items() if current.get(group) != value}
    return cleared | changed


def patch_to_groups(spec: CollectionSpec, patch: Struct, current: Mapping[str, Any]) -> Groups:
    """The writes of a merge patch on a record with the groups ``current``.

    Null clears: for a map every key that ``current`` has. A unit is patched and written whole.
    What comes out must still be checked as a whole: see ``checked``.
    """
    groups: Groups = {}
    for field in spec.fields:
        value = _plain(getattr(patch, field.name))
        if value is UNSET:
            continue
        if field.kind is FieldKind.MAP:
            groups.update(_map_writes(field.name, value, current))
        elif field.kind is FieldKind.UNIT and value is not None:
            groups[field.name] = _merged_unit(current.get(field.name), value)
        else:
            groups[field.name] = value
    return groups


def from_groups(spec: CollectionSpec, groups: Mapping[str, Any]) -> dict[str, Any]:
    """The record as a JSON-ready object: every field of the body but ``id``, defaults filled in.

    A required field whose group is missing (a record that is only partly here) is null.
    """
    maps: dict[str, dict[str, Any]] = {}
    for group, value in groups.items():
        name, dot, key = group.partition(".")
        if dot and value is not None:
            maps.setdefault(name, {})[key] = value
    return {field.name: _field_value(field, groups, maps) for field in spec.fields}


def checked(spec: CollectionSpec, groups: Mapping[str, Any]) -> Struct:
    """The body that the groups amount to.

    Raises ``msgspec.ValidationError``, with the path of the field, if they break a rule of it.
    """
    present = {
        name: value for name, value in from_groups(spec, groups).items() if value is not None
    }
    return msgspec.convert(present, spec.body)


def pointed(value: Any, pointer: str, at: str = "") -> Iterator[tuple[str, str]]:
    """The texts to which a JSON pointer leads, with the pointer of each. A list at its end stands for its items."""
    step, _, rest = pointer[1:].partition("/")
    if step == "*" or (not step and isinstance(value, list | tuple)):
        for index, item in enumerate(value if isinstance(value, list | tuple) else ()):
            yield from pointed(item, f"/{rest}" if rest else "", f"{at}/{index}")
    elif not step:
        if isinstance(value, str):
            yield at, value
    elif isinstance(value, Mapping):
        yield from pointed(value.get(step), f"/{rest}" if rest else "", f"{at}/{step}")


def body_schemas(ref_template: str = "#/components/schemas/{name}") -> dict[str, Any]:
    """JSON Schemas (2020-12, as in OpenAPI 3.1) of all bodies and patches, by name."""
    types = [type_ for spec in COLLECTIONS.values() for type_ in (spec.body, spec.patch)]
    _, components = msgspec.json.schema_components(types, ref_template=ref_template)
    return components


def _plain(value: Any) -> Any:
    """Structs as JSON-ready dicts and lists (tuples become lists, as they do on the wire)."""
    if value is UNSET or value is None:
        return value
    return msgspec.json.decode(msgspec.json.encode(value))


def _map_writes(name: str, value: dict[str, Any] | None, current: Mapping[str, Any]) -> Groups:
    if value is not None:
        return {f"{name}.{key}": text for key, text in value.items()}
    prefix = f"{name}."
    return {
        group: None
        for group, text in current.items()
        if group.startswith(prefix) and text is not None
    }


def _merged_unit(current: Any, patch: dict[str, Any]) -> dict[str, Any]:
    merged = {**(current or {}), **patch}
    return {key: value for key, value in merged.items() if value is not None}


def _field_value(
    field: FieldSpec, groups: Mapping[str, Any], maps: Mapping[str, dict[str, Any]]
) -> Any:
    if field.kind is FieldKind.MAP:
        return dict(sorted(maps.get(field.name, {}).items()))
    value = groups.get(field.name)
    if value is not None:
        return value
    if field.default is UNSET:
        return None
    # A default that can be changed in place must not be shared between answers.
    return list(field.default) if isinstance(field.default, list) else field.default
