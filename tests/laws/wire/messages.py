"""Every kind of message, drawn: what a node may send, and what a damaged or hostile line makes of it."""

from __future__ import annotations

from hypothesis import strategies as st

from konkordat.kernel.digest import KeyRange, Summary
from konkordat.kernel.hlc import HLC_MAX, Hlc, Stamp
from konkordat.kernel.ids import Group, NodeName, Origin, RecordKey, record_key
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.wire.batches import LIFE_MAX
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

UINT64 = st.integers(0, (1 << 64) - 1)
SEQS = st.integers(0, (1 << 63) - 1)
TIMES = st.integers(0, (1 << 47) - 1)

names = st.from_regex(r"[a-z][a-z0-9_-]{0,39}", fullmatch=True)
origins = st.builds(
    lambda name, tail: Origin(f"{name}.{tail}"),
    names,
    st.from_regex(r"[0-9a-z]{1,26}", fullmatch=True),
)
ids = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=60)
keys = st.builds(record_key, names, names, ids)
sums = st.integers(0, (1 << 128) - 1)
summaries = st.builds(Summary, UINT64, sums, UINT64, sums)
frontiers = st.dictionaries(origins, SEQS, max_size=6)
hlcs = st.integers(1, HLC_MAX).map(Hlc)
stamps = st.builds(Stamp, hlcs, origins)
bodies = st.lists(st.binary(max_size=60), max_size=5).map(tuple)


@st.composite
def registers(draw: st.DrawFn) -> Register:
    siblings = draw(st.lists(st.tuples(stamps, st.binary(max_size=20)), max_size=2))
    return Register(draw(stamps), draw(st.binary(max_size=40)), tuple(siblings))


@st.composite
def records(draw: st.DrawFn) -> Record:
    life = draw(st.integers(1, LIFE_MAX - 1))
    drawn = draw(st.dictionaries(ids.map(Group), registers(), max_size=4)) if life % 2 else {}
    return Record(draw(keys), life, drawn, draw(stamps), draw(stamps), draw(ids))


@st.composite
def ranges(draw: st.DrawFn) -> KeyRange:
    low, high = sorted(draw(st.lists(keys, min_size=2, max_size=2, unique=True)))
    return KeyRange(low, draw(st.sampled_from([None, high])))


digests = st.lists(st.tuples(ranges(), summaries), max_size=4).map(tuple)
prints = st.lists(st.tuples(keys, summaries), max_size=4).map(tuple)
wants = st.lists(st.tuples(origins, SEQS), max_size=4).map(tuple)

heartbeats = st.builds(
    Heartbeat,
    origins,
    frontiers,
    summaries,
    TIMES,
    st.integers(0, HLC_MAX).map(Hlc),
    st.integers(0, 99),
    ids,
    st.text("0123456789.", max_size=20),
    TIMES,
    UINT64,
    st.sampled_from(["joining", "ready", "fenced", "stopping"]),
    st.dictionaries(names.map(NodeName), st.integers(-(1 << 63), (1 << 63) - 1), max_size=4),
)
messages: st.SearchStrategy[Message] = st.one_of(
    heartbeats,
    st.builds(Push, bodies, TIMES),
    st.builds(Pull, UINT64, wants, st.integers(0, (1 << 32) - 1)),
    st.builds(Page, UINT64, bodies, st.booleans()),
    st.builds(Compare, UINT64, frontiers, digests, st.none() | ranges(), prints),
    st.builds(Fetch, UINT64, st.lists(keys, max_size=4).map(tuple)),
    st.builds(States, UINT64, frontiers, st.lists(records(), max_size=3).map(tuple)),
    st.builds(Goodbye, st.text(max_size=100)),
)
KINDS = (Heartbeat, Push, Pull, Page, Compare, Fetch, States, Goodbye)


def of_tenant(key: RecordKey, tenant: str) -> RecordKey:
    return record_key(tenant, key.collection, key.id)
