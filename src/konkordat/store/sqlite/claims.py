"""Claims as rows and back, and the length classes that make overlaps an index range.

An index on the start finds what starts inside a time, but not what started before it and reaches in: for that one must
know how long a claim may be. So claims are kept apart by length. Within a class, what overlaps [a, b) starts after
a - longest of the class and before b.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Origin, RecordId, RecordKey, Tenant, record_key
from konkordat.store.port import CorruptStoreError, Span
from konkordat.store.sqlite.names import Scope

# Longest claim of each class, ms: 17 minutes, 4.7 hours, 3.1 days, 50 days, and all beyond. Talks, half days, days
# and whole events each have their own, and a look-up is five index ranges.
REACHES_MS: Final = (1 << 20, 1 << 24, 1 << 28, 1 << 32, 1 << 61)
# Bounds beyond which nobody asks, so that a sum of two of them still fits a column.
FAR_MS: Final = 1 << 61

_pack: Final = msgspec.msgpack.Encoder().encode
_against: Final = msgspec.json.Decoder(list[tuple[str, str, str, str]]).decode
Row = tuple[Any, ...]
"""scope, id, part, tenant, resource, start_ms, until_ms, quantity, hlc, origin, state, against, expires_ms, checksum"""


def reach_of(claim: Claim) -> int:
    """The length class."""
    length = claim.until_ms - claim.start_ms
    fitting = (i for i, longest in enumerate(REACHES_MS) if length <= longest)
    return next(fitting, len(REACHES_MS) - 1)


def row_of(
    decided: DecidedClaim, scopes: Mapping[Scope, int], origins: Mapping[Origin, int]
) -> Row:
    """The columns in the order of `put_claims`."""
    claim = decided.claim
    (tenant, collection, id), part = claim.id
    against = [[*rival.owner, rival.part] for rival in decided.against]
    owner = scopes[(tenant, collection)], id, part, *claim.resource
    rest = (
        claim.start_ms,
        claim.until_ms,
        claim.quantity,
        claim.stamp.hlc,
        origins[claim.stamp.origin],
        decided.state.value,
        msgspec.json.encode(against).decode(),
        decided.expires_ms,
    )
    return (*owner, reach_of(claim), *rest, _checksum((*owner, *rest)))


def _checksum(row: Row) -> int:
    return crc32(_pack(row))


def claim_of(row: Row, scopes: Mapping[int, Scope], origins: Mapping[int, Origin]) -> DecidedClaim:
    """The claim in a row. Raises CorruptStoreError, KeyError for a number not yet known."""
    *checked, expected = row
    scope, id, part, tenant, resource, start_ms, until_ms, quantity, hlc, origin = checked[:10]
    state, against, expires_ms = checked[10:]
    owner = RecordKey(*scopes[scope], RecordId(id))
    if _checksum(tuple(checked)) != expected:
        raise CorruptStoreError(f"claim {part} of {'/'.join(owner)} does not match its checksum")
    stamp = Stamp(Hlc(hlc), origins[origin])
    try:
        rivals = () if against == "[]" else _rivals(against)
        decided = ClaimState(state)
    except (ValueError, msgspec.MsgspecError) as error:
        raise CorruptStoreError(f"claim {part} of {'/'.join(owner)} is damaged") from error
    place = Resource(Tenant(tenant), resource)
    claim = Claim(ClaimId(owner, part), place, start_ms, until_ms, quantity, stamp)
    return DecidedClaim(claim, decided, rivals, expires_ms)


def _rivals(against: str) -> tuple[ClaimId, ...]:
    rows = _against(against)
    return tuple([ClaimId(record_key(*key), part) for *key, part in rows])


def span_row(span: Span) -> Row:
    """A span as a row of `claims_on`."""
    (tenant, resource), start_ms, until_ms = span
    return tenant, resource, max(start_ms, -FAR_MS), min(until_ms, FAR_MS)
