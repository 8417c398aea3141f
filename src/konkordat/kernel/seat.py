"""Seats: who decides about what is scarce, as values that stand in logs.

A seat is a duty, for example to decide the claims of a venue. It has one holder at a time, in numbered terms. All
that is said about a seat durably is an *entry* in the log of the node that says it. So an entry needs no signature and
no field for its author: the origin of the log in which it stands is the candidate, the voter or the holder, and nobody
can speak for another. Entries are replicated, relayed and kept like any change, and are the audit trail of the seat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple, NewType

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, ClaimState
from konkordat.kernel.ids import NodeName, Origin, node_of

SeatId = NewType("SeatId", str)

SEAT_ID_CHARS_MAX: Final = 255  # as a record id: "venue/0190…"
TERM_MAX: Final = (
    1 << 53
) - 1  # exact in every JSON reader; a takeover a second for 285 million years
# How far a term may be beyond all that was said before. Each candidate stands for the next one, so no cluster gets
# there: it is a takeover a second for half a year. It keeps a broken member from using up all the terms there are.
TERM_LEAP_MAX: Final = 1 << 24
MEMBERS_MAX: Final = 64  # as many peers as a node keeps; a majority beyond this is a committee
ALTERNATIVES_MAX: Final = 16  # per wish; each may cost one look at the resource's timetable
BUNDLE_WISHES_MAX: Final = 64  # decided together or not at all; a series of a term's weeks fits
RULINGS_MAX: Final = 2 * BUNDLE_WISHES_MAX  # every wish may let one other place go
FRONTIER_ORIGINS_MAX: Final = 250  # as many origins as a node admits at all


class At(NamedTuple):
    """Where an entry stands: in whose log, in which batch."""

    origin: Origin
    seq: int


class Decide(StrEnum):
    """When a decision is final."""

    MAJORITY = "majority"  # when a majority of the roster has it; survives the loss of the holder
    HOME = "home"  # when the holder has it; decides while cut off, and what only it knew is lost with it


class Roster(msgspec.Struct, frozen=True):
    """Who may vote and hold. A member is an origin, not a name: a node that lost its disk also lost the promises that
    its votes were, so its new incarnation is somebody else and must be admitted anew."""

    version: int  # grows by one with each change; rosters are decided one after another
    members: tuple[Origin, ...]  # sorted, no duplicates


class SeatSpec(msgspec.Struct, frozen=True):
    """A seat as configuration knows it."""

    id: SeatId
    home: NodeName  # holds it whenever it can be asked to; first in every order of candidates
    decide: Decide = Decide.MAJORITY
    # Version of the roster when the seat was made. As long as no term is known to be opened, a majority of that one is
    # asked too: else two disjoint majorities, of rosters before and after changes, could each open a first term.
    roster: int = 1


# Entries ------------------------------------------------------------------------------------------


class Candidacy(msgspec.Struct, frozen=True, tag_field="is", tag="candidacy"):
    """The author asks the members of a roster for their votes."""

    seat: SeatId
    term: int
    roster: int  # version under which it will hold the seat


class Vote(msgspec.Struct, frozen=True, tag_field="is", tag="vote"):
    """The author votes for a candidate, and from here on does not confirm decisions of older terms.

    `frontier` is what the author has of each origin that stood for the seat since the latest final term it knows, with
    the batch in which the vote itself stands. The candidate must have as much before it opens, and so knows all that
    any voter knew.
    """

    seat: SeatId
    term: int
    candidate: Origin
    roster: int  # of the candidacy
    frontier: tuple[tuple[Origin, int], ...]  # sorted by origin

    def has(self, origin: Origin) -> int:
        """How far the voter had this origin's log; 0 if it had never heard it stand for the seat."""
        return next((seq for name, seq in self.frontier if name == origin), 0)


class Link(msgspec.Struct, frozen=True):
    """The term before, as an opening adopts it: its decisions count up to the cut-off, and are void beyond."""

    term: int
    holder: Origin
    cutoff: int  # in the holder's log; never before the opening of that term


class Opening(msgspec.Struct, frozen=True, tag_field="is", tag="opening"):
    """The author holds the seat in this term. The highest opened term rules.

    `last` names the latest term that any of its voters knew to be opened. What that one adopted of earlier terms stays
    adopted: cut-offs are inherited through the chain of links, never drawn again, and an opening stays small however
    many terms there have been. A term that is not in the chain never counted.
    """

    seat: SeatId
    term: int
    roster: int
    decide: Decide
    last: Link | None
    voters: tuple[Origin, ...]  # sorted; for the audit: anybody can check their votes


class Verdict(StrEnum):
    GRANTED = "granted"  # the claim has the place named; a place it had before is let go by the same ruling
    DENIED = "denied"  # the claim as asked does not fit; a place it had before it keeps
    FREED = "freed"  # the claim has no place any more: released, expired, or given up for another


