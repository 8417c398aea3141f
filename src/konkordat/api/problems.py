"""Problem documents (RFC 9457): one table of codes, one exception that carries a code, one way to JSON.

The table is the contract: `docs/errors.md` is made from it and a test keeps them equal. A code never changes its
meaning; clients branch on `code`, people read `detail`, nobody parses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One kind of problem."""

    status: int
    title: str
    remedy: str  # what the caller can do about it
    retryable: bool = False  # the same request may succeed later, or at another node, unchanged


TABLE: Final[Mapping[str, Entry]] = {
    # The request as such
    "bad_request": Entry(400, "The request is malformed", "Correct the request as `detail` says."),
    "bad_json": Entry(400, "The body is not JSON", "Send one JSON value in UTF-8."),
    "too_deep": Entry(400, "The body is nested too deeply", "Nest at most 32 levels."),
    "bad_token": Entry(
        400, "The token or cursor is not one of this service", "Leave it out to start anew."
    ),
    "credential_in_query": Entry(
        400,
        "Keys do not belong into addresses",
        "Send `Authorization: Bearer …`; for a browser's stream fetch a ticket. Revoke the key: logs have seen it.",
    ),
    "unauthenticated": Entry(
        401, "A key is required", "Send `Authorization: Bearer kk_…` with a valid key."
    ),
    "key_revoked": Entry(401, "The key was revoked", "Ask an administrator for a new key."),
    "key_expired": Entry(401, "The key has expired", "Ask an administrator for a new key."),
    "scope_missing": Entry(
        403, "The key may not do this", "Use a key with the scope that `detail` names."
    ),
    "origin_refused": Entry(
        403,
        "This web page may not open a stream",
        "Have the operator add the page's origin to `cors_origins`.",
    ),
    "not_found": Entry(
        404, "There is no such thing", "Check the id, and that the key is of its tenant."
    ),
    "no_route": Entry(404, "There is no such address", "See /openapi.json for all addresses."),
    "method_not_allowed": Entry(
        405, "The method does not exist here", "Use one that the header `Allow` names."
    ),
    "request_timeout": Entry(
        408, "The body did not arrive in time", "Send the request again.", retryable=True
    ),
    "body_too_large": Entry(
        413, "The body is too large", "Send at most 1 MiB; split a batch into several."
    ),
    "unsupported_media_type": Entry(
        415,
        "The content type is not understood here",
        "Send application/json; a patch is application/merge-patch+json.",
    ),
    # What the request asks for
    "invalid": Entry(
        422, "The request does not fit the schema", "Correct what `errors` points at."
    ),
    "unknown_reference": Entry(
        422,
        "A record that is referred to does not exist",
        "Create it first, in the same batch or before.",
    ),
    "unknown_time_zone": Entry(
        422, "The time zone is unknown", "Use a name of the IANA database, such as Europe/Zurich."
    ),
    "bad_local_time": Entry(422, "That is no date and time", "Write it like 2027-06-01T09:00."),
    "local_time_does_not_exist": Entry(
        422,
        "The clocks skip that local time",
        "Use one of the suggestions in `detail`.",
    ),
    "outside_event": Entry(
        422,
        "The slot lies outside its event",
        "Choose a time between the event's first and last day.",
    ),
    "outside_hours": Entry(
        422, "The room cannot be booked at that time", "Choose a time within its bookable hours."
    ),
    "in_the_past": Entry(
        422,
        "The place was left too long ago to be claimed",
        "Correct the date; to record an archive give a reason (`override`).",
    ),
    "too_many_alternatives": Entry(
        422, "A slot names too many alternatives", "Name at most 16, those you like best first."
    ),
    "several_seats": Entry(
        422,
        "Several venues would have to decide together",
        "Ask for places of one venue; what lies at several is decided by each for itself.",
    ),
    "too_many_together": Entry(
        422,
        "Too many places are asked for together",
        "Ask for at most 64 together, or without `together`.",
    ),
    "bad_recurrence": Entry(
        422,
        "The rule of the series does not make sense here",
        "Use FREQ, INTERVAL, BYDAY and one of COUNT and UNTIL; the slot is the first occurrence.",
    ),
    "too_many_occurrences": Entry(
        422, "The series is too long", "Make several series of at most 64 occurrences."
    ),
    "bad_expiry": Entry(
        422,
        "The hold would end in the past, or too late",
        "Hold for at most 24 hours; extend it later.",
    ),
    "wrong_place": Entry(
        422, "The place is not one of this event", "Choose a room or booth of a venue of the event."
    ),
    "conflicting_operations": Entry(
        422,
        "Two operations of one transaction contradict each other",
        "Delete and write the same record in two requests.",
    ),
    "idempotency_key_reused": Entry(
        422,
        "The Idempotency-Key belongs to another request",
        "Use a fresh key for each request; repeat the key only with the same body.",
    ),
    "unfit": Entry(
        422, "The transaction holds what cannot be kept", "Correct what `detail` names."
    ),
    "too_large": Entry(422, "The transaction is too large", "Split it."),
    "slot_taken": Entry(
        409,
        "The place is taken at that time",
        "Choose another place or time; `conflicts` names what is there, `alternatives` what is free.",
    ),
    "hold_expired": Entry(
        409,
        "The hold is over",
        "Ask for the place without it, or extend the hold first: it may still be free.",
    ),
    "sold_out": Entry(
        409,
        "There are not as many seats left",
        "Ask for `seats_left` or fewer, or send `waitlist: true` to be asked again when some free.",
    ),
    "not_registrable": Entry(
        409,
        "The session takes no registrations",
        "Give the session `seats`; for a cancelled one there is nothing to register for.",
    ),
    "beyond_capacity": Entry(
        422,
        "More seats are asked for than the session has",
        "Ask for at most `seats`, or register for several sessions.",
    ),
    "already_registered": Entry(
        409,
        "The attendee is registered for this session",
        "Change that registration (`current` holds it): PATCH it by its id.",
    ),
    "not_confirmed": Entry(
        409,
        "The registration has no seat yet",
        "Wait until its `state` is `confirmed`, or cancel another registration.",
    ),
    "seats_below_registered": Entry(
        409,
        "More seats are taken than the session would have",
        "Keep at least `seats_taken` seats, or cancel registrations first.",
    ),
    "release_exists": Entry(
        409,
        "The event has a release of that name",
        "Take another name; a release never changes.",
    ),
    "frozen": Entry(409, "A release never changes", "Make another release."),
    "already_exists": Entry(
        409, "A record with this id exists", "Use PUT to replace it, PATCH to change it."
    ),
    "fixed": Entry(
        409,
        "This was settled when the record was made",
        "Make another record; who decides about places rests on this one.",
    ),
    "deleted_for_good": Entry(
        409,
        "A record with this id was deleted and does not come back",
        "Make a new one with another id.",
    ),
    "in_use": Entry(
        409, "Other records refer to this one", "Delete or change what refers to it first."
    ),
    "not_a_member": Entry(
        409, "The node is not in the roster", "See `GET /v2/roster`; let the node join first."
    ),
    "already_a_member": Entry(
        409,
        "The node that is to come is a member already",
        "Replace by a node that is no member, or let the other one leave: `leave`.",
    ),
    "already_the_holder": Entry(409, "The node holds the seat already", "There is nothing to do."),
    "ask_the_holder": Entry(
        409,
        "What the holder confirms at home this moment would be lost",
        "Hand the seat over at the node that holds it (`holder`, `ask_at`): it stops first, so nothing is lost.",
    ),
    "may_lose_confirmed": Entry(
        409,
        "What a holder that is not heard confirmed at home would be lost",
        "Hand over at the holder if it is only cut off. If it is gone for good, repeat with `accept_loss: true`.",
    ),
    "member_silent": Entry(
        409,
        "The node is not heard",
        "Start it, or choose one that `GET /v2/roster` shows as alive.",
        retryable=True,
    ),
    "no_roster": Entry(
        409,
        "Nobody decides claims here yet",
        "Name the members in the configuration (`seats.members`) and start them.",
        retryable=True,
    ),
    "roster_unchanged": Entry(409, "The roster is so already", "There is nothing to do."),
    "several_members_at_once": Entry(
        409, "A change of the roster concerns one member", "Make one change after the other."
    ),
    "roster_size": Entry(
        409, "The roster would be empty or too large", "Keep at least one and at most 64 members."
    ),
    "no_majority": Entry(
        409,
        "Not enough members are heard",
        "Start the members that are silent, or replace one of them while more than half are heard. If most are lost for"
        " good: stop a survivor, then `konkordat roster force`.",
        retryable=True,
    ),
    "holds_home_seats": Entry(
        409,
        "The member decides venues that nobody takes over",
        "Hand those seats over first: POST /v2/seats/{id}/handover.",
    ),
    "earlier_incarnation": Entry(
        409,
        "The node is a member with the disk it had before",
        "Replace it by itself: `replace` without `by`.",
    ),
    "roster_change_running": Entry(
        409,
        "Seats have not moved on to the present roster yet",
        "Try again in a moment; hand over what stays behind.",
        retryable=True,
    ),
    "roster_moved_on": Entry(
        409, "The roster has changed meanwhile", "Read it again, and decide anew.", retryable=True
    ),
    "roster_change_lost": Entry(
        409, "Another change of the roster was first", "Read the roster, and decide anew."
    ),
    "request_running": Entry(
        409,
        "The same request is being carried out",
        "Wait a moment, then repeat it with the same Idempotency-Key.",
        retryable=True,
    ),
    "refused": Entry(409, "A rule refuses this", "See `detail`."),
    "precondition_failed": Entry(
        412,
        "The record has changed meanwhile",
        "Read it again (`current` holds it), apply your change to it, and send its ETag.",
    ),
    "token_expired": Entry(
        410,
        "Changes since that token are no longer kept",
        "Read everything anew from `snapshot_url`, then follow changes from its `sync_token`.",
    ),
    # The node's condition
    "rate_limited": Entry(
        429,
        "Too many requests",
        "Wait as long as `Retry-After` says; batch your writes.",
        retryable=True,
    ),
    "too_many_streams": Entry(
        429, "Too many open streams", "Close some, or use another node.", retryable=True
    ),
    "internal_error": Entry(
        500,
        "Something went wrong here",
        "Tell the operator the `request_id`. Repeat writes with the same Idempotency-Key.",
        retryable=True,
    ),
    "overloaded": Entry(
        503, "The node has too much to do", "Wait as long as `Retry-After` says.", retryable=True
    ),
    "stopping": Entry(503, "The node is stopping", "Use another node.", retryable=True),
    "store_failed": Entry(
        503,
        "The node cannot keep data at the moment",
        "Use another node; repeat with the same Idempotency-Key.",
        retryable=True,
    ),
    "clock_fenced": Entry(
        503,
        "The node's clock is wrong, so it does not write",
        "Write at another node; reading works here.",
        retryable=True,
    ),
    "not_yet_consistent": Entry(
        503,
        "This node has not yet what you have seen elsewhere",
        "Wait as long as `Retry-After` says, or use another node (`GET /v2/tokens/{token}` tells which).",
        retryable=True,
    ),
}

