"""What an operator may choose about the API, and the limits that are the same everywhere."""

from __future__ import annotations

from typing import Final

import msgspec

# Limits. Each has a named problem; reaching one is never silence. ------------------------------

BODY_BYTES_MAX: Final = 1 << 20  # a batch of 500 ordinary sessions takes about 700 KiB
BODY_READ_S_MAX: Final = 20.0  # a body that trickles in longer holds a connection for nothing
JSON_DEPTH_MAX: Final = 32  # as deep as a value may be (kernel.canonical)
OPERATIONS_MAX: Final = (
    500  # in a batch; an atomic one is one transaction, which has the same limit
)
PAGE_ITEMS_MAX: Final = 200  # of a list; at ~4 KiB a session below the size of a batch
PAGE_ITEMS_DEFAULT: Final = 50
PAGE_BYTES_MAX: Final = 4 << 20  # a page of large records ends early
CHANGES_ITEMS_MAX: Final = 1_000  # of a page of changes: one round trip catches up 1 000 records
QUERY_FIELDS_MAX: Final = 20  # no endpoint has so many parameters
HEADER_CHARS_MAX: Final = 200  # Idempotency-Key, X-Request-Id, If-Match: ids, not documents
WAIT_S_MAX: Final = 30.0  # Prefer: wait=N is cut to this, below the idle timeout of common proxies
WAIT_S_DEFAULT: Final = (
    2.0  # for a Consistency-Token without Prefer: replication takes milliseconds
)
MISSING_WAIT_S: Final = 0.5  # how long a 404 waits for batches that are known to be on their way


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Chosen once, at start."""

    # BLAKE2b-256 of the operator's key, hex; "" = there is none. Works without any record in the store, so that a
    # fresh cluster can be given its first keys.
    admin_key_hash: str = ""
    release: str = "0"
    public_url: str = ""  # where clients reach this node; told in /v2/cluster
    # Larger bodies are refused while they are read. Below what a batch of the log may hold, so whatever passes here
    # also fits one transaction.
    body_bytes_max: int = BODY_BYTES_MAX
    # Requests per second and credential, and how many may come at once. Operations of a batch count one each, ten of
    # them as one request. Higher lets one client slow the others down, lower throttles honest imports.
    rate_per_s: float = 2_000.0
    rate_burst: int = 4_000
    # Open streams on this node. Each holds a bounded queue; the limit is what bounds their memory together.
    streams_max: int = 2_000
    streams_per_credential_max: int = 500
    # Origins ("https://planner.example") whose pages may call this API from a browser. None by default.
    cors_origins: tuple[str, ...] = ()
    docs: bool = True  # serve /docs; the OpenAPI document itself is always served