class Ruling(msgspec.Struct, frozen=True):
    """What was decided about one claim. Carries the place itself, since the record may have moved on meanwhile."""

    verdict: Verdict
    claim: Claim  # granted: the place given, which may be an alternative. The stamp names the wish that is answered
    # For a denial: what stood in the way. For a place given up for another: whose that is.
    against: tuple[ClaimId, ...] = ()


class Decision(msgspec.Struct, frozen=True, tag_field="is", tag="decision"):
    """Rulings that stand or fall together, by the holder of the term."""

    seat: SeatId
    term: int
    rulings: tuple[Ruling, ...]


class Finality(msgspec.Struct, frozen=True, tag_field="is", tag="finality"):
    """The holder has seen a majority have its log up to `upto`: decisions of this term up to there, and all that its
    opening adopted, will never change. This entry is what makes a claim `confirmed`, on every node alike."""

    seat: SeatId
    term: int
    upto: int


class Handover(msgspec.Struct, frozen=True, tag_field="is", tag="handover"):
    """An operator, at the author's node, asks for another holder. By the holder itself: it stops deciding with this
    entry, so nothing is void. By another node: the only way to take a `home` seat from a node that is gone."""

    seat: SeatId
    term: int  # the term it is to end; a later one is not concerned
    to: NodeName


Entry = Candidacy | Vote | Opening | Decision | Finality | Handover


class UnreadableEntry(ValueError):
    """The entry is none that this release knows: {reason}. Nothing was taken from it, and it stays in the log. An
    author of a newer release may have written it; update this node."""


def encode(entry: Entry) -> bytes:
    """Canonical JSON, to be a field's value in a change."""
    return _encoder.encode(entry)


def decode(raw: bytes) -> Entry:
    """The entry back. Raises UnreadableEntry for what is none, or breaks a limit."""
    try:
        entry: Entry = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise UnreadableEntry(str(cause)) from cause
    fault = _fault(entry)
    if fault:
        raise UnreadableEntry(fault)
    return entry


def _fault(entry: Entry) -> str:
    if not 0 < len(entry.seat) <= SEAT_ID_CHARS_MAX:
        return "the seat has no id, or too long a one"
    lowest = 0 if isinstance(entry, Handover) else 1  # a seat that nobody ever held is in term 0
    if not lowest <= entry.term <= TERM_MAX:
        return f"term {entry.term} is out of range"
    match entry:
        case Vote(frontier=frontier) if len(frontier) > FRONTIER_ORIGINS_MAX:
            return f"a vote that names more than {FRONTIER_ORIGINS_MAX} origins"
        case Decision(rulings=rulings) if not 0 < len(rulings) <= RULINGS_MAX:
            return f"a decision of {len(rulings)} rulings"
        case Opening(voters=voters) if len(voters) > MEMBERS_MAX:
            return f"an opening with more than {MEMBERS_MAX} voters"
    return ""


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final[msgspec.json.Decoder[Entry]] = msgspec.json.Decoder(Entry)


# Wishes: what a holder is asked to decide -----------------------------------------------------------


class Wish(msgspec.Struct, frozen=True):
    """A claim with what would do instead."""

    claim: Claim
    # Other places, in order of liking; the first that fits is granted. Same id and stamp as the claim.
    alternatives: tuple[Claim, ...] = ()
    # Claims whose places are let go when this one is granted, and only then.
    replaces: tuple[ClaimId, ...] = ()


class Request(msgspec.Struct, frozen=True):
    """Wishes that are granted all together or not at all (a series, a swap), and places to let go."""

    wishes: tuple[Wish, ...] = ()
    frees: tuple[ClaimId, ...] = ()  # released by their owners, or expired
    again: bool = False  # decide though denied before: the waiting list moved up
    # The time of these wishes was over before they were decided: denied, with nothing that stood in the way, and the
    # places that the claims had are let go.
    lapsed: bool = False


class ClaimView(msgspec.Struct, frozen=True):
    """What may be told of a claim. Final: only `tentative` will ever change without its owner's doing."""

    state: ClaimState
    holds: Claim | None = (
        None  # the place it finally has, also while a move of it is undecided or denied
    )
    against: tuple[ClaimId, ...] = ()


def candidates(seat: SeatId, home: NodeName, members: Iterable[Origin]) -> list[Origin]:
    """Members in the order in which they should stand: home, then by rendezvous hashing (Thaler and Ravishankar,
    1998), so that the seats of a lost node spread over those that remain, and all nodes agree without talking."""
    return sorted(members, key=lambda member: (node_of(member) != home, _weight(seat, member)))


def _weight(seat: SeatId, member: Origin) -> bytes:
    return hashlib.blake2b(
        f"{seat}\0{node_of(member)}".encode(), digest_size=8, person=b"konkordat.seat"
    ).digest()
