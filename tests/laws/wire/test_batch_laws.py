"""Batches: sealed once by their origin, the same bytes everywhere ever after."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel.change import NO_HASH, Batch, Change, RequestMark, Transaction, batch_hash
from konkordat.kernel.hlc import HLC_MAX, Hlc
from konkordat.kernel.ids import Group, NodeName
from konkordat.wire import konkordat_pb2 as pb
from konkordat.wire.batches import LIFE_MAX, open_body, seal
from konkordat.wire.codec import Codec
from konkordat.wire.errors import MalformedError, WireError
from konkordat.wire.messages import Page
from laws.wire.messages import ids, keys, origins
from support.effort import share

hashes = st.binary(min_size=32, max_size=32)
marks = st.builds(
    RequestMark, st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16)
)
changes = st.builds(
    Change,
    keys,
    st.integers(1, LIFE_MAX - 1),
    st.dictionaries(ids.map(Group), st.binary(max_size=30), max_size=3),
)
TEXT = st.text(max_size=20)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    stamps = sorted(draw(st.lists(st.integers(1, HLC_MAX), min_size=1, max_size=4, unique=True)))
    transactions = [_transaction(draw, Hlc(stamp)) for stamp in stamps]
    seq = draw(st.integers(1, (1 << 63) - 1))
    return Batch(draw(origins), seq, draw(hashes), tuple(transactions))


def _transaction(draw: st.DrawFn, hlc: Hlc) -> Transaction:
    written = tuple(draw(st.lists(changes, max_size=3)))
    mark = draw(st.none() | marks)
    return Transaction(hlc, written, draw(TEXT), draw(TEXT), draw(TEXT), draw(TEXT), mark)


@share(0.25)
@given(batches())
def test_a_batch_opens_as_it_was_sealed(batch: Batch) -> None:
    sealed = seal(batch)
    assert open_body(sealed.body) == sealed
    assert sealed.batch == batch
    assert sealed.hash == batch_hash(sealed.body)


@share(0.25)
@given(st.binary(max_size=300))
def test_a_body_of_no_sense_is_refused_and_raises_nothing_else(body: bytes) -> None:
    with contextlib.suppress(WireError):
        open_body(body)


@share(0.25)
@given(batches(), st.data())
def test_a_mutated_body_raises_nothing_but_wire_errors(batch: Batch, data: st.DataObject) -> None:
    body = bytearray(seal(batch).body)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        open_body(bytes(body))


def future_body(batch: Batch) -> bytes:
    """The batch as a newer release would seal it, with fields at every level that this one does not know."""
    message = pb.Batch.FromString(seal(batch).body)
    for transaction in message.transactions:
        for change in transaction.changes:
            change.MergeFromString(b"\xc2\x3e\x03new")  # field 1000, length-delimited
        transaction.MergeFromString(b"\xc2\x3e\x05newer")
    raw: bytes = message.SerializeToString(deterministic=True) + b"\xc2\x3e\x06newest"
    return raw


@share(0.25)
@given(batches())
def test_fields_of_a_newer_release_survive_an_older_node_on_the_way(batch: Batch) -> None:
    body = future_body(batch)
    old = Codec("alps", NodeName("bern"))
    relayed = old.decode(old.encode(Page(1, (body,), more=False)))
    assert relayed is not None
    _sender, page = relayed
    assert isinstance(page, Page)
    opened = open_body(page.bodies[0])
    assert opened.body == body
    assert opened.hash == batch_hash(body)
    assert opened.batch == batch


@pytest.mark.parametrize("group", ["", "a\0b", "x" * 256])
def test_a_change_of_a_group_that_no_node_would_name_is_refused(group: str) -> None:
    message = _plain_batch()
    message.transactions[0].changes[0].fields.add(group=group, value=b"1")
    with pytest.raises(MalformedError, match="group"):
        open_body(message.SerializeToString())


def test_stamps_that_do_not_grow_within_a_batch_are_refused() -> None:
    message = _plain_batch(hlcs=(7, 7))
    with pytest.raises(MalformedError, match="grow"):
        open_body(message.SerializeToString())


def _plain_batch(hlcs: Sequence[int] = (7,)) -> pb.Batch:
    message = pb.Batch(origin="bern.1", seq=1, previous=NO_HASH)
    for hlc in hlcs:
        transaction = message.transactions.add(hlc=hlc, tenant="acme")
        transaction.changes.add(collection="items", id="a", life=1)
    return message
