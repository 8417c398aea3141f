"""Frames: whatever is sent arrives as it was, and whatever arrives damaged is refused and nothing else."""

from __future__ import annotations

import contextlib
import zlib

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from konkordat.kernel.ids import NodeName
from konkordat.wire import konkordat_pb2 as pb
from konkordat.wire.codec import HEAD, MAGIC, PLAIN, ZSTD, Codec
from konkordat.wire.errors import ForeignFrameError, MalformedError, WireError
from konkordat.wire.messages import Goodbye, Message
from laws.wire.messages import messages
from support.effort import share

ZURICH = NodeName("zurich")
CODEC = Codec("alps", ZURICH)


def framed(envelope: bytes, format_: int = PLAIN) -> bytes:
    """A frame with a right checksum around any payload, as a hostile peer would make it."""
    return HEAD.pack(MAGIC, format_, zlib.crc32(envelope, format_)) + envelope


@share(0.25)
@given(messages)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert CODEC.decode(CODEC.encode(message)) == (ZURICH, message)


@share(0.25)
@given(messages, st.data())
def test_a_frame_with_any_bit_flipped_is_refused(message: Message, data: st.DataObject) -> None:
    frame = bytearray(CODEC.encode(message))
    at = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[at // 8] ^= 1 << at % 8
    with pytest.raises(WireError):
        CODEC.decode(bytes(frame))


@share(0.25)
@given(messages, st.data())
def test_a_frame_cut_short_is_refused(message: Message, data: st.DataObject) -> None:
    frame = CODEC.encode(message)
    with pytest.raises(WireError):
        CODEC.decode(frame[: data.draw(st.integers(0, len(frame) - 1))])


@share(0.25)
@given(st.binary(max_size=400), st.sampled_from([PLAIN, ZSTD]))
@example(b"", PLAIN)
@example(b"", ZSTD)
@example(b"\x28\xb5\x2f\xfd\x00\x00\x00", ZSTD)
def test_bytes_of_no_sense_are_refused_and_raise_nothing_else(payload: bytes, kind: int) -> None:
    for frame in (payload, framed(payload, kind)):
        with contextlib.suppress(WireError):
            CODEC.decode(frame)


@share(0.25)
@given(messages, st.data())
def test_a_well_framed_but_mutated_envelope_raises_nothing_but_wire_errors(
    message: Message, data: st.DataObject
) -> None:
    frame = CODEC.encode(message)
    payload = frame[HEAD.size :]
    raw = bytearray(zstandard.decompress(payload) if frame[2] == ZSTD else payload)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        CODEC.decode(framed(bytes(raw)))


@share(0.25)
@given(st.integers(100, 536_870_911).filter(lambda n: not 19_000 <= n <= 19_999), st.binary())
def test_a_kind_of_message_that_only_newer_releases_know_is_passed_over(
    number: int, content: bytes
) -> None:
    envelope = pb.Envelope(cluster="alps", from_node="bern").SerializeToString()
    assert CODEC.decode(framed(envelope + _field(number, content))) is None


def test_unknown_fields_of_a_known_message_do_no_harm() -> None:
    envelope = pb.Envelope(cluster="alps", from_node="bern")
    envelope.goodbye.reason = "stopped"
    raw = envelope.SerializeToString() + _field(1_000, b"of release 9")
    assert CODEC.decode(framed(raw)) == ("bern", Goodbye("stopped"))


def test_a_frame_of_another_cluster_is_foreign() -> None:
    with pytest.raises(ForeignFrameError):
        CODEC.decode(Codec("jura", ZURICH).encode(Goodbye()))


def test_a_compressed_frame_that_does_not_say_its_size_is_refused() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    packed = compressor.compress(bytes(1_000)) + compressor.flush()
    with pytest.raises(WireError):
        CODEC.decode(framed(packed, ZSTD))


def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(WireError, match="unpacked"):
        CODEC.decode(framed(zstandard.compress(bytes(20 << 20)), ZSTD))


@pytest.mark.parametrize("life", [0, 1 << 40, (1 << 64) - 1])
def test_a_record_whose_life_no_store_could_hold_is_refused(life: int) -> None:
    envelope = pb.Envelope(cluster="alps", from_node="bern")
    record = envelope.states.records.add(life=life, born_hlc=1, touched_hlc=1)
    record.key.CopyFrom(pb.Key(tenant="acme", collection="items", id="a"))
    record.born_origin = record.touched_origin = "bern.1"
    with pytest.raises(MalformedError, match="life"):
        CODEC.decode(framed(envelope.SerializeToString()))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))
