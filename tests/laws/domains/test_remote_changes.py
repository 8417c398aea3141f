"""A domain may refuse a local command, never a remote change. So what it makes of a record must bear anything that a
peer can send: or one odd record ends every node that receives it, again at each start.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel.hlc import Stamp, hlc_at
from konkordat.kernel.ids import Group, Origin, record_key
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.kernel.seat import ALTERNATIVES_MAX
from konkordat.replica.domain import Domain
from konkordat.schedule.domain import ScheduleDomain
from konkordat.testing.domain import TrialDomain
from support.effort import share

STORED_MAX = 1 << 63  # what a store's integer column holds
STAMP = Stamp(hlc_at(1_800_000_000_000), Origin("zurich.1"))
UID = "01970000-b5aa-7d98-8cf4-f61630a067b7"

numbers = st.integers(-(1 << 70), 1 << 70) | st.floats() | st.integers(-2, 200)
texts = st.sampled_from(
    [
        UID,
        "",
        "room-0",
        "2027-06-01T09:00",
        "9999-12-31T23:59",
        "0001-01-01T00:00",
        "2027-03-28T02:30",
        "2027-02-30T25:61",
        "Europe/Zurich",
        "../../etc/passwd",
        "Europe/",
        "\x00",
    ]
) | st.text(max_size=8)
scalars = st.none() | st.booleans() | numbers | texts
nested = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3)
)
slots = st.fixed_dictionaries(
    {},
    optional={
        "room": texts | numbers,
        "booth": texts | numbers,
        "local_start": texts | numbers,
        "time_zone": texts | numbers,
        "duration_minutes": numbers | texts,
        "fold": numbers | texts,
        "alternatives": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "room": st.just(UID),
                    "booth": texts,
                    "local_start": texts,
                    "fold": numbers,
                },
            )
            | nested,
            max_size=20,
        )
        | texts,
    },
)
# Most of a slot makes sense, so that what does not is looked at.
sound = {"room": UID, "local_start": "2027-06-01T09:00", "time_zone": "Europe/Zurich"}
slots = slots | slots.map(lambda odd: {"duration_minutes": 45, **odd, **sound})
placings = st.fixed_dictionaries(
    {},
    optional={
        "buffers": st.lists(st.lists(numbers, max_size=3), max_size=4) | nested,
        "together": st.booleans() | texts,
        "waits": st.booleans(),
        "replaces": st.just(UID) | texts,
        "was": st.lists(slots, max_size=3),
    },
)
instants = st.sampled_from(["2027-06-01T09:00:00Z", "0001-01-01T00:00:00+14:00", "2027-06-01"])
bookings = st.tuples(texts, numbers, numbers, numbers).map(list)


def encoded(value: Any) -> bytes:
    """JSON as a careless peer writes it: NaN, 1e999 and lone surrogates included."""
    return json.dumps(value).encode()


values = (slots | placings | instants | bookings | nested).map(encoded) | st.binary(max_size=40)
COLLECTIONS = (
    "sessions",
    "holds",
    "series",
    "rooms",
    "booths",
    "events",
    "venues",
    "speakers",
    "registrations",
    "releases",
    "bookings",
    "resources",
)
GROUPS = (
    *("placing", "expires_at", "rule", "exdates"),
    *("slot", "state", "title.de", "speakers", "event", "venue", "parent", "capacity"),
    *("max_concurrent", "setup_minutes", "teardown_minutes", "turnaround_minutes"),
    *("session", "attendee", "quantity", "waitlist", "cancelled", "seats", "name", "founded"),
    *("bookable_hours", "start_date", "end_date", "time_zone", "day_starts_at", "?"),
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    written = draw(st.dictionaries(st.sampled_from(GROUPS), values, max_size=6))
    fields = {Group(group): Register(STAMP, value) for group, value in written.items()}
    life = draw(st.integers(1, 4))
    tenant = draw(st.sampled_from(["acme", "_system"]))
    key = record_key(tenant, draw(st.sampled_from(COLLECTIONS)), draw(st.sampled_from([UID, "x"])))
    return Record(key, life, fields if life % 2 else {}, STAMP, STAMP)


@pytest.mark.parametrize("domain", [ScheduleDomain(), TrialDomain()], ids=["schedule", "trial"])
@share(0.25)
@given(record=records())
def test_a_domain_makes_something_sound_of_any_record(domain: Domain, record: Record) -> None:
    for claim in domain.claims(record):
        assert claim.start_ms < claim.until_ms
        assert claim.start_ms >= -STORED_MAX
        assert claim.until_ms < STORED_MAX
        assert 0 <= claim.quantity < STORED_MAX
        assert claim.id.owner == record.key
        assert claim.resource.tenant == record.key.tenant
        owner = domain.capacity_owner(claim.resource)
        assert owner is None or domain.owned_resource(owner) in (None, claim.resource)
        wanted = domain.wanted(record, claim)
        assert 0 <= wanted.expires_ms < STORED_MAX
        assert len(wanted.alternatives) <= ALTERNATIVES_MAX
        for other in wanted.alternatives:
            assert (other.id, other.stamp, other.quantity) == (
                claim.id,
                claim.stamp,
                claim.quantity,
            )
            assert -STORED_MAX <= other.start_ms < other.until_ms < STORED_MAX
    assert domain.capacity(record) >= 0
    assert isinstance(domain.parent(record), str)
    if not record.alive:
        assert not domain.claims(record)


@pytest.mark.parametrize("domain", [ScheduleDomain(), TrialDomain()], ids=["schedule", "trial"])
@share(0.25)
@given(record=records(), other=records())
def test_only_the_groups_that_a_domain_names_change_what_is_scarce(
    domain: Domain, record: Record, other: Record
) -> None:
    """Or a change of another group would leave the index of claims behind."""
    relevant = domain.claim_groups(record.key.collection)
    changed = {g: r for g, r in other.fields.items() if g not in relevant}
    kept = {g: r for g, r in record.fields.items() if g in relevant}
    if not record.alive:
        return
    after = Record(record.key, record.life, {**changed, **kept}, STAMP, STAMP)
    assert list(domain.claims(after)) == list(domain.claims(record))
    assert domain.capacity(after) == domain.capacity(record)
