"""`/v2/seats` and `/v2/roster`: who decides what is scarce, since when, and what operators do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from konkordat.api.answers import Answer, answer
from konkordat.api.call import Call
from konkordat.api.decoding import decode
from konkordat.api.docs import CURSOR, LIMIT, Doc, Field, Reply
from konkordat.api.front import Method, Route
from konkordat.api.placed import instant
from konkordat.api.problems import Problem, invalid
from konkordat.api.settings import PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX
from konkordat.api.tokens import Cursor, cursor_text, parse_cursor
from konkordat.api.views import FORMS
from konkordat.api.writing import refused
from konkordat.kernel.claim import ClaimId, ClaimState
from konkordat.kernel.ids import NodeName, Origin, RecordKey, node_of, record_key, valid_name
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import SeatId
from konkordat.replica.messages import Accepted, Command
from konkordat.replica.rosters import PART, ChangeRoster, HandOver
from konkordat.replica.status import SeatingView, SeatView, TenureView

LIST: Final = "seats"
LOOK_EVERY_S: Final = 0.05  # while a caller waits for a seat to have its new holder
LOOKS_MAX: Final = 20  # a second: ticks of a very busy node
ID_PARTS: Final = 3  # tenant, collection, record

_encode: Final = msgspec.json.Encoder().encode


class SeatShown(Struct, frozen=True):
    """A seat, as the asked node sees it."""

    id: Annotated[str, Meta(examples=["forum.venues.0190a7"])]
    name: Annotated[
        msgspec.Raw | dict[str, str] | None,
        Meta(description="Of its venue or event, by language; null where it has none here."),
    ]
    home: Annotated[str, Meta(description='The node that should hold it; "" for none.')]
    decide: Annotated[Literal["majority", "home"], Meta(description="When a decision is final.")]
    term: Annotated[int, Meta(description="Counts its holders; 0: nobody ever held it.")]
    holder: Annotated[str | None, Meta(description="The node that opened the term.")]
    since: Annotated[str | None, Meta(description="When it did.")]
    handed_over: Annotated[bool, Meta(description="The holder gave it up; nobody followed yet.")]
    deciding: Annotated[bool, Meta(description="The asked node holds it and decides.")]
    has_holder: Annotated[bool, Meta(description="Somebody holds it and is heard.")]
    final_upto: Annotated[
        int, Meta(description="Batch of the holder's log up to which decisions never change.")
    ]
    undecided: Annotated[int, Meta(description="Claims that wait, as far as this node knows.")]


class SeatPage(Struct, frozen=True):
    """A page of seats, in order of id."""

    data: tuple[SeatShown, ...]
    next_cursor: str | None
    has_more: bool


class TenureShown(Struct, frozen=True):
    """Who held a seat, from when to when."""

    term: int
    holder: str
    origin: Annotated[str, Meta(description="The holder's incarnation, whose log decided.")]
    opened_at: str | None
    until: Annotated[str | None, Meta(description="When the next term was opened.")]
    cutoff: Annotated[
        int | None,
        Meta(description="Its decisions count up to this batch of its log; null: it goes on."),
    ]
    voters: Annotated[tuple[str, ...], Meta(description="Who elected it.")]
    roster: Annotated[int, Meta(description="Version of the roster under which it was opened.")]


class Timeline(Struct, frozen=True):
    """All terms of a seat that count, latest first."""

    seat: SeatShown
    terms: tuple[TenureShown, ...]


class HandoverWish(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to hold the seat."""

    to: Annotated[str, Meta(min_length=1, max_length=40, description="Name of a member.")]
    accept_loss: Annotated[
        bool,
        Meta(
            description="Of a seat decided at home: go on although what only its holder knows may be lost."
        ),
    ] = False


class MemberShown(Struct, frozen=True):
    """A node that votes and may hold seats."""

    node: str
    origin: Annotated[str, Meta(description="Its incarnation: a node that lost its disk is new.")]
    alive: bool
    is_self: bool
    seats: Annotated[int, Meta(description="How many seats it holds.")]


class RosterShown(Struct, frozen=True):
    """Who decides together."""

    version: Annotated[int, Meta(description="Counts changes; 0: no roster is known here.")]
    members: tuple[MemberShown, ...]
    has_majority: Annotated[bool, Meta(description="More than half are heard.")]
    conflict: Annotated[bool, Meta(description="Two first rosters were said: nothing is decided.")]
    others: Annotated[tuple[str, ...], Meta(description="Nodes heard that are no members.")]


