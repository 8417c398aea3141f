"""`GET /v2/series/{id}/sessions`: the sessions of a series as they are now, in order of their times by the rule."""

from __future__ import annotations

import msgspec

from konkordat.api import schemas
from konkordat.api.answers import Answer, answer
from konkordat.api.call import Call
from konkordat.api.consistency import is_really_missing
from konkordat.api.docs import CONSISTENCY, Doc, Reply
from konkordat.api.front import Route
from konkordat.api.problems import Problem
from konkordat.api.views import FORMS
from konkordat.kernel.ids import RecordKey, record_key
from konkordat.schedule import series
from konkordat.schedule.claims import SESSIONS
from konkordat.schedule.registry import COLLECTIONS
from konkordat.schedule.series import SERIES


async def sessions_of(call: Call) -> Answer:
    """The handler."""
    call.take_only()
    key = record_key(call.tenant, SERIES, call.params["id"])
    shown = _shown(call, key)
    if shown is None and not await is_really_missing(call):
        shown = _shown(call, key)
    if shown is None:
        raise Problem("not_found", f"There is no series {key.id!r}.")
    return answer(call, 200, shown)


def _shown(call: Call, key: RecordKey) -> bytes | None:
    """The answer's body, if there is such a series."""
    with call.moment() as reader:
        record = reader.load([key]).get(key)
        if record is None or not record.alive:
            return None
        keys = series.sessions_of(record)
        records, claims = reader.load(keys), reader.claims_of(keys)
    sessions = [records[key] for key in keys if key in records and records[key].alive]
    items = [FORMS[SESSIONS].json(s, claims.get(s.key, ())) for s in sessions]
    return b'{"data":[' + b",".join(items) + b"]}"


def occurrences_route() -> Route:
    """The route."""
    session = schemas.shown(COLLECTIONS[SESSIONS])
    reply = msgspec.defstruct(
        "SessionsOfSeries",
        [("data", tuple[session, ...])],  # type: ignore[valid-type]
        frozen=True,
        module=__name__,
        namespace={"__doc__": "The sessions of a series."},
    )
    return Route(
        method="GET",
        path="/v2/series/{id:str}/sessions",
        run=sessions_of,
        needs="read",
        doc=Doc(
            tag="series",
            summary="The sessions of a series",
            fields=CONSISTENCY,
            replies=(Reply(200, "In order of their times by the rule.", reply),),
            problems=("not_found",),
        ),
    )
