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
from konkordat.kernel.ids import RecordKey, node_of
from konkordat.kernel.record import Record
from konkordat.replica.claims import HELD
from konkordat.schedule.claims import CANCELLED, SEATS_PART, WAITLIST, value_of
from konkordat.schedule.commands import etag
from konkordat.schedule.registrations import CHECKED_IN
from konkordat.schedule.registry import COLLECTIONS, CollectionSpec, FieldKind, FieldSpec
from konkordat.schedule.slots import SLOT_PART, place_of
from konkordat.schedule.times import utc_text

NULL: Final = b"null"
HELD_SEATS_PART: Final = SEATS_PART + HELD  # seats kept while a change of how many was not granted
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_skim: Final = msgspec.json.Decoder(msgspec.Raw).decode
_decode: Final = msgspec.json.Decoder().decode
# The times of one import share a few milliseconds.
instant: Final = lru_cache(maxsize=4_096)(utc_text)


class Form:
    """How the records of one collection are shown.

    A prepared list holds every field with its default; of a record only the groups that it has are put in, so the cost
    follows what is there and not what could be.
    """

    def __init__(self, spec: CollectionSpec) -> None:
        self.spec = spec
        self.type = spec.name
        self.claim_group = spec.claim_group
        self._prefixes = [b"," + _encode(field.name) + b":" for field in spec.fields]
        self._defaults = [
            prefix + _default(field)
            for prefix, field in zip(self._prefixes, spec.fields, strict=True)
        ]
        maps = {n for n, field in enumerate(spec.fields) if field.kind is FieldKind.MAP}
        self._maps = {spec.fields[n].name: n for n in maps}
        self._values = {f.name: n for n, f in enumerate(spec.fields) if n not in maps}

    def json(
        self, record: Record, claims: Sequence[DecidedClaim] = (), version_: str | None = None
    ) -> bytes:
        """The record as clients see it. Of a deleted one only its id, version and times are left.

        `version_` is its version, for callers that have it already.
        """
        parts = [b'{"id":', _encode(record.key.id)]
        if record.alive:
            parts += self._fields(record, claims)
            if self.spec.outcome:
                parts.append(seats_json(record, claims))
        parts.append(_tail(record, version_ or version(record, claims)))
        return b"".join(parts)

    def _fields(self, record: Record, claims: Sequence[DecidedClaim]) -> list[bytes]:
        parts = self._defaults.copy()
        maps: dict[int, list[bytes]] = {}
        for group, register in record.fields.items():
            value = readable(register.value)
            if value == NULL:
                continue
            at = self._values.get(group)
            if at is not None:
                if group == self.claim_group:
                    value = with_state(value, claim_of(claims, group))
                parts[at] = self._prefixes[at] + value
                continue
            name, dot, key = group.partition(".")
            if dot and name in self._maps:
                maps.setdefault(self._maps[name], []).append(_encode(key) + b":" + value)
        for at, entries in maps.items():
            parts[at] = self._prefixes[at] + b"{" + b",".join(sorted(entries)) + b"}"
        return parts

    def map_json(self, record: Record, name: str) -> bytes:
        """One map field alone, such as a session's title."""
        at = self._maps[name]
        return self._fields(record, ())[at].removeprefix(self._prefixes[at])


def _default(field: FieldSpec) -> bytes:
    """What is shown of a field that has no group."""
    if field.kind is FieldKind.MAP:
        return b"{}"
    return NULL if field.default is msgspec.UNSET else _encode(field.default)


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
        # Skimming is enough for a text; elsewhere it lets numbers pass that no reader can hold (1e310).
        (_skim if value.startswith(b'"') else _decode)(value)
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


def seats_json(record: Record, claims: Sequence[DecidedClaim]) -> bytes:
    """What became of a registration: its state, how many seats it has, and why not as many as it wants."""
    own = claim_of(claims, SEATS_PART)
    having = own if own is not None and own.state is ClaimState.CONFIRMED else None
    having = having or claim_of(claims, HELD_SEATS_PART)
    shown: dict[str, Any] = {"state": _seats_state(record, own, having)}
    shown["seats_held"] = 0 if having is None else having.claim.quantity
    if own is not None and own.state is ClaimState.DISPLACED:
        shown["reason"] = {"code": "sold_out"}  # not who has them: that is nobody's business
    return b"," + _encode(shown)[1:-1]


def _seats_state(record: Record, own: DecidedClaim | None, having: DecidedClaim | None) -> str:
    if value_of(record, CANCELLED) is True:
        return "cancelled"
    if having is not None:
        return "checked_in" if value_of(record, CHECKED_IN) is True else "confirmed"
    if own is None or own.state is not ClaimState.DISPLACED:
        return "pending"
    return "waitlisted" if value_of(record, WAITLIST) is True else "displaced"


def reason(decided: DecidedClaim) -> bytes:
    """Why a claim lost its place: which claims stand there."""
    claims = [{"type": id.owner.collection, "id": id.owner.id} for id in decided.against]
    return _encode({"code": "slot_taken", "claims": claims})


def version(record: Record, claims: Sequence[DecidedClaim] = ()) -> str:
    """The version that clients see, and the ETag without its quotes: what the record is, and what became of its slot,
    since others can change that."""
    base = etag(record)[1:-1]
    decided = claim_of(claims, SLOT_PART) or claim_of(claims, SEATS_PART) if claims else None
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


# Collections of which answers show what became of a claim.
CLAIMANTS: Final = frozenset({name for name, spec in COLLECTIONS.items() if spec.has_claims})


def form_of(key: RecordKey) -> Form | None:
    """How a record is shown; None for collections that are not part of the schedule."""
    return FORMS.get(key.collection)
