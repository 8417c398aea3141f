"""The Python client: `Client` (sync) and `AsyncClient`. It talks to the API of any node, and to nothing else.

    from konkordat.client import Client

    with Client("https://zurich.example:8443", key="kk_…") as client:
        event = client.events.create({"slug": "forum", "name": {"de": "Forum"}, …})
        for change in client.stream(types=["sessions"]):
            print(change)

Both have the same methods. Requests are retried, at other nodes too if several addresses are given; every write carries
an Idempotency-Key, so a retry has one effect; the consistency token of each answer goes with the next request, so you
read your own writes at whatever node answers.
"""

from konkordat.client.asynchronous import AsyncClient
from konkordat.client.core import new_idempotency_key
from konkordat.client.errors import (
    BadAnswer,
    Conflict,
    Forbidden,
    Gone,
    InsecureAddress,
    Invalid,
    KonkordatError,
    NodeUnreachable,
    NotFound,
    PreconditionFailed,
    ProblemError,
    Unauthenticated,
    Unavailable,
)
from konkordat.client.options import BatchOptions, WriteOptions
from konkordat.client.records import AsyncRecords, Records
from konkordat.client.results import (
    BatchResult,
    CaughtUp,
    Change,
    ChangesPage,
    Gap,
    ImportProgress,
    ImportResult,
    Item,
    OperationResult,
    Page,
    StreamItem,
)
from konkordat.client.retry import RetryPolicy
from konkordat.client.synchronous import Client

__all__ = [
    "AsyncClient",
    "AsyncRecords",
    "BadAnswer",
    "BatchOptions",
    "BatchResult",
    "CaughtUp",
    "Change",
    "ChangesPage",
    "Client",
    "Conflict",
    "Forbidden",
    "Gap",
    "Gone",
    "ImportProgress",
    "ImportResult",
    "InsecureAddress",
    "Invalid",
    "Item",
    "KonkordatError",
    "NodeUnreachable",
    "NotFound",
    "OperationResult",
    "Page",
    "PreconditionFailed",
    "ProblemError",
    "Records",
    "RetryPolicy",
    "StreamItem",
    "Unauthenticated",
    "Unavailable",
    "WriteOptions",
    "new_idempotency_key",
]