class RosterWish(Struct, frozen=True, forbid_unknown_fields=True):
    """One change of the roster."""

    change: Literal["join", "leave", "replace"]
    node: Annotated[str, Meta(min_length=1, max_length=40, description="Who comes or goes.")]
    by: (
        Annotated[
            str,
            Meta(
                max_length=40, description="Of a replacement: who comes. Left out: the same, anew."
            ),
        ]
        | None
    ) = None


class RosterAnswer(Struct, frozen=True):
    """What became of a change."""

    state: Annotated[
        Literal["confirmed", "tentative"], Meta(description="tentative: not decided yet.")
    ]
    roster: RosterShown


_handover: Final = msgspec.json.Decoder(HandoverWish)
_change: Final = msgspec.json.Decoder(RosterWish)


# Seats --------------------------------------------------------------------------------------------


async def list_(call: Call) -> Answer:
    """`GET /v2/seats`."""
    query = call.take_only("limit", "cursor")
    limit = call.integer("limit", PAGE_ITEMS_DEFAULT, 1, PAGE_ITEMS_MAX)
    after = ""
    if "cursor" in query:
        cursor = parse_cursor(query["cursor"])
        if cursor.collection != LIST:
            raise Problem("bad_token", "The cursor belongs to another list.")
        after = cursor.after
    seating = _seating(call)
    found = [view for view in seating.seats if view.id > after and _may_see(call, view.id)]
    page, rest = found[:limit], found[limit:]
    next_ = cursor_text(Cursor(LIST, "", page[-1].id, call.front.token())) if rest else None
    shown = SeatPage(tuple(_shown(call, seating, page)), next_, bool(rest))
    return answer(call, 200, _encode(shown))


async def timeline(call: Call) -> Answer:
    """`GET /v2/seats/{id}/timeline`."""
    call.take_only()
    view = _find(call)
    (seat,) = _shown(call, _seating(call), [view])
    return answer(call, 200, _encode(Timeline(seat, tuple(_terms(view.tenures)))))


async def hand_over(call: Call) -> Answer:
    """`POST /v2/seats/{id}/handover`: 200 when the new holder was seen to hold it, else 202."""
    call.take_only()
    call.order = {"order": "hand over", "seat": call.params["id"]}
    wish = decode(_handover, await call.body())
    call.order = {**call.order, "to": wish.to}
    view = _find(call)
    order = HandOver(view.id, _name(wish.to, "/to"), wish.accept_loss)
    try:
        await _order(call, order)
    except Problem as problem:
        if problem.code == "ask_the_holder":
            problem.extra["ask_at"] = _address(call, problem.extra["holder"])
        raise
    loop = asyncio.get_running_loop()
    while not _is_held_by(_find(call), wish.to):
        if call.wait_s is None or loop.time() >= call.wait_until_s:
            return answer(call, 202, _encode(next(_shown(call, _seating(call), [_find(call)]))))
        await asyncio.sleep(LOOK_EVERY_S)
    return answer(call, 200, _encode(next(_shown(call, _seating(call), [_find(call)]))))


def _address(call: Call, node: str) -> str | None:
    """Where a peer's API is, as it says."""
    peers = call.front.gate.status().peers
    return next((peer.api_url for peer in peers if peer.name == node and peer.api_url), None)


def _is_held_by(view: SeatView, node: str) -> bool:
    return view.holder is not None and node_of(view.holder) == node and not view.handed_over


def _find(call: Call) -> SeatView:
    """The seat of the address. Of another tenant's nobody learns anything."""
    id = call.params["id"]
    wanted = seat_id(id)
    for view in _seating(call).seats:
        if view.id == wanted and _may_see(call, view.id):
            return view
    raise Problem("not_found", f"There is no seat {id!r}.")


def seat_id(shown: str) -> SeatId:
    """The seat that an address names: `forum.venues.0190` is `forum/venues/0190`."""
    return SeatId("/".join(shown.split(".", ID_PARTS - 1)))


def shown_id(id: SeatId) -> str:
    """The other way round, fit for an address."""
    return ".".join(id.split("/", ID_PARTS - 1))


