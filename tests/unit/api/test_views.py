"""Answers put together from bytes are those that the plain way through values would give."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from konkordat.api import schemas
from konkordat.api.views import FORMS, record_etag, version
from konkordat.kernel import canonical
from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import Stamp, hlc_at
from konkordat.kernel.ids import Group, Origin, Tenant, record_key
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.schedule.registry import COLLECTIONS, FieldKind, from_groups
from support.api import Caller, Programme
from support.effort import share

ORIGIN = Origin("zurich.0abc")
STAMP = Stamp(hlc_at(1_800_000_000_000), ORIGIN)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record of any collection with any values, as a peer might send them."""
    spec = COLLECTIONS[draw(st.sampled_from(sorted(COLLECTIONS)))]
    groups: dict[str, Any] = {}
    for field in spec.fields:
        if field.kind is FieldKind.MAP:
            keys = draw(
                st.dictionaries(st.sampled_from(["de", "fr", 'a"b', "é"]), VALUES, max_size=3)
            )
            groups |= {f"{field.name}.{key}": value for key, value in keys.items()}
        elif draw(st.booleans()):
            groups[field.name] = draw(VALUES)
    groups |= draw(st.dictionaries(st.sampled_from(["unheard_of", "new.part"]), VALUES, max_size=2))
    fields = {Group(g): Register(STAMP, canonical.encode(v)) for g, v in groups.items()}
    return Record(record_key("acme", spec.name, "r1"), 1, fields, STAMP, STAMP, "k1")


@share(0.25)
@given(records())
def test_bytes_and_values_give_the_same_answer(record: Record) -> None:
    spec = COLLECTIONS[record.key.collection]
    groups = {str(g): canonical.decode(r.value) for g, r in record.fields.items()}
    shown = msgspec.json.decode(FORMS[spec.name].json(record))
    expected = from_groups(spec, groups)
    if isinstance(shown.get("slot"), dict):
        for name in ("state", "start", "end"):
            shown["slot"].pop(name, None)
    assert {name: shown[name] for name in expected} == expected


@share(0.25)
@given(
    st.sampled_from(["title.de", "track", "slot", "speakers"]),
    st.binary(max_size=30)
    | st.sampled_from(
        [b'1,"version":"x"', b"{}}", b'"\xff"', b"[" * 5_000, b"", b"1e310", b"[[-1e999]]"]
    ),
)
def test_bytes_that_are_no_json_cannot_break_an_answer(group: str, value: bytes) -> None:
    record = Record(
        record_key("acme", "sessions", "r1"),
        1,
        {Group(group): Register(STAMP, value)},
        STAMP,
        STAMP,
    )
    shown = msgspec.json.decode(FORMS["sessions"].json(record))
    assert shown["id"] == "r1"
    assert shown["version"] == version(record)


def displaced_by(*owners: str) -> DecidedClaim:
    key = record_key("acme", "sessions", "r1")
    claim = Claim(ClaimId(key, "slot"), Resource(Tenant("acme"), "room/x"), 0, 1, 1, STAMP)
    against = tuple(ClaimId(record_key("acme", "sessions", o), "slot") for o in owners)
    state = ClaimState.DISPLACED if owners else ClaimState.CONFIRMED
    return DecidedClaim(claim, state, against)


def test_the_version_says_what_became_of_the_slot() -> None:
    record = Record(record_key("acme", "sessions", "r1"), 1, {}, STAMP, STAMP)
    versions = {
        version(record),
        version(record, [displaced_by("a")]),
        version(record, [displaced_by("a", "b")]),
    }
    assert len(versions) == 3
    assert version(record, [displaced_by()]) == version(record)
    assert {record_etag(f'"{v}"') for v in versions} == {f'"{version(record)}"'}
    assert record_etag("*") == "*"


@pytest.mark.parametrize("type_", sorted(COLLECTIONS))
def test_answers_fit_what_the_document_says(forum: Programme, type_: str) -> None:
    """Decoded by the documented types, unknown fields forbidden."""
    caller: Caller = forum.caller
    booth = forum.make("booths", venue=forum.venue, name={"de": "B1"})
    slot = {**forum.slot(), "booth": booth}
    del slot["room"]
    caller.post(
        "/v2/sessions",
        forum.session(slot=forum.slot(), speakers=[forum.speaker], recording={"optout": True}),
    )
    caller.post("/v2/sessions", forum.session(slot=slot))
    workshop = forum.make("sessions", **forum.session(seats=1))
    forum.make("holds", event=forum.event, slot=forum.slot("12:00"))
    daily = {"rule": "FREQ=DAILY;COUNT=2", "session": {"title": {"de": "Yoga"}}}
    forum.make("series", event=forum.event, slot=forum.slot("07:00"), **daily)
    mila, noa = (forum.make("attendees", name=name) for name in ("Mila", "Noa"))
    caller.post("/v2/registrations", {"session": workshop, "attendee": mila})
    caller.post("/v2/registrations", {"session": workshop, "attendee": noa, "waitlist": True})
    caller.post(f"/v2/events/{forum.event}/releases", {"name": "1.0"})
    page = msgspec.json.decode(
        caller.get(f"/v2/{type_}").content, type=schemas.page_of(COLLECTIONS[type_])
    )
    assert len(page.data) >= 1  # type: ignore[attr-defined]
