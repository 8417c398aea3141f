"""Frames: a message to bytes and back, compressed where that pays, with every size bounded before it is allocated."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import zstandard
from google.protobuf.message import DecodeError

from konkordat.kernel.digest import FINGERPRINT_BYTES, KeyRange, Summary
from konkordat.kernel.frontier import ORIGINS_MAX
from konkordat.kernel.hlc import HLC_MAX, Hlc, Stamp
from konkordat.kernel.ids import (
    ORIGIN_PATTERN,
    Collection,
    Group,
    NodeName,
    Origin,
    RecordId,
    RecordKey,
    Tenant,
    valid_name,
)
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.wire import konkordat_pb2 as pb
from konkordat.wire.batches import LIFE_MAX, check_groups, check_key
from konkordat.wire.errors import ForeignFrameError, MalformedError, TooLargeError
from konkordat.wire.messages import (
    Compare,
    Fetch,
    Goodbye,
    Heartbeat,
    Message,
    Page,
    Pull,
    Push,
    States,
)

MAGIC: Final = b"KK"
HEAD: Final = struct.Struct(">2sBI")  # magic, format, CRC-32 of the payload seeded with the format
PLAIN: Final = 0
ZSTD: Final = 1
FRAME_BYTES_MAX: Final = 4 << 20  # on the wire: two of the largest batches
ENVELOPE_BYTES_MAX: Final = 16 << 20  # decompressed: bounds what a bomb can make us allocate
COMPRESS_FROM_BYTES: Final = 512  # below this the header and the time cost more than is saved
COMPRESSION_LEVEL: Final = 1  # measured on changes: level 3 takes twice the time for 4 % less
ITEMS_MAX: Final = 4_096  # wants, ranges, keys or records in one message


class Codec:
    """Encodes and decodes the frames of one node in one cluster.

    Compression contexts are kept and are not safe to share: every thread has its own Codec.
    """

    def __init__(self, cluster: str, node: NodeName) -> None:
        self._cluster = cluster
        self._node = node
        self._compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 23)

    def encode(self, message: Message) -> bytes:
        """The frame of a message. Raises TooLargeError if it would be over FRAME_BYTES_MAX."""
        envelope = pb.Envelope(cluster=self._cluster, from_node=self._node)
        _WRITERS[type(message)](envelope, message)
        raw = envelope.SerializeToString()
        if len(raw) > ENVELOPE_BYTES_MAX:
            raise TooLargeError(f"an envelope of {len(raw)} bytes is over {ENVELOPE_BYTES_MAX}")
        head, payload = PLAIN, raw
        if len(raw) >= COMPRESS_FROM_BYTES:
            packed = self._compressor.compress(raw)
            if len(packed) < len(raw):
                head, payload = ZSTD, packed
        if len(payload) + HEAD.size > FRAME_BYTES_MAX:
            raise TooLargeError(f"a frame of {len(payload)} bytes is over {FRAME_BYTES_MAX}")
        return HEAD.pack(MAGIC, head, zlib.crc32(payload, head)) + payload

    def decode(self, frame: bytes) -> tuple[NodeName, Message] | None:
        """Sender and message of a frame; None for a kind of message that only newer releases know (clause W1).

        Raises WireError: MalformedError, TooLargeError, ForeignFrameError (another cluster).
        """
        envelope = self._envelope(frame)
        if envelope.cluster != self._cluster:
            raise ForeignFrameError("it is of another cluster")
        if not valid_name(envelope.from_node):
            raise MalformedError("it names no valid sender")
        kind = envelope.WhichOneof("kind")
        if kind is None:
            return None
        return NodeName(envelope.from_node), _READERS[kind](getattr(envelope, kind))

    def _envelope(self, frame: bytes) -> pb.Envelope:
        if len(frame) > FRAME_BYTES_MAX:
            raise TooLargeError(f"a frame of {len(frame)} bytes is over {FRAME_BYTES_MAX}")
        if len(frame) < HEAD.size:
            raise MalformedError("it is shorter than a frame's head")
        magic, format_, checksum = HEAD.unpack_from(frame)
        if magic != MAGIC or format_ not in (PLAIN, ZSTD):
            raise MalformedError("it does not begin like a frame")
        payload = frame[HEAD.size :]
        if zlib.crc32(payload, format_) != checksum:
            raise MalformedError("its checksum does not match: it was damaged on its way")
        raw = payload if format_ == PLAIN else self._decompressed(payload)
        try:
            return pb.Envelope.FromString(raw)
        except DecodeError as cause:
            raise MalformedError("it is not protobuf") from cause

    def _decompressed(self, packed: bytes) -> bytes:
        try:
            size = zstandard.frame_content_size(packed)
            # What we send always says its size; believing a frame without one would unbound the output.
            if not 0 <= size <= ENVELOPE_BYTES_MAX:
                raise TooLargeError(
                    f"it would be {size} bytes unpacked, {ENVELOPE_BYTES_MAX} at most"
                )
            return self._decompressor.decompress(packed, max_output_size=ENVELOPE_BYTES_MAX)
        except zstandard.ZstdError as cause:
            raise MalformedError("it cannot be decompressed") from cause


# Parts -----------------------------------------------------------------------------------------


def _frontier_out(out: Any, frontier: Mapping[Origin, int]) -> None:
    for origin in sorted(frontier):
        out.add(origin=origin, seq=frontier[origin])


def _frontier_in(pairs: Iterable[pb.OriginSeq]) -> dict[Origin, int]:
    frontier = {_origin(p.origin): p.seq for p in pairs}
    if len(frontier) > ORIGINS_MAX:
        raise TooLargeError(f"a frontier names more than {ORIGINS_MAX} origins")
    if any(not 0 <= seq < 1 << 63 for seq in frontier.values()):
        raise MalformedError("a sequence number is out of range")
    return frontier


def _origin(text: str) -> Origin:
    if not ORIGIN_PATTERN.fullmatch(text):
        raise MalformedError("it names no valid origin")
    return Origin(text)


def _node(text: str) -> NodeName:
    if not valid_name(text):
        raise MalformedError("it names no valid node")
    return NodeName(text)


def _summary_out(summary: Summary) -> pb.Summary:
    return pb.Summary(
        live=summary.live,
        live_sum=summary.live_sum.to_bytes(FINGERPRINT_BYTES, "big"),
        dead=summary.dead,
        dead_sum=summary.dead_sum.to_bytes(FINGERPRINT_BYTES, "big"),
    )


def _summary_in(message: pb.Summary) -> Summary:
    sums = (message.live_sum, message.dead_sum)
    if any(len(s) > FINGERPRINT_BYTES for s in sums):
        raise MalformedError("a digest is longer than 16 bytes")
    live_sum, dead_sum = (int.from_bytes(s, "big") for s in sums)
    return Summary(message.live, live_sum, message.dead, dead_sum)


def _key_out(key: RecordKey) -> pb.Key:
    return pb.Key(tenant=key.tenant, collection=key.collection, id=key.id)


def _bound_in(message: pb.Key) -> RecordKey:
    return RecordKey(Tenant(message.tenant), Collection(message.collection), RecordId(message.id))


def _key_in(message: pb.Key) -> RecordKey:
    key = _bound_in(message)
    check_key(key)
    return key


def _range_out(range_: KeyRange) -> pb.Bounds:
    high = None if range_.high is None else _key_out(range_.high)
    return pb.Bounds(low=_key_out(range_.low), high=high)


def _range_in(message: pb.Bounds) -> KeyRange:
    high = _bound_in(message.high) if message.HasField("high") else None
    low = _bound_in(message.low)
    if high is not None and high <= low:
        raise MalformedError("a key range ends before it begins")
    return KeyRange(low, high)


def _stamp(hlc: int, origin: str) -> Stamp:
    if not 0 < hlc <= HLC_MAX:
        raise MalformedError("a stamp is out of range")
    return Stamp(Hlc(hlc), _origin(origin))


def _bounded(items: Any) -> Any:
    if len(items) > ITEMS_MAX:
        raise TooLargeError(f"a message holds more than {ITEMS_MAX} items")
    return items


def _bodies_in(bodies: Iterable[bytes]) -> tuple[bytes, ...]:
    # Left closed: the replica opens each by itself, so that one bad batch costs only itself.
    return tuple(_bounded(bodies))


# Messages --------------------------------------------------------------------------------------


def _write_heartbeat(envelope: pb.Envelope, message: Heartbeat) -> None:
    out = envelope.heartbeat
    _frontier_out(out.frontier, message.frontier)
    out.root.CopyFrom(_summary_out(message.root))
    out.origin, out.now_ms, out.hlc = message.origin, message.now_ms, message.hlc
    out.data_format, out.api_url, out.release = (
        message.data_format,
        message.api_url,
        message.release,
    )
    out.started_ms, out.sessions, out.health = message.started_ms, message.sessions, message.health
    for node in sorted(message.clocks):
        out.clocks.add(node=node, ahead_ms=message.clocks[node])


def _read_heartbeat(message: pb.Heartbeat) -> Heartbeat:
    if message.now_ms >= 1 << 47 or message.hlc > HLC_MAX or message.started_ms >= 1 << 47:
        raise MalformedError("a time is out of range")
    return Heartbeat(
        _origin(message.origin),
        _frontier_in(message.frontier),
        _summary_in(message.root),
        message.now_ms,
        Hlc(message.hlc),
        message.data_format,
        message.api_url[:512],
        message.release[:64],
        message.started_ms,
        message.sessions,
        message.health[:16],
        {_node(c.node): c.ahead_ms for c in _bounded(message.clocks)},
    )


def _write_push(envelope: pb.Envelope, message: Push) -> None:
    envelope.push.bodies.extend(message.bodies)
    envelope.push.sent_ms = message.sent_ms


def _read_push(message: pb.Push) -> Push:
    return Push(_bodies_in(message.bodies), message.sent_ms)


def _write_pull(envelope: pb.Envelope, message: Pull) -> None:
    envelope.pull.id = message.id
    envelope.pull.bytes_max = message.bytes_max
    for origin, after in message.wants:
        envelope.pull.wants.add(origin=origin, after=after)


def _read_pull(message: pb.Pull) -> Pull:
    wants = tuple([(_origin(w.origin), w.after) for w in _bounded(message.wants)])
    if any(not 0 <= after < 1 << 63 for _origin_, after in wants):
        raise MalformedError("a sequence number is out of range")
    return Pull(message.id, wants, message.bytes_max)


def _write_page(envelope: pb.Envelope, message: Page) -> None:
    out = envelope.page
    out.id, out.more = message.id, message.more
    out.bodies.extend(message.bodies)


def _read_page(message: pb.Page) -> Page:
    return Page(message.id, _bodies_in(message.bodies), message.more)


def _write_compare(envelope: pb.Envelope, message: Compare) -> None:
    out = envelope.compare
    out.id = message.id
    _frontier_out(out.frontier, message.frontier)
    for range_, summary in message.ranges:
        out.ranges.add(range=_range_out(range_), summary=_summary_out(summary))
    if message.leaf is not None:
        out.leaf.CopyFrom(_range_out(message.leaf))
    for key, summary in message.keys:
        out.keys.add(key=_key_out(key), summary=_summary_out(summary))


def _read_compare(message: pb.Compare) -> Compare:
    return Compare(
        message.id,
        _frontier_in(message.frontier),
        tuple([(_range_in(r.range), _summary_in(r.summary)) for r in _bounded(message.ranges)]),
        _range_in(message.leaf) if message.HasField("leaf") else None,
        tuple([(_key_in(k.key), _summary_in(k.summary)) for k in _bounded(message.keys)]),
    )


def _write_fetch(envelope: pb.Envelope, message: Fetch) -> None:
    envelope.fetch.id = message.id
    envelope.fetch.keys.extend([_key_out(k) for k in message.keys])


def _read_fetch(message: pb.Fetch) -> Fetch:
    return Fetch(message.id, tuple([_key_in(k) for k in _bounded(message.keys)]))


def _write_states(envelope: pb.Envelope, message: States) -> None:
    out = envelope.states
    out.id = message.id
    _frontier_out(out.frontier, message.frontier)
    for record in message.records:
        made = out.records.add(key=_key_out(record.key), life=record.life, actor=record.actor)
        made.born_hlc, made.born_origin = record.born
        made.touched_hlc, made.touched_origin = record.touched
        for group in sorted(record.fields):
            register = record.fields[group]
            for stamp, value in ((register.stamp, register.value), *register.siblings):
                made.fields.add(group=group, value=value, hlc=stamp.hlc, origin=stamp.origin)


def _read_states(message: pb.States) -> States:
    records = tuple([_read_record(r) for r in _bounded(message.records)])
    return States(message.id, _frontier_in(message.frontier), records)


def _read_record(message: pb.RecordState) -> Record:
    fields: dict[Group, Register] = {}
    for field in message.fields:
        stamp = _stamp(field.hlc, field.origin)
        held = fields.get(Group(field.group))
        if held is None:
            fields[Group(field.group)] = Register(stamp, field.value)
        else:  # the shown value comes first, siblings after it
            siblings = (*held.siblings, (stamp, field.value))
            fields[Group(field.group)] = held._replace(siblings=siblings)
    check_groups(fields)
    if not 0 < message.life < LIFE_MAX:
        raise MalformedError("a record's life is out of range")
    if fields and message.life % 2 == 0:
        raise MalformedError("a deleted record has fields")
    return Record(
        _key_in(message.key),
        message.life,
        fields,
        _stamp(message.born_hlc, message.born_origin),
        _stamp(message.touched_hlc, message.touched_origin),
        message.actor,
    )


def _write_goodbye(envelope: pb.Envelope, message: Goodbye) -> None:
    envelope.goodbye.reason = message.reason
    envelope.goodbye.SetInParent()


def _read_goodbye(message: pb.Goodbye) -> Goodbye:
    return Goodbye(message.reason[:200])


_WRITERS: Final[dict[type, Callable[[pb.Envelope, Any], None]]] = {
    Heartbeat: _write_heartbeat,
    Push: _write_push,
    Pull: _write_pull,
    Page: _write_page,
    Compare: _write_compare,
    Fetch: _write_fetch,
    States: _write_states,
    Goodbye: _write_goodbye,
}
_READERS: Final[dict[str, Callable[[Any], Message]]] = {
    "heartbeat": _read_heartbeat,
    "push": _read_push,
    "pull": _read_pull,
    "page": _read_page,
    "compare": _read_compare,
    "fetch": _read_fetch,
    "states": _read_states,
    "goodbye": _read_goodbye,
}
