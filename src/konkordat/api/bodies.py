"""Bodies of the schedule's records: decoded by prepared decoders, and turned into operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from konkordat.api.decoding import escaped, misfit, refused_value, unreadable
from konkordat.api.problems import FieldError, Problem, invalid
from konkordat.api.views import record_etag
from konkordat.kernel.canonical import UnfitValue
from konkordat.kernel.ids import valid_record_id
from konkordat.schedule.commands import OnConflict, Operation, OpName, operation
from konkordat.schedule.fields import UUID7_PATTERN
from konkordat.schedule.registry import COLLECTIONS, READ_ONLY_FIELDS, CollectionSpec

# What answers show and nobody can set; sent back, it is ignored, so that what was read can be written.
SHOWN_ONLY: Final = READ_ONLY_FIELDS | {"warnings", "dropped_slot", "occurrences", "skipped"}
SLOT_SHOWN_ONLY: Final = frozenset({"state", "start", "end", "granted", "held", "reason"})
ETAGS_MAX: Final = 20  # of an If-Match

UUID7: Final = re.compile(UUID7_PATTERN)

_object: Final = msgspec.json.Decoder(dict[str, Any])


class Codec(msgspec.Struct, frozen=True):
    """The decoders of one collection."""

    spec: CollectionSpec
    body: msgspec.json.Decoder[Any]
    patch: msgspec.json.Decoder[Any]


CODECS: Final[Mapping[str, Codec]] = {
    name: Codec(spec, msgspec.json.Decoder(spec.body), msgspec.json.Decoder(spec.patch))
    for name, spec in COLLECTIONS.items()
}


class Conditions(msgspec.Struct, frozen=True):
    """Under which conditions to write, and what to do with a slot that does not fit."""

    if_match: tuple[str, ...] = ()
    if_none_match_any: bool = False
    on_conflict: OnConflict = "fail"


def make_operation(
    op: OpName, type_: str, id: str, raw: bytes, conditions: Conditions, pointer: str = ""
) -> Operation:
    """An operation from a body as it came. Raises Problem, pointing below `pointer`.

    Of a create, `id` is the one to take if the body has none; of all others it is the record's, and a body may
    repeat but not change it.
    """
    codec = CODECS[type_]
    body = None if op == "delete" else read_body(codec, op, raw, pointer)
    id = _derived_id(codec.spec, op, body, id, pointer)
    own_id = getattr(body, "id", None)
    if own_id is not None and own_id != id:
        if op != "create":
            raise invalid(f"{pointer}/id", "The id in the body is not that of the address.")
        id = own_id
    if op in {"create", "upsert"}:
        if not UUID7.fullmatch(id):
            raise invalid(f"{pointer.removesuffix('/data')}/id", "An id is a UUIDv7 in lower case.")
    elif not valid_record_id(id):
        raise Problem("not_found", "There is no record with such an id.")
    try:
        return operation(
            op,
            type_,
            id,
            body,
            if_match=conditions.if_match,
            if_none_match_any=conditions.if_none_match_any,
            on_conflict=conditions.on_conflict,
        )
    except UnfitValue as error:
        detail = str(error) or "A value cannot be kept."
        raise Problem(
            "invalid", detail, errors=[FieldError("unfit_value", pointer, detail)]
        ) from error


def _derived_id(spec: CollectionSpec, op: OpName, body: Any, id: str, pointer: str) -> str:
    """The id that the body's record must have; the given one where ids are free."""
    if spec.id_of is None or op not in {"create", "upsert"}:
        return id
    derived = spec.id_of(body)
    own_id = body.id or (id if op == "upsert" else derived)
    if own_id != derived:
        detail = f"The id of this record follows from what it names: it is {derived}."
        raise invalid(f"{pointer}/id", detail)
    return derived


def read_body(codec: Codec, op: OpName, raw: bytes, pointer: str) -> msgspec.Struct:
    """A body or patch. Raises Problem."""
    decoder = codec.patch if op == "patch" else codec.body
    try:
        decoded: msgspec.Struct = decoder.decode(raw)
    except msgspec.ValidationError as error:
        return _read_again(decoder.type, frozenset(codec.spec.outcome), raw, pointer, error)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(raw, pointer) from error
    return decoded


def _read_again(
    type_: Any, outcome: frozenset[str], raw: bytes, pointer: str, error: msgspec.ValidationError
) -> msgspec.Struct:
    """A body that does not fit may be one that was read from here: without what answers add it may fit."""
    try:
        fields = _object.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        raise refused_value(error, raw, pointer) from error
    slot = fields.get("slot")
    shown = (SHOWN_ONLY | outcome) & fields.keys()
    slot_shown = SLOT_SHOWN_ONLY & slot.keys() if isinstance(slot, dict) else frozenset()
    if not shown and not slot_shown:
        raise refused_value(error, raw, pointer) from error
    fields = {name: value for name, value in fields.items() if name not in shown}
    if isinstance(slot, dict):
        fields["slot"] = {k: v for k, v in slot.items() if k not in SLOT_SHOWN_ONLY}
    try:
        converted: msgspec.Struct = msgspec.convert(fields, type_)
    except msgspec.ValidationError as second:
        raise misfit(str(second), pointer) from second
    return converted


def etags(header: str) -> tuple[str, ...]:
    """The tags of an If-Match or If-None-Match (RFC 9110 §13.1). Raises Problem for what is no list of tags."""
    if not header:
        return ()
    tags = tuple(tag.strip() for tag in header.split(","))
    well_formed = all(
        tag == "*" or (len(tag) > 1 and tag.removeprefix("W/")[:1] == '"' and tag[-1] == '"')
        for tag in tags
    )
    if not well_formed or len(tags) > ETAGS_MAX:
        raise Problem("bad_request", 'An ETag is written in quotes, such as "3f2a…"; * means any.')
    return tags


def written_etags(header: str) -> tuple[str, ...]:
    """The tags of an If-Match, as the domain compares them."""
    return tuple(record_etag(tag) for tag in etags(header))


def at(pointer: str, name: str) -> str:
    """One step further down a JSON pointer."""
    return f"{pointer}/{escaped(name)}"
