"""The body of a series: what repeats, and what its sessions have in common."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from konkordat.schedule import fields as f
from konkordat.schedule.model import Slot
from konkordat.schedule.recurrence import OCCURRENCES_MAX

RULE_CHARS_MAX = 200  # longer than any rule of the subset


class SessionTemplate(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What every session of a series begins with; each can be changed by itself afterwards."""

    title: f.NamedTitles
    subtitle: f.Titles = field(default_factory=dict)
    abstract: f.Abstracts = field(default_factory=dict)
    description: f.Descriptions = field(default_factory=dict)
    type: f.SessionType = "talk"
    type_label: f.Label | None = None
    track: f.Label | None = None
    language: f.Language | None = None
    speakers: Annotated[tuple[f.Id, ...], Meta(max_length=f.SPEAKERS_MAX)] = ()
    state: f.SessionState = "draft"
    seats: Annotated[int, Meta(ge=0, le=f.PEOPLE_MAX)] | None = None

    def __post_init__(self) -> None:
        if len(set(self.speakers)) != len(self.speakers):
            raise ValueError("A session names each speaker once")


class SeriesBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sessions that repeat, booked in one transaction: all, or, with `on_conflict=skip_occurrence`, those that fit.

    Only `exdates` and `external_ids` can change afterwards; an occurrence is changed by changing its session.
    """

    id: f.Id | None = None
    event: Annotated[f.Id, Meta(description="The event's id; it cannot be changed.")]
    slot: Annotated[Slot, Meta(description="The first occurrence. Wall time repeats.")]
    rule: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=RULE_CHARS_MAX,
            description="RFC 5545: FREQ (DAILY, WEEKLY, MONTHLY, YEARLY), INTERVAL, BYDAY, and COUNT or UNTIL; at most"
            f" {OCCURRENCES_MAX} occurrences.",
            examples=["FREQ=WEEKLY;BYDAY=TU;COUNT=8"],
        ),
    ]
    exdates: Annotated[
        tuple[f.LocalTime, ...],
        Meta(
            max_length=OCCURRENCES_MAX,
            description="Wall times that are left out; their sessions are deleted.",
        ),
    ] = ()
    session: SessionTemplate
    external_ids: f.ExternalIds = field(default_factory=dict)
