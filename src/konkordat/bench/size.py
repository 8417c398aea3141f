"""Bytes on the wire for real changes: JSON, protobuf, and protobuf compressed, as nodes send them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from konkordat.bench.results import Figure, Section, at_least
from konkordat.bench.run import Setting
from konkordat.cli.importing import load_sample
from konkordat.kernel import canonical
from konkordat.kernel.change import NO_HASH, Batch, Change, Transaction
from konkordat.kernel.hlc import hlc_at
from konkordat.kernel.ids import Group, NodeName, Origin, make_origin, record_key
from konkordat.schedule.interchange.plan import UpsertOperation, plan_import
from konkordat.schedule.registry import COLLECTIONS, to_groups
from konkordat.wire.batches import seal
from konkordat.wire.codec import Codec
from konkordat.wire.messages import Push

BOUND_PERCENT: Final = 60.0
NOW_MS: Final = 1_798_000_000_000
NODE: Final = NodeName("zurich")
# An edit as people make it: one field, or the slot.
EDITED: Final = (Group("slot"), Group("track"), Group("state"), Group("speakers"))


async def measure_size(setting: Setting) -> Section:
    """The same changes of the shipped programme, written three ways."""
    setting.say(
        "the changes of the shipped programme, as JSON, as protobuf, as a frame between nodes"
    )
    plan = plan_import(load_sample())
    sessions = [entry for entry in plan.operations if entry.collection == "sessions"]
    edits = [[change] for entry in sessions for change in _edits(entry)]
    whole = [[_change(entry)] for entry in sessions]
    everything = [[_change(entry)] for entry in plan.operations]
    figures = [
        *_figures("edit", "an edit of one field", edits, together=1),
        *_figures("session", "a new session", whole, together=1),
        *_figures("import", "an import, 100 transactions a push", everything, together=100),
    ]
    return Section(
        "size",
        "Size: a change between nodes, against the same in JSON",
        tuple(figures),
        "JSON without white space, with the same content: ids, stamps, hashes, actors, fields. A frame is what nodes"
        " send: an envelope in protobuf, by zstd where that makes it smaller, with a checksum.",
    )


def _figures(
    name: str, label: str, transactions: Sequence[list[Change]], *, together: int
) -> Iterator[Figure]:
    """Sizes of one kind of change, and how much smaller a frame is."""
    as_json = as_protobuf = as_frame = 0
    codec = Codec("forum", NODE)
    origin = make_origin(NODE, NOW_MS, bytes(range(5)))
    previous = NO_HASH
    for seq, start in enumerate(range(0, len(transactions), together), start=1):
        batch = _batch(origin, seq, previous, transactions[start : start + together])
        sealed = seal(batch)
        previous = sealed.hash
        as_json += len(_json(batch))
        as_protobuf += len(sealed.body)
        as_frame += len(codec.encode(Push((sealed.body,), NOW_MS)))
    count = len(transactions)
    smaller = 100 * (1 - as_frame / as_json)
    smaller_by = (f"{name}_smaller_percent", f"{label}: smaller by", smaller)
    # What is promised is "up to": of a single small change most bytes are ids and hashes, which nothing makes smaller.
    yield at_least(*smaller_by, BOUND_PERCENT, "%") if together > 1 else Figure(*smaller_by, "%")
    yield Figure(f"{name}_json_bytes", "  JSON, a transaction", as_json / count, "B")
    yield Figure(f"{name}_protobuf_bytes", "  protobuf", as_protobuf / count, "B")
    yield Figure(f"{name}_frame_bytes", "  frame", as_frame / count, "B")


def _change(entry: UpsertOperation) -> Change:
    """The change that makes the record."""
    spec = COLLECTIONS[entry.collection]
    groups = to_groups(spec, msgspec.convert(entry.data, spec.body))
    fields = {Group(group): canonical.encode(value) for group, value in groups.items()}
    return Change(record_key("forum", entry.collection, entry.id), 1, fields)


def _edits(entry: UpsertOperation) -> Iterator[Change]:
    """Changes of single groups of the record."""
    whole = _change(entry)
    titles = [group for group in whole.fields if group.startswith("title.")]
    for group in (*EDITED, *titles):
        if group in whole.fields:
            yield Change(whole.key, 1, {group: whole.fields[group]})


def _batch(
    origin: Origin, seq: int, previous: bytes, transactions: Sequence[list[Change]]
) -> Batch:
    made = [
        Transaction(
            hlc=hlc_at(NOW_MS + seq, number),
            changes=tuple(changes),
            actor=_id(f"actor {number % 7}", 16),
            cause_id=f"{_id(f'cause {seq} {number}', 32)}.{number:x}",
        )
        for number, changes in enumerate(transactions)
    ]
    return Batch(origin, seq, previous, tuple(made))


def _id(seed: str, length: int) -> str:
    """Something as random as an id."""
    return hashlib.blake2b(seed.encode(), digest_size=length // 2).hexdigest()


def _json(batch: Batch) -> bytes:
    """The batch as a JSON API would send it."""
    transactions: list[dict[str, Any]] = [
        {
            "hlc": transaction.hlc,
            "actor": transaction.actor,
            "cause_id": transaction.cause_id,
            "tenant": transaction.changes[0].key.tenant,
            "changes": [
                {
                    "collection": change.key.collection,
                    "id": change.key.id,
                    "life": change.life,
                    "fields": {g: msgspec.Raw(value) for g, value in change.fields.items()},
                }
                for change in transaction.changes
            ],
        }
        for transaction in batch.transactions
    ]
    return msgspec.json.encode(
        {
            "origin": batch.origin,
            "seq": batch.seq,
            "previous": batch.previous.hex(),
            "transactions": transactions,
        }
    )
