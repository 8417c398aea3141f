"""The service's own collections, kept and replicated like any other, in a tenant that no key belongs to.

api_keys   one record a key, its id is the key's public id; the secret is nowhere, only its hash

A key is revoked by writing `revoked`, and a revocation is never taken back: whoever merges it sees it for good, because
nothing ever writes the opposite.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct

from konkordat.kernel.ids import NAME_PATTERN, Collection, Group, RecordKey, Tenant, record_key
from konkordat.schedule import fields as f
from konkordat.schedule.patches import patch_of
from konkordat.schedule.registry import (
    COLLECTIONS,
    INNER_COLLECTIONS,
    CollectionSpec,
    FieldKind,
    FieldSpec,
)

# Tenants that clients name do not begin with an underscore, so no key of a tenant ever reads here.
SYSTEM_TENANT: Final = Tenant("_system")
API_KEYS: Final = Collection("api_keys")
REVOKED: Final = Group("revoked")


class ApiKeyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credential: whose it is, what it may do, until when."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-z]{16}$(?!\n)")] | None = None
    hash: Annotated[
        str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="BLAKE2b-256 of the key.")
    ]
    tenant: Annotated[str, Meta(pattern=rf"^{NAME_PATTERN.pattern}$(?!\n)")]
    scopes: Annotated[
        tuple[Literal["read", "write", "admin"], ...], Meta(min_length=1, max_length=3)
    ]
    name: f.Label
    created_by: Annotated[str, Meta(max_length=f.LABEL_CHARS_MAX)] = ""
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    revoked: bool = False


SYSTEM_COLLECTIONS: Final[Mapping[str, CollectionSpec]] = {
    API_KEYS: CollectionSpec(
        API_KEYS,
        ApiKeyBody,
        patch_of(ApiKeyBody),
        (
            FieldSpec("hash", FieldKind.VALUE, UNSET),
            FieldSpec("tenant", FieldKind.VALUE, UNSET),
            FieldSpec("scopes", FieldKind.VALUE, UNSET),
            FieldSpec("name", FieldKind.VALUE, UNSET),
            FieldSpec("created_by", FieldKind.VALUE, ""),
            FieldSpec("expires_at", FieldKind.VALUE, None),
            FieldSpec("revoked", FieldKind.VALUE, False),
        ),
    )
}


_OF_TENANTS: Final[Mapping[str, CollectionSpec]] = {**COLLECTIONS, **INNER_COLLECTIONS}


def api_key(id: str) -> RecordKey:
    """Where the record of an API key lives."""
    return record_key(SYSTEM_TENANT, API_KEYS, id)


def collections_of(tenant: Tenant) -> Mapping[str, CollectionSpec]:
    """The collections that a tenant has."""
    return SYSTEM_COLLECTIONS if tenant == SYSTEM_TENANT else _OF_TENANTS
