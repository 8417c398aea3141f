"""Records as JSON bytes.

A record's values are canonical JSON already, so an answer is put together from them without decoding. What is derived
(defaults, times, a slot's state) is spliced in. tests compare it with the plain way through `registry.from_groups`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from konkordat.api.outcomes import OUTCOMES, outcome_of
from konkordat.api.placed import claim_of, instant, outcome, own_times, with_outcome
from konkordat.kernel.claim import Claim, ClaimState, DecidedClaim
from konkordat.kernel.hlc import ms_of
from konkordat.kernel.ids import RecordKey, node_of
from konkordat.kernel.record import Record
from konkordat.schedule.commands import etag
from konkordat.schedule.registry import COLLECTIONS, CollectionSpec, FieldKind, FieldSpec
from konkordat.schedule.slots import SLOT_PART, plan_of

NULL: Final = b"null"
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_skim: Final = msgspec.json.Decoder(msgspec.Raw).decode
_decode: Final = msgspec.json.Decoder().decode


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
                parts.append(OUTCOMES[self.type](record, claims))
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
                    value = with_outcome(value, record, claims)
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


def plain_version(record: Record) -> str:
    """The record's own part of its version."""
    return etag(record)[1:-1]


def version(record: Record, claims: Sequence[DecidedClaim] = (), plain: str = "") -> str:
    """The version that clients see, and the ETag without its quotes: what the record is, and what became of its slot,
    since others can change that. `plain` is the record's own part, for callers that have it already."""
    base = plain or plain_version(record)
    shown = _outcome(record, claims) if claims else None
    if shown is None:
        return base
    return f"{base}.{hashlib.blake2b(repr(shown).encode(), digest_size=4).hexdigest()}"


def _outcome(record: Record, claims: Sequence[DecidedClaim]) -> Any:
    """What is shown of decisions beyond the record; None where it simply has what it asks for."""
    own = claim_of(claims, SLOT_PART)
    if own is not None:
        wish = next(iter(plan_of(record).candidates), None)
        plain = own.state is ClaimState.CONFIRMED and (wish is None or wish.is_at(own.claim))
        return None if plain else outcome(claims)
    return outcome_of(claims)


def record_etag(tag: str) -> str:
    """The record's own part of an ETag that a client sends back: a write looks at what was written, not at what became
    of the slot."""
    return f'{tag.partition(".")[0]}"' if "." in tag and tag.endswith('"') else tag


def claim_view(claim: Claim, owner: Record | None = None) -> dict[str, Any]:
    """A claim for people and programs: who holds what, from when to when."""
    own = own_times(owner, claim)
    return {
        "type": claim.id.owner.collection,
        "id": claim.id.owner.id,
        "resource": claim.resource.name,
        "start": instant(own.start_ms),
        "end": instant(own.until_ms),
    }


FORMS: Final[Mapping[str, Form]] = {name: Form(spec) for name, spec in COLLECTIONS.items()}


# Collections whose records have a title to show for them.
TITLED: Final = frozenset(
    {name for name, spec in COLLECTIONS.items() if any(f.name == "title" for f in spec.fields)}
)
# Collections of which answers show what became of a claim.
CLAIMANTS: Final = frozenset({name for name, spec in COLLECTIONS.items() if spec.has_claims})


def form_of(key: RecordKey) -> Form | None:
    """How a record is shown; None for collections that are not part of the schedule."""
    return FORMS.get(key.collection)
