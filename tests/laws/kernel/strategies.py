"""Values of the kernel, drawn so that they collide: few nodes, few times, few groups, many conflicts."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from konkordat.kernel import canonical
from konkordat.kernel.change import Change
from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Stamp, hlc_at
from konkordat.kernel.ids import Group, Origin, RecordKey, Tenant, record_key
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record

NODES = ("bern", "st-gallen", "zurich", "geneva", "basel")
GROUPS = ("title.de", "title.fr", "slot", "state")
KEY = record_key("acme", "sessions", "0190aaaa-0000-7000-8000-000000000001")
LWW_ONLY = Policies()

origins = st.sampled_from([Origin(f"{n}.0mc2k7e9") for n in NODES])
hlcs = st.builds(hlc_at, st.integers(1, 6), st.integers(0, 2))
stamps = st.builds(Stamp, hlcs, origins)
groups = st.sampled_from([Group(g) for g in GROUPS])

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


@st.composite
def stamped_changes(
    draw: st.DrawFn, max_size: int = 8, key: RecordKey = KEY
) -> list[tuple[Change, Stamp, str]]:
    """Changes of one record with distinct stamps, as several writers make them: (change, stamp, actor).

    Values follow from the stamp, because a stamp names one write.
    """
    drawn = draw(st.lists(stamps, unique=True, min_size=1, max_size=max_size))
    result = []
    for stamp in drawn:
        life = draw(st.integers(1, 4))
        written = draw(st.lists(groups, unique=True, max_size=3)) if life % 2 else []
        fields: Mapping[Group, bytes] = {g: value_of(g, stamp) for g in written}
        result.append((Change(key, life, fields), stamp, f"key:{stamp.origin}"))
    return result


def value_of(group: Group, stamp: Stamp) -> bytes:
    """A value that tells which write it came from."""
    return canonical.encode(f"{group} by {stamp.origin} at {stamp.hlc}")


@st.composite
def records(draw: st.DrawFn, pool: list[tuple[Change, Stamp, str]]) -> Record:
    """A state that some node may hold: the join of a non-empty part of the pool."""
    from konkordat.kernel.merge import apply

    part = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=len(pool)))
    record: Record | None = None
    for change, stamp, actor in part:
        record = apply(record, change, stamp, actor, LWW_ONLY)
    assert record is not None
    return record


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
