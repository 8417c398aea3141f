"""Bodies and groups say the same: what is written reads back, whichever way it was written."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from konkordat.schedule.registry import (
    COLLECTIONS,
    CollectionSpec,
    checked,
    from_groups,
    patch_to_groups,
    replace_groups,
    to_groups,
)
from support.effort import share

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
ids = st.uuids(version=4).map(lambda u: str(u)[:14] + "7" + str(u)[15:])
languages = st.sampled_from(["de", "fr", "it", "rm", "fr-CH", "en"])
translations = st.dictionaries(languages, texts, max_size=4)
titles = st.dictionaries(languages, texts, min_size=1, max_size=4)
minutes = st.integers(1, 600)
dates = st.dates(
    min_value=date(1970, 1, 1),
    max_value=date(2100, 1, 1),
).map(lambda d: d.isoformat())
external_ids = st.dictionaries(st.sampled_from(["frab", "guid", "crm_1"]), texts, max_size=3)
links = st.lists(
    st.fixed_dictionaries({"url": st.just("https://a.ch"), "title": texts}), max_size=2
)


@st.composite
def slots(draw: st.DrawFn) -> dict[str, Any]:
    place = draw(st.sampled_from(["room", "booth"]))
    return {
        place: draw(ids),
        "local_start": f"{draw(dates)}T{draw(st.integers(0, 23)):02}:{draw(st.integers(0, 59)):02}",
        "time_zone": draw(st.sampled_from(["Europe/Zurich", "UTC"])),
        "duration_minutes": draw(minutes),
        **draw(st.sampled_from([{}, {"fold": 1}])),
    }


SESSIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"event": ids, "title": titles},
    optional={
        "slug": st.just("netze"),
        "subtitle": translations,
        "abstract": translations,
        "type": st.sampled_from(["talk", "workshop", "other"]),
        "track": texts,
        "language": languages,
        "speakers": st.lists(ids, unique=True, max_size=3),
        "duration_minutes": minutes,
        "state": st.sampled_from(["draft", "confirmed", "cancelled"]),
        "seats": st.integers(0, 500),
        "links": links,
        "recording": st.fixed_dictionaries({"license": texts}, optional={"optout": st.just(True)}),
        "external_ids": external_ids,
        "slot": slots(),
    },
)
ROOMS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"venue": ids, "name": titles},
    optional={
        "capacity": st.integers(0, 500),
        "features": st.lists(texts, max_size=3),
        "max_concurrent": st.integers(1, 3),
        "setup_minutes": st.integers(0, 30),
        "position": st.integers(0, 9),
        "external_ids": external_ids,
    },
)
bodies = st.one_of(
    st.tuples(st.just(COLLECTIONS["sessions"]), SESSIONS, SESSIONS),
    st.tuples(st.just(COLLECTIONS["rooms"]), ROOMS, ROOMS),
)


def body_of(spec: CollectionSpec, data: dict[str, Any]) -> msgspec.Struct:
    return msgspec.convert(data, spec.body)


def applied(current: dict[str, Any], writes: dict[str, Any]) -> dict[str, Any]:
    return current | writes


@share(0.25)
@given(bodies)
def test_what_is_written_reads_back(
    example: tuple[CollectionSpec, dict[str, Any], dict[str, Any]],
) -> None:
    spec, data, _ = example
    body = body_of(spec, data)
    assert checked(spec, to_groups(spec, body)) == body


@share(0.25)
@given(bodies)
def test_replacing_makes_the_record_equal_to_the_body(
    example: tuple[CollectionSpec, dict[str, Any], dict[str, Any]],
) -> None:
    spec, before, after = example
    current = to_groups(spec, body_of(spec, before))
    wanted = body_of(spec, after)
    writes = replace_groups(spec, wanted, current)
    assert checked(spec, applied(current, writes)) == wanted
    assert replace_groups(spec, wanted, applied(current, writes)) == {}


@share(0.25)
@given(bodies)
def test_a_patch_that_names_every_field_makes_the_record_equal_to_the_body(
    example: tuple[CollectionSpec, dict[str, Any], dict[str, Any]],
) -> None:
    spec, before, after = example
    current = to_groups(spec, body_of(spec, before))
    wanted = body_of(spec, after)
    full: dict[str, Any] = {}
    for name, value in from_groups(spec, to_groups(spec, wanted)).items():
        had = from_groups(spec, current)[name]
        merges = isinstance(value, dict) and isinstance(had, dict)
        # What was there and is not wanted is cleared, key by key.
        full[name] = dict.fromkeys(had) | value if merges else value
    required = {field.name for field in msgspec.structs.fields(spec.body) if field.required}
    full = {k: v for k, v in full.items() if v is not None or k not in required}
    patch = msgspec.convert(full, spec.patch, strict=False)
    groups = applied(current, patch_to_groups(spec, patch, current))
    assert checked(spec, groups) == wanted


@share(0.25)
@given(bodies)
def test_groups_are_flat_json_and_never_null(
    example: tuple[CollectionSpec, dict[str, Any], dict[str, Any]],
) -> None:
    spec, data, _ = example
    groups = to_groups(spec, body_of(spec, data))
    assert msgspec.json.decode(msgspec.json.encode(groups)) == groups
    assert None not in groups.values()
    names = {field.name for field in spec.fields}
    assert all(group.partition(".")[0] in names for group in groups)