MEDIA_TYPE: Final = "application/problem+json"
_encoder: Final = msgspec.json.Encoder()


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong at one place of the request."""

    code: str  # unknown_field, missing_field, wrong_type, out_of_range …
    pointer: str  # JSON pointer (RFC 6901) into the body; "?name" for a query parameter, "Name:" for a header
    detail: str


class Problem(Exception):
    """The request was refused: {code}. Nothing of it was carried out, but where the code is `internal_error` or
    `store_failed`: there a write may have had its effect, and the Idempotency-Key tells."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_ms: int | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_ms = retry_after_ms
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})  # conflicts, alternatives, current, snapshot_url …

    @property
    def entry(self) -> Entry:
        """The table's row. A code that only a newer domain knows reads as a refusal."""
        return TABLE.get(self.code, TABLE["refused"])

    @property
    def status(self) -> int:
        return self.entry.status

    @property
    def retry_after_s(self) -> int | None:
        """Whole seconds for the header Retry-After, rounded up."""
        return None if self.retry_after_ms is None else max(1, -(-self.retry_after_ms // 1_000))

    def document(self, request_id: str) -> dict[str, Any]:
        """The problem as a JSON-ready object; parts already in JSON may be `msgspec.Raw`."""
        entry = self.entry
        document: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": entry.title,
            "status": entry.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": entry.retryable,
            "request_id": request_id,
        }
        if self.errors:
            document["errors"] = self.errors
        if self.retry_after_ms is not None:
            document["retry_after_ms"] = self.retry_after_ms
        return document | self.extra

    def encode(self, request_id: str) -> bytes:
        return _encoder.encode(self.document(request_id))


def invalid(pointer: str, detail: str, code: str = "invalid_value") -> Problem:
    """A problem with one place of the request."""
    return Problem("invalid", detail, errors=[FieldError(code, pointer, detail)])
