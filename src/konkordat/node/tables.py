"""The SQL views of the schedule's collections: what other programs see of a node's data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from konkordat.kernel.ids import Collection, Group
from konkordat.schedule.model import Slot
from konkordat.schedule.registry import COLLECTIONS, CollectionSpec, FieldKind
from konkordat.store.sqlite import CollectionView

# Texts have a group per language, made as they are written; a view has fixed columns. These are the languages of the
# country and English; others are in the records all the same.
LANGUAGES: Final = ("de", "fr", "it", "rm", "en")
LANGUAGE_FIELDS: Final = frozenset(
    ("title", "subtitle", "abstract", "description", "name", "biography")
)
# A hold is taken over by writing a slot, and is no part of it.
SLOT_PARTS: Final = tuple(f.name for f in structs.fields(Slot) if f.name != "hold")


def collection_views() -> tuple[CollectionView, ...]:
    """A view per collection."""
    return tuple([_view(spec) for _, spec in sorted(COLLECTIONS.items())])


def _view(spec: CollectionSpec) -> CollectionView:
    groups = tuple(_groups(spec))
    parts = {Group("slot"): SLOT_PARTS} if Group("slot") in groups else {}
    return CollectionView(Collection(spec.name), groups, parts)


def _groups(spec: CollectionSpec) -> Iterator[Group]:
    for field in spec.fields:
        if field.kind is not FieldKind.MAP:
            yield Group(field.name)
        elif field.name in LANGUAGE_FIELDS:
            yield from (Group(f"{field.name}.{language}") for language in LANGUAGES)