def _may_see(call: Call, id: SeatId) -> bool:
    credential = call.credential
    assert credential is not None, "these routes need a key"
    return credential.is_operator or id.startswith(f"{credential.tenant}/")


def _seating(call: Call) -> SeatingView:
    seating = call.front.gate.status().seating
    if seating is None:
        raise Problem("no_roster", "Claims are not decided by seats at this node.")
    return seating


def _shown(call: Call, seating: SeatingView, views: Sequence[SeatView]) -> Iterator[SeatShown]:
    names = _names(call, views)
    heard = set(seating.heard)
    for view in views:
        since = view.tenures[0].opened_ms if view.tenures else 0
        yield SeatShown(
            shown_id(view.id),
            names.get(view.id),
            view.home,
            view.decide.value,
            view.term,
            None if view.holder is None else node_of(view.holder),
            instant(since) if since else None,
            view.handed_over,
            view.deciding,
            has_holder(view, heard),
            view.final_upto,
            view.undecided,
        )


def has_holder(view: SeatView, heard: set[Origin]) -> bool:
    """Whether somebody holds the seat, did not give it up, and is a member that is heard."""
    return view.holder in heard and not view.handed_over


def _names(call: Call, views: Sequence[SeatView]) -> Mapping[SeatId, msgspec.Raw]:
    keys: dict[SeatId, RecordKey] = {}
    for view in views:
        parts = view.id.split("/", ID_PARTS - 1)
        if len(parts) == ID_PARTS and parts[1] in FORMS:
            keys[view.id] = record_key(*parts)
    records = call.front.gate.reader().load(keys.values())
    return {
        id: msgspec.Raw(FORMS[key.collection].map_json(records[key], "name"))
        for id, key in keys.items()
        if key in records and records[key].alive
    }


def _terms(tenures: Sequence[TenureView]) -> Iterator[TenureShown]:
    later: TenureView | None = None
    for tenure in tenures:
        yield TenureShown(
            tenure.term,
            node_of(tenure.holder),
            tenure.holder,
            _at(tenure.opened_ms),
            _at(later.opened_ms) if later is not None else None,
            later.cutoff if later is not None else None,
            tuple([node_of(voter) for voter in tenure.voters]),
            tenure.roster,
        )
        later = tenure


def _at(ms: int) -> str | None:
    return instant(ms) if ms else None


# The roster ---------------------------------------------------------------------------------------


async def roster(call: Call) -> Answer:
    """`GET /v2/roster`."""
    call.take_only()
    return answer(call, 200, _encode(_roster(call)))


async def change(call: Call) -> Answer:
    """`POST /v2/roster`: 200 when the change is decided, 202 while it is not."""
    call.take_only()
    call.order = {"order": "change roster"}
    wish = decode(_change, await call.body())
    call.order = {"order": wish.change, "member": wish.node, "to": wish.by or ""}
    if wish.by is not None and wish.change != "replace":
        raise invalid("/by", "Only a replacement says who comes instead.")
    by = None if wish.by is None else _name(wish.by, "/by")
    outcome = await _order(call, ChangeRoster(wish.change, _name(wish.node, "/node"), by))
    claim = ClaimId(outcome.records[0].key, PART)
    if call.wait_s is not None:
        left_s = call.wait_until_s - asyncio.get_running_loop().time()
        await call.front.gate.decided([claim], left_s)
    found = call.front.gate.reader().claims_of([claim.owner]).get(claim.owner, ())
    decided = next((d for d in found if d.claim.id == claim), None)
    if decided is not None and decided.state is ClaimState.DISPLACED:
        detail = "Another change was decided first, or this one does not fit what is there by now."
        raise Problem("roster_change_lost", f"{detail} The roster is as it was decided.")
    if decided is not None and decided.state is ClaimState.CONFIRMED:
        await _status_has(call, decided.claim.start_ms)
        return answer(call, 200, _encode(RosterAnswer("confirmed", _roster(call))))
    return answer(call, 202, _encode(RosterAnswer("tentative", _roster(call))))


async def _status_has(call: Call, version: int) -> None:
    """The status follows the index within a tick; an answer should not show the roster before."""
    for _ in range(LOOKS_MAX):
        if _seating(call).roster >= version:
            return
        await asyncio.sleep(LOOK_EVERY_S)


