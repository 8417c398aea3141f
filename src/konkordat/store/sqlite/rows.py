"""Records as rows and back.

`fields` is one JSON object, so that every SQL client can read it. It is put together from the groups' bytes as they are
and taken apart by their lengths: what a peer sent as a value comes back byte for byte, even if it is not JSON.

`stamps` is a MessagePack list: [touched - born, origin of born, origin of touched, then for each group in the order of
`fields`: touched - stamp, origin, length of `"group":`, length of the value]. If any group has siblings, a last element
holds [group's index, [[clock value, origin, value], …]] for each of those. Differences are 0 for what the latest
transaction wrote, so a list is a few bytes a group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

import msgspec

from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Group, Origin, RecordKey
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.store.port import CorruptStoreError

_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(list[Any]).decode
_new: Final = (
    tuple.__new__
)  # makes a NamedTuple in a third of the time; a record has a dozen of them

PREFIXES_MAX: Final = (
    4_096  # group names kept in quoted form; schemas have tens, peers may send anything
)
_prefixes: dict[Group, bytes] = {}
_groups: dict[bytes, Group] = {}

Row = tuple[Any, ...]
"""id, number, parent, life, touched, actor, latest, print, checksum, stamps, fields"""


def _prefix(group: Group) -> bytes:
    """`"group":`, as it stands in the object."""
    made = msgspec.json.encode(group) + b":"
    if len(_prefixes) < PREFIXES_MAX:
        _prefixes[group] = made
    return made


def _group(prefix: bytes) -> Group:
    made = Group(msgspec.json.decode(prefix[:-1], type=str))
    if len(_groups) < PREFIXES_MAX:
        _groups[prefix] = made
    return made


def packed(record: Record, origins: Mapping[Origin, int]) -> tuple[bytes, bytes]:
    """The columns `stamps` and `fields`."""
    (hlc, origin), (born_hlc, born_origin) = record.touched, record.born
    latest = origins[origin]
    flat: list[Any] = [hlc - born_hlc, origins[born_origin], latest]
    parts: list[bytes] = []
    siblings: list[Any] = []
    fields = record.fields
    for group in sorted(fields):
        stamp, value, others = fields[group]
        prefix = _prefixes.get(group) or _prefix(group)
        written_hlc, written_origin = stamp
        # Origins are the same object far more often than not: what one transaction wrote shares its stamp.
        number = latest if written_origin is origin else origins[written_origin]
        flat += (hlc - written_hlc, number, len(prefix), len(value))
        if others:
            kept = [[sibling.hlc, origins[sibling.origin], old] for sibling, old in others]
            siblings.append([len(parts), kept])
        parts.append(prefix + value)
    if siblings:
        flat.append(siblings)
    return _pack(flat), b"{%b}" % b",".join(parts)


def checksum(
    key: RecordKey,
    parent: str,
    life: int,
    touched: int,
    actor: str,
    print_: bytes,
    stamps: bytes,
    fields: bytes,
) -> int:
    """CRC-32: finds every flipped bit and every burst up to 32 bits. The key is part of it, so a row cannot stand in
    for another."""
    head = _pack((key, parent, life, touched, actor, print_, stamps))
    return crc32(fields, crc32(head))


def record_of(key: RecordKey, row: Row, origins: Mapping[int, Origin]) -> Record:
    """The record in a row. Raises CorruptStoreError, KeyError for the number of an origin not yet known."""
    _id, _number, parent, life, hlc, actor, _latest, print_, expected, stamps, fields = row
    try:
        found = checksum(key, parent, life, hlc, actor, print_, stamps, fields)
    except TypeError as error:  # a damaged row header makes a column something else
        raise CorruptStoreError(f"record {'/'.join(key)} is damaged") from error
    if found != expected:
        raise CorruptStoreError(f"record {'/'.join(key)} does not match its checksum")
    flat = _unpack(stamps)
    siblings = _siblings(flat.pop(), origins) if len(flat) % 4 == 0 else {}
    since_born, born_by, touched_by = flat[:3]
    touched = _new(Stamp, (hlc, origins[touched_by]))
    born = touched
    if since_born or born_by != touched_by:
        born = _new(Stamp, (hlc - since_born, origins[born_by]))
    registers: dict[Group, Register] = {}
    at = 1
    rest = iter(flat[3:])
    for behind, origin, named, size in zip(rest, rest, rest, rest, strict=False):
        stamp = touched
        if behind or origin != touched_by:
            stamp = _new(Stamp, (hlc - behind, origins[origin]))
        begin = at + named
        end = begin + size
        prefix = fields[at:begin]
        at = end + 1
        group = _groups.get(prefix) or _group(prefix)
        kept = siblings.get(len(registers), ()) if siblings else ()
        registers[group] = _new(Register, (stamp, fields[begin:end], kept))
    return Record(key, life, registers, born, touched, actor)


def _siblings(
    packed_: list[Any], origins: Mapping[int, Origin]
) -> dict[int, tuple[tuple[Stamp, bytes], ...]]:
    """Index of the group -> what its policy kept beside the shown value."""
    return {
        index: tuple([(Stamp(hlc, origins[number]), old) for hlc, number, old in kept])
        for index, kept in packed_
    }
