"""A view per collection, so that other programs can read a node's data with SQL and without us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw
import msgspec

from konkordat.kernel.ids import Collection, Group
from konkordat.store.sqlite.connection import fetched, literal, quoted


class CollectionView(msgspec.Struct, frozen=True):
    """What a collection's view shows beside tenant, id and bookkeeping: each group in a column of its name, as SQL
    value (a JSON object or array as text), and for some groups each part in a column `group_part`."""

    collection: Collection
    groups: Sequence[Group]
    parts: Mapping[Group, Sequence[str]] = {}


def definition(view: CollectionView) -> str:
    """The SQL of a view. A record whose fields some peer filled with what is no JSON shows nulls."""
    columns = {
        "tenant": "s.tenant",
        "id": "r.id",
        "parent": "r.parent",
        "updated_ms": "r.touched >> 16",
        "updated_by": "r.actor",
    }
    for group in view.groups:
        columns.setdefault(group, _extracted(group))
        for part in view.parts.get(group, ()):
            columns.setdefault(f"{group}_{part}", _extracted(group, part))
    listed = ",\n    ".join(f"{sql} AS {quoted(name)}" for name, sql in columns.items())
    return (
        f"CREATE VIEW {quoted(view.collection)} AS SELECT\n    {listed}\n"
        "FROM scopes AS s JOIN records AS r ON r.scope = s.number\n"
        f"WHERE s.collection = {literal(view.collection)} AND r.life % 2 = 1"
    )


def _extracted(*path: str) -> str:
    # Labels in a path are JSON strings, so whatever is in a name stays a name.
    labels = "".join("." + msgspec.json.encode(label).decode() for label in path)
    return (
        f"CASE WHEN json_valid(r.fields) THEN json_extract(r.fields, {literal('$' + labels)}) END"
    )


def refresh(connection: apsw.Connection, views: Sequence[CollectionView]) -> None:
    """Make the views that are missing or were defined otherwise. A view's name may not be that of a table of ours."""
    present: dict[str, str] = dict(fetched(connection, "views"))
    stale = [view for view in views if present.get(view.collection) != definition(view)]
    if not stale:
        return
    connection.execute("BEGIN IMMEDIATE")
    for view in stale:
        connection.execute(f"DROP VIEW IF EXISTS {quoted(view.collection)}")
        connection.execute(definition(view))
    connection.execute("COMMIT")