def _roster(call: Call) -> RosterShown:
    seating, status = _seating(call), call.front.gate.status()
    heard = set(seating.heard)
    members = [
        MemberShown(
            node_of(member),
            member,
            member in heard,
            member == status.origin,
            sum(1 for view in seating.seats if view.holder == member and not view.handed_over),
        )
        for member in seating.members
    ]
    there = [status.origin, *(peer.origin for peer in status.peers if peer.alive)]
    others = tuple(sorted({node_of(o) for o in there if o not in seating.members}))
    return RosterShown(
        seating.roster, tuple(members), seating.has_majority, seating.conflict, others
    )


def _name(text: str, pointer: str) -> NodeName:
    if not valid_name(text):
        raise invalid(pointer, f"{text!r} is not the name of a node.")
    return NodeName(text)


async def _order(call: Call, order: HandOver | ChangeRoster) -> Accepted:
    """Carry out what an operator asks for. Raises Problem where it is refused."""
    assert call.credential is not None, "these routes need a key"
    if isinstance(order, ChangeRoster) and not call.credential.is_operator:
        raise Problem("scope_missing", "Only the operator's key changes the roster.")
    command = Command(call.request_id, call.credential.id, order, call.trace)
    outcome = await call.front.gate.submit(command)
    if isinstance(outcome, Refusal):
        raise refused(outcome, call.front.gate.reader())
    assert isinstance(outcome, Accepted), "a command without a mark is never a repetition"
    return outcome


def seat_routes() -> Iterator[Route]:
    """All routes of this module."""
    wait = Field(
        "Prefer",
        "`wait=N`: wait up to so many seconds, at most 30, until it is so.",
        where="header",
    )

    def route(method: Method, path: str, run: Any, summary: str, **doc: Any) -> Route:
        made = Doc(tag="seats", summary=summary, **doc)
        needs: Literal["read", "admin"] = "read" if method == "GET" else "admin"
        return Route(method=method, path=path, run=run, needs=needs, doc=made)

    yield route(
        "GET", "/v2/seats", list_, "Who decides for which venue and event",
        detail="A tenant sees the seats of its own venues and events, the operator all.",
        fields=(LIMIT, CURSOR), replies=(Reply(200, "A page.", SeatPage),),
        problems=("bad_token", "no_roster"),
    )  # fmt: skip
    yield route(
        "GET", "/v2/seats/{id:str}/timeline", timeline, "Who held a seat, from when to when",
        replies=(Reply(200, "The terms, latest first.", Timeline),),
        problems=("not_found", "no_roster"),
    )  # fmt: skip
    yield route(
        "POST", "/v2/seats/{id:str}/handover", hand_over, "Hand a seat over to another member",
        detail="At any node. The holder stops deciding with it, so nothing it decided is void. A seat decided at home"
        " is handed over at its holder, for what only that one knows would be lost (`ask_the_holder`,"
        " `may_lose_confirmed`). Where its node is gone for good, `accept_loss` is the only way on.",
        fields=(wait,), body=HandoverWish,
        replies=(
            Reply(200, "It holds the seat.", SeatShown),
            Reply(202, "It was asked to; see the seat.", SeatShown),
        ),
        problems=(
            *("not_found", "invalid", "not_a_member", "already_the_holder", "member_silent"),
            *("ask_the_holder", "may_lose_confirmed", "no_roster"),
        ),
    )  # fmt: skip
    yield route(
        "GET", "/v2/roster", roster, "Who votes and may hold seats",
        replies=(Reply(200, "The roster.", RosterShown),), problems=("no_roster",),
    )  # fmt: skip
    yield route(
        "POST", "/v2/roster", change, "Let one node join or leave, or replace one by another",
        detail="The operator's key only. A seat decides it, so of two changes at once one wins. One member at a time;"
        " more than half of the members must be heard, before and after.",
        fields=(wait,), body=RosterWish,
        replies=(
            Reply(200, "The roster as it is now.", RosterAnswer),
            Reply(202, "Not decided yet.", RosterAnswer),
        ),
        problems=(
            *("invalid", "no_roster", "not_a_member", "already_a_member", "member_silent"),
            "earlier_incarnation",
            *("roster_unchanged", "roster_size", "several_members_at_once", "no_majority"),
            *("holds_home_seats", "roster_change_running", "roster_moved_on"),
            "roster_change_lost",
        ),
    )  # fmt: skip
