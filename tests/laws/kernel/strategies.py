"""Values of the kernel, drawn so that they collide: few nodes, few times, few groups, many conflicts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import permutations

from hypothesis import strategies as st

from konkordat.kernel import canonical
from konkordat.kernel.change import Change
from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Stamp, hlc_at
from konkordat.kernel.ids import Group, Origin, RecordKey, Tenant, record_key
from konkordat.kernel.merge import apply
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record

NODES = ("bern", "st-gallen", "zurich", "geneva", "basel")
GROUPS = ("title.de", "title.fr", "slot", "state")
KEY = record_key("acme", "sessions", "0190aaaa-0000-7000-8000-000000000001")
LWW_ONLY = Policies()

origins = st.sampled_from([Origin(f"{n}.0mc2k7e9") for n in NODES])
# One draw each, out of all there are: what merging costs is drawing, not merging.
STAMPS = tuple(
    Stamp(hlc_at(ms, count), Origin(f"{n}.0mc2k7e9"))
    for ms in range(1, 7)
    for count in range(3)
    for n in NODES
)
stamps = st.sampled_from(STAMPS)
groups = st.sampled_from([Group(g) for g in GROUPS])
WRITTEN = [tuple(map(Group, some)) for size in range(4) for some in permutations(GROUPS, size)]
# A life, and what is written in it: nothing when it is a deletion. Each life is as likely as another.
edits = st.sampled_from(
    [(life, written if life % 2 else ()) for life in range(1, 5) for written in WRITTEN]
)

# What a JSON body may hold; integers beyond 64 bits and odd floats are refused elsewhere.
scalars = (
    st.none()
    | st.booleans()
    | st.integers(canonical.INT_MIN, canonical.INT_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


Write = tuple[Change, Stamp, str]


@st.composite
def stamped_changes(draw: st.DrawFn, max_size: int = 8, key: RecordKey = KEY) -> list[Write]:
    """Changes of one record with distinct stamps, as several writers make them: (change, stamp, actor).

    Values follow from the stamp, because a stamp names one write.
    """
    drawn = draw(st.lists(stamps, unique=True, min_size=1, max_size=max_size))
    result = []
    for stamp in drawn:
        life, written = draw(edits)
        fields: Mapping[Group, bytes] = {g: value_of(g, stamp) for g in written}
        result.append((Change(key, life, fields), stamp, f"key:{stamp.origin}"))
    return result


@cache
def value_of(group: Group, stamp: Stamp) -> bytes:
    """A value that tells which write it came from."""
    return canonical.encode(f"{group} by {stamp.origin} at {stamp.hlc}")


@cache
def _some_of(size: int) -> st.SearchStrategy[list[int]]:
    """Places in a list of this size, in any order and repeated. Kept: to make a strategy takes longer than to draw."""
    return st.lists(st.integers(0, size - 1), min_size=1, max_size=size)


@cache
def _order_of(size: int) -> st.SearchStrategy[list[int]]:
    return st.permutations(range(size))


def record_from(draw: st.DrawFn, pool: list[Write]) -> Record:
    """A state that some node may hold: the join of a non-empty part of the pool."""
    record: Record | None = None
    for number in draw(_some_of(len(pool))):
        change, stamp, actor = pool[number]
        record = apply(record, change, stamp, actor, LWW_ONLY)
    assert record is not None
    return record


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record."""
    return record_from(draw, draw(stamped_changes()))


@st.composite
def related_records(draw: st.DrawFn, count: int) -> tuple[Record, ...]:
    """States of one record that several nodes may hold at a time."""
    pool = draw(stamped_changes())
    return tuple([record_from(draw, pool) for _ in range(count)])


@st.composite
def reordered(draw: st.DrawFn) -> tuple[list[Write], list[Write]]:
    """Changes, and the same in another order."""
    writes = draw(stamped_changes())
    return writes, [writes[number] for number in draw(_order_of(len(writes)))]


@st.composite
def repeated(draw: st.DrawFn) -> tuple[list[Write], list[Write]]:
    """Changes, and some of them once more."""
    writes = draw(stamped_changes())
    return writes, [writes[number] for number in draw(_some_of(len(writes)))]


ROOM = Resource(Tenant("acme"), "room/0190aaaa-0000-7000-8000-00000000000a")


@st.composite
def claim_lists(
    draw: st.DrawFn, max_size: int = 9, span: int = 12, quantity_max: int = 2
) -> list[Claim]:
    """Claims on one resource in a short time, so that most overlap something."""
    result = []
    for number in range(draw(st.integers(0, max_size))):
        start = draw(st.integers(0, span - 1))
        until = start + draw(st.integers(1, 4))
        quantity = draw(st.integers(0, quantity_max))
        owner = record_key("acme", "sessions", f"s{number}")
        stamp = draw(stamps)
        result.append(Claim(ClaimId(owner, "slot"), ROOM, start, until, quantity, stamp))
    return result
