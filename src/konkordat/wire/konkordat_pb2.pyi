from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Key(_message.Message):
    __slots__ = ("tenant", "collection", "id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    collection: str
    id: str
    def __init__(self, tenant: _Optional[str] = ..., collection: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class Field(_message.Message):
    __slots__ = ("group", "value")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    group: str
    value: bytes
    def __init__(self, group: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("collection", "id", "life", "fields", "tenant")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    collection: str
    id: str
    life: int
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    tenant: str
    def __init__(self, collection: _Optional[str] = ..., id: _Optional[str] = ..., life: _Optional[int] = ..., fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., tenant: _Optional[str] = ...) -> None: ...

class Transaction(_message.Message):
    __slots__ = ("hlc", "tenant", "changes", "actor", "cause_id", "trace", "reason", "request_key_hash", "request_body_hash")
    HLC_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CAUSE_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_HASH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_BODY_HASH_FIELD_NUMBER: _ClassVar[int]
    hlc: int
    tenant: str
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    actor: str
    cause_id: str
    trace: str
    reason: str
    request_key_hash: bytes
    request_body_hash: bytes
    def __init__(self, hlc: _Optional[int] = ..., tenant: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., actor: _Optional[str] = ..., cause_id: _Optional[str] = ..., trace: _Optional[str] = ..., reason: _Optional[str] = ..., request_key_hash: _Optional[bytes] = ..., request_body_hash: _Optional[bytes] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("origin", "seq", "previous", "transactions")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    origin: str
    seq: int
    previous: bytes
    transactions: _containers.RepeatedCompositeFieldContainer[Transaction]
    def __init__(self, origin: _Optional[str] = ..., seq: _Optional[int] = ..., previous: _Optional[bytes] = ..., transactions: _Optional[_Iterable[_Union[Transaction, _Mapping]]] = ...) -> None: ...

class OriginSeq(_message.Message):
    __slots__ = ("origin", "seq")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    origin: str
    seq: int
    def __init__(self, origin: _Optional[str] = ..., seq: _Optional[int] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("live", "live_sum", "dead", "dead_sum")
    LIVE_FIELD_NUMBER: _ClassVar[int]
    LIVE_SUM_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    DEAD_SUM_FIELD_NUMBER: _ClassVar[int]
    live: int
    live_sum: bytes
    dead: int
    dead_sum: bytes
    def __init__(self, live: _Optional[int] = ..., live_sum: _Optional[bytes] = ..., dead: _Optional[int] = ..., dead_sum: _Optional[bytes] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("origin", "frontier", "root", "now_ms", "hlc", "data_format", "api_url", "release", "started_ms", "sessions", "health", "clocks")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    FRONTIER_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    HLC_FIELD_NUMBER: _ClassVar[int]
    DATA_FORMAT_FIELD_NUMBER: _ClassVar[int]
    API_URL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    CLOCKS_FIELD_NUMBER: _ClassVar[int]
    origin: str
    frontier: _containers.RepeatedCompositeFieldContainer[OriginSeq]
    root: Summary
    now_ms: int
    hlc: int
    data_format: int
    api_url: str
    release: str
    started_ms: int
    sessions: int
    health: str
    clocks: _containers.RepeatedCompositeFieldContainer[PeerClock]
    def __init__(self, origin: _Optional[str] = ..., frontier: _Optional[_Iterable[_Union[OriginSeq, _Mapping]]] = ..., root: _Optional[_Union[Summary, _Mapping]] = ..., now_ms: _Optional[int] = ..., hlc: _Optional[int] = ..., data_format: _Optional[int] = ..., api_url: _Optional[str] = ..., release: _Optional[str] = ..., started_ms: _Optional[int] = ..., sessions: _Optional[int] = ..., health: _Optional[str] = ..., clocks: _Optional[_Iterable[_Union[PeerClock, _Mapping]]] = ...) -> None: ...

class PeerClock(_message.Message):
    __slots__ = ("node", "ahead_ms")
    NODE_FIELD_NUMBER: _ClassVar[int]
    AHEAD_MS_FIELD_NUMBER: _ClassVar[int]
    node: str
    ahead_ms: int
    def __init__(self, node: _Optional[str] = ..., ahead_ms: _Optional[int] = ...) -> None: ...

class Push(_message.Message):
    __slots__ = ("bodies", "sent_ms")
    BODIES_FIELD_NUMBER: _ClassVar[int]
    SENT_MS_FIELD_NUMBER: _ClassVar[int]
    bodies: _containers.RepeatedScalarFieldContainer[bytes]
    sent_ms: int
    def __init__(self, bodies: _Optional[_Iterable[bytes]] = ..., sent_ms: _Optional[int] = ...) -> None: ...

class Want(_message.Message):
    __slots__ = ("origin", "after")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    origin: str
    after: int
    def __init__(self, origin: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class Pull(_message.Message):
    __slots__ = ("id", "wants", "bytes_max")
    ID_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    id: int
    wants: _containers.RepeatedCompositeFieldContainer[Want]
    bytes_max: int
    def __init__(self, id: _Optional[int] = ..., wants: _Optional[_Iterable[_Union[Want, _Mapping]]] = ..., bytes_max: _Optional[int] = ...) -> None: ...

class Page(_message.Message):
    __slots__ = ("id", "bodies", "more")
    ID_FIELD_NUMBER: _ClassVar[int]
    BODIES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    id: int
    bodies: _containers.RepeatedScalarFieldContainer[bytes]
    more: bool
    def __init__(self, id: _Optional[int] = ..., bodies: _Optional[_Iterable[bytes]] = ..., more: _Optional[bool] = ...) -> None: ...

class Bounds(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: Key
    high: Key
    def __init__(self, low: _Optional[_Union[Key, _Mapping]] = ..., high: _Optional[_Union[Key, _Mapping]] = ...) -> None: ...

class RangeDigest(_message.Message):
    __slots__ = ("range", "summary")
    RANGE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    range: Bounds
    summary: Summary
    def __init__(self, range: _Optional[_Union[Bounds, _Mapping]] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...

class Compare(_message.Message):
    __slots__ = ("id", "frontier", "ranges", "keys", "leaf")
    ID_FIELD_NUMBER: _ClassVar[int]
    FRONTIER_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    LEAF_FIELD_NUMBER: _ClassVar[int]
    id: int
    frontier: _containers.RepeatedCompositeFieldContainer[OriginSeq]
    ranges: _containers.RepeatedCompositeFieldContainer[RangeDigest]
    keys: _containers.RepeatedCompositeFieldContainer[KeyDigest]
    leaf: Bounds
    def __init__(self, id: _Optional[int] = ..., frontier: _Optional[_Iterable[_Union[OriginSeq, _Mapping]]] = ..., ranges: _Optional[_Iterable[_Union[RangeDigest, _Mapping]]] = ..., keys: _Optional[_Iterable[_Union[KeyDigest, _Mapping]]] = ..., leaf: _Optional[_Union[Bounds, _Mapping]] = ...) -> None: ...

class KeyDigest(_message.Message):
    __slots__ = ("key", "summary")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    key: Key
    summary: Summary
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...

class StampedField(_message.Message):
    __slots__ = ("group", "value", "hlc", "origin")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    HLC_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    group: str
    value: bytes
    hlc: int
    origin: str
    def __init__(self, group: _Optional[str] = ..., value: _Optional[bytes] = ..., hlc: _Optional[int] = ..., origin: _Optional[str] = ...) -> None: ...

class RecordState(_message.Message):
    __slots__ = ("key", "life", "fields", "born_hlc", "born_origin", "touched_hlc", "touched_origin", "actor")
    KEY_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    BORN_HLC_FIELD_NUMBER: _ClassVar[int]
    BORN_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TOUCHED_HLC_FIELD_NUMBER: _ClassVar[int]
    TOUCHED_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    key: Key
    life: int
    fields: _containers.RepeatedCompositeFieldContainer[StampedField]
    born_hlc: int
    born_origin: str
    touched_hlc: int
    touched_origin: str
    actor: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., life: _Optional[int] = ..., fields: _Optional[_Iterable[_Union[StampedField, _Mapping]]] = ..., born_hlc: _Optional[int] = ..., born_origin: _Optional[str] = ..., touched_hlc: _Optional[int] = ..., touched_origin: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class Fetch(_message.Message):
    __slots__ = ("id", "keys")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    id: int
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    def __init__(self, id: _Optional[int] = ..., keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ...) -> None: ...

class States(_message.Message):
    __slots__ = ("id", "frontier", "records")
    ID_FIELD_NUMBER: _ClassVar[int]
    FRONTIER_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    id: int
    frontier: _containers.RepeatedCompositeFieldContainer[OriginSeq]
    records: _containers.RepeatedCompositeFieldContainer[RecordState]
    def __init__(self, id: _Optional[int] = ..., frontier: _Optional[_Iterable[_Union[OriginSeq, _Mapping]]] = ..., records: _Optional[_Iterable[_Union[RecordState, _Mapping]]] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Envelope(_message.Message):
    __slots__ = ("cluster", "from_node", "heartbeat", "push", "pull", "page", "compare", "fetch", "states", "goodbye")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    FROM_NODE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    PUSH_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    COMPARE_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    from_node: str
    heartbeat: Heartbeat
    push: Push
    pull: Pull
    page: Page
    compare: Compare
    fetch: Fetch
    states: States
    goodbye: Goodbye
    def __init__(self, cluster: _Optional[str] = ..., from_node: _Optional[str] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., push: _Optional[_Union[Push, _Mapping]] = ..., pull: _Optional[_Union[Pull, _Mapping]] = ..., page: _Optional[_Union[Page, _Mapping]] = ..., compare: _Optional[_Union[Compare, _Mapping]] = ..., fetch: _Optional[_Union[Fetch, _Mapping]] = ..., states: _Optional[_Union[States, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...
