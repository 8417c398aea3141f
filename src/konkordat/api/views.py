"""Records as JSON bytes.

A record's values are canonical JSON already, so an answer is put together from them without decoding. What is derived
(defaults, times, a slot's state) is spliced in. tests compare it with the plain way through `registry.from_groups`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from konkordat.kernel.claim import Claim, ClaimState, DecidedClaim
from konkordat.kernel.hlc import ms_of
from konkordat.kernel.ids import Group, RecordKey, node_of
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.schedule.claims import SLOT_PART, place_of
from konkordat.schedule.commands import etag
from konkordat.schedule.registry import COLLECTIONS, CollectionSpec, FieldKind
from konkordat.schedule.times import utc_text

NULL: Final = b"null"
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_check: Final = msgspec.json.Decoder(msgspec.Raw).decode
# The times of one import share a few milliseconds.
instant: Final = lru_cache(maxsize=4_096)(utc_text)


class _Field(msgspec.Struct, frozen=True):
    name: Group
    is_map: bool
    is_slot: bool
    prefix: bytes  # `,"state":`
    default: bytes  # JSON


class Form:
    """How the records of one collection are shown."""

    def __init__(self, spec: CollectionSpec) -> None:
        self.spec = spec
        self.type = spec.name
        self.claim_group = spec.claim_group
        self._fields = tuple(
            _Field(
                Group(field.name),
                field.kind is FieldKind.MAP,
                field.name == spec.claim_group,
                b"," + _encode(field.name) + b":",
                NULL if field.default is msgspec.UNSET else _encode(field.default),
            )
            for field in spec.fields
        )

    def json(self, record: Record, claims: Sequence[DecidedClaim] = ()) -> bytes:
        """The record as clients see it. Of a deleted one only its id, version and times are left."""
        parts = [b'{"id":', _encode(record.key.id)]
        if record.alive:
            self._write_fields(record, claims, parts)
        parts.append(_tail(record, version(record, claims)))
        return b"".join(parts)

    def map_json(self, record: Record, name: str) -> bytes:
        """One map field alone, such as a session's title."""
        entries = _maps(record.fields).get(name, [])
        return b"{" + b",".join(sorted(entries)) + b"}"

    def _write_fields(
        self, record: Record, claims: Sequence[DecidedClaim], parts: list[bytes]
    ) -> None:
        values = record.fields
        maps = _maps(values)
        for field in self._fields:
            parts.append(field.prefix)
            if field.is_map:
                entries = maps.get(field.name)
                parts.append(b"{" + b",".join(sorted(entries)) + b"}" if entries else b"{}")
                continue
            register = values.get(field.name)
            value = NULL if register is None else readable(register.value)
            if value == NULL:
                parts.append(field.default)
            elif field.is_slot:
                parts.append(with_state(value, claim_of(claims, field.name)))
            else:
                parts.append(value)


def _maps(values: Mapping[Any, Register]) -> dict[str, list[bytes]]:
    """Entries `"de":"…"` of each map field, from groups such as `title.de`."""
    maps: dict[str, list[bytes]] = {}
    for group, register in values.items():
        name, dot, key = group.partition(".")
        if dot:
            value = readable(register.value)
            if value != NULL:
                maps.setdefault(name, []).append(_encode(key) + b":" + value)
    return maps


def _tail(record: Record, version_: str) -> bytes:
    touched_at = instant(ms_of(record.touched.hlc))
    return (
        f',"version":"{version_}","created_at":"{instant(ms_of(record.born.hlc))}",'
        f'"updated_at":"{touched_at}","updated_by":'.encode()
        + _encode(record.actor)
        + f',"updated_at_node":"{node_of(record.touched.origin)}","deleted_at":'.encode()
        + (NULL if record.alive else f'"{touched_at}"'.encode())
        + b"}"
    )


def readable(value: bytes) -> bytes:
    """The value, or `null` for bytes that are not JSON: a peer cannot make us send what readers cannot parse."""
    try:
        if not value.isascii():
            value.decode()
        _check(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NULL
    return value


# Claims -------------------------------------------------------------------------------------------


def claim_of(claims: Iterable[DecidedClaim], part: str) -> DecidedClaim | None:
    """The claim on a place that a record makes through one of its groups."""
    for decided in claims:
        if decided.claim.id.part == part and decided.claim.quantity:
            return decided
    return None


def with_state(slot: bytes, decided: DecidedClaim | None) -> bytes:
    """A slot with what follows from it: when it is in UTC, and what became of its claim. A slot that claims nothing,
    because its session is cancelled, is released."""
    if not slot.endswith(b"}") or slot == b"{}":
        return slot
    state = ClaimState.RELEASED if decided is None else decided.state
    extra = f',"state":"{state.value}"'
    place = place_of(slot)
    if place is not None:
        start, until = place.interval.start_ms, place.interval.until_ms
        extra += f',"start":"{instant(start)}","end":"{instant(until)}"'
    if decided is not None and decided.state is ClaimState.DISPLACED:
        extra += f',"reason":{reason(decided).decode()}'
    return slot[:-1] + extra.encode() + b"}"


def reason(decided: DecidedClaim) -> bytes:
    """Why a claim lost its place: which claims stand there."""
    claims = [{"type": id.owner.collection, "id": id.owner.id} for id in decided.against]
    return _encode({"code": "slot_taken", "claims": claims})


def version(record: Record, claims: Sequence[DecidedClaim] = ()) -> str:
    """The version that clients see, and the ETag without its quotes: what the record is, and what became of its slot,
    since others can change that."""
    base = etag(record)[1:-1]
    decided = claim_of(claims, SLOT_PART) if claims else None
    if decided is None or decided.state is ClaimState.CONFIRMED:
        return base
    outcome = repr((decided.state.value, decided.against)).encode()
    return f"{base}.{hashlib.blake2b(outcome, digest_size=4).hexdigest()}"


def record_etag(tag: str) -> str:
    """The record's own part of an ETag that a client sends back: a write looks at what was written, not at what became
    of the slot."""
    return f'{tag.partition(".")[0]}"' if "." in tag and tag.endswith('"') else tag


def claim_view(claim: Claim) -> dict[str, Any]:
    """A claim for people and programs: who holds what, from when to when."""
    return {
        "type": claim.id.owner.collection,
        "id": claim.id.owner.id,
        "resource": claim.resource.name,
        "start": instant(claim.start_ms),
        "end": instant(claim.until_ms),
    }


FORMS: Final[Mapping[str, Form]] = {name: Form(spec) for name, spec in COLLECTIONS.items()}


def form_of(key: RecordKey) -> Form | None:
    """How a record is shown; None for collections that are not part of the schedule."""
    return FORMS.get(key.collection)
