"""Merge-patch twins of the bodies (RFC 7396): left out means unchanged, null means cleared.

The twins are made from the bodies, so a field or limit is written down once:

- a field with a default may be null;
- a map (translations, external ids) takes null per key, and as a whole where it may be empty;
- an object that merges as one unit takes a patch of itself;
- ``id`` cannot be patched.
"""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs


@cache
def patch_of(body: type[Struct]) -> type[Struct]:
    """The patch type of a body, e.g. ``SessionPatch`` of ``SessionBody``."""
    name = body.__name__.removesuffix("Body") + "Patch"
    return msgspec.defstruct(
        name,
        [
            (field.name, _patched(field), UNSET)
            for field in structs.fields(body)
            if field.name != "id"
        ],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        module=__name__,
        namespace={"__doc__": f"Changes to a {name.removesuffix('Patch').lower()}: a merge patch."},
    )


def _patched(field: structs.FieldInfo) -> Any:
    """The field's type with "unchanged" added, and "cleared" where the body has a default."""
    inner = _patched_type(field.type)
    cleared = None if not field.required else UnsetType
    return Union[inner, cleared, UnsetType]  # noqa: UP007 - members are computed


def _patched_type(type_: Any) -> Any:
    """The type with maps made clearable per key and lone structs replaced by their own patch."""
    origin = get_origin(type_)
    if origin is Annotated:
        inner, *notes = get_args(type_)
        patched = _patched_type(inner)
        if patched is inner:
            return type_
        # A lower bound on a map counts its keys, and a patch may name none or clear one.
        kept = [note for note in map(_without_lower_bound, notes) if note is not None]
        return Annotated[patched, *kept] if kept else patched
    if origin is dict:
        key, value = get_args(type_)
        return types.GenericAlias(dict, (key, value | None))
    if origin in (Union, types.UnionType):
        return Union[*(_patched_type(part) for part in get_args(type_))]
    if isinstance(type_, type) and issubclass(type_, Struct):
        return patch_of(type_)
    return type_


def _without_lower_bound(note: Any) -> Any:
    if not isinstance(note, msgspec.Meta) or note.min_length is None:
        return note
    if note.max_length is None and note.description is None:
        return None
    return msgspec.Meta(
        max_length=note.max_length, description=note.description, examples=note.examples
    )
