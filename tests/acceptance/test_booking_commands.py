"""Booking from a terminal: what is free, places, holds, series, seats, as one person does it against real nodes."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from typing import IO, NamedTuple

import pytest

from konkordat.cli.cluster import LocalCluster
from konkordat.cli.main import main
from konkordat.client import Client
from support.terminal import COMMAND, Result, access, cluster, environment, run

ZONE = "Europe/Zurich"
SEATED_S_MAX = 15.0  # on a busy machine


class Forum(NamedTuple):
    """What there is; commands are given at geneva, zurich decides."""

    env: dict[str, str]
    client: Client
    event: str
    venue: str

    def run(self, *arguments: str) -> Result:
        """A command as it is, but in this process: there are many, and a start takes longer than what they do."""
        out, err = (TextIOWrapper(BytesIO(), encoding="utf-8") for _ in range(2))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment(self.env).items():
                patch.setenv(name, value)
            with redirect_stdout(out), redirect_stderr(err):
                code = main(list(arguments))
        texts = []
        for stream in (out, err):
            stream.flush()
            stream.seek(0)
            texts.append(stream.read())
        return Result(code, *texts)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster(tmp_path_factory.mktemp("nodes"), "zurich", "geneva", "bern") as started:
        yield started


@pytest.fixture(scope="module")
def forum(nodes: LocalCluster) -> Iterator[Forum]:
    """A house with three rooms and a stand, an event of three days."""
    with Client(nodes.urls["geneva"], key=nodes.key) as client:
        house = {"name": {"de": "Kursaal", "fr": "Casino"}, "time_zone": ZONE, "region": "zurich"}
        venue = client.venues.create(house)["id"]
        for name, seats in (("Saal", 200), ("Estrich", 40), ("Stube", 12)):
            client.rooms.create({"venue": venue, "name": {"de": name}, "capacity": seats})
        client.booths.create({"venue": venue, "name": {"de": "A1"}})
        days = {"start_date": "2027-06-01", "end_date": "2027-06-28", "time_zone": ZONE}
        event = client.events.create({"slug": "forum", "name": {"de": "Forum"}, **days})["id"]
        until = time.monotonic() + SEATED_S_MAX
        while not all(seat["has_holder"] for seat in client.who_decides()):
            assert time.monotonic() < until, "nobody decides"
            time.sleep(0.05)
        yield Forum(access(nodes, "geneva"), client, event, venue)


def lines(result: Result) -> list[str]:
    return [line.strip() for line in result.out.splitlines() if line.strip()]


def hand_over(forum: Forum, node: str) -> None:
    """Let a node decide for the venue, which it may do already; it may just have come back."""
    until = time.monotonic() + SEATED_S_MAX
    while True:
        done = forum.run("seats", "handover", "Kursaal", node)
        if not done.code or "already_the_holder" in done.err:
            return
        assert time.monotonic() < until, done.err
        time.sleep(0.1)


# Places -----------------------------------------------------------------------------------------------


def test_a_session_is_booked_by_names_and_its_decision_is_shown(forum: Forum) -> None:
    wish = ("book", "--new", "Netze", "Saal@2027-06-01T09:00", "--minutes", "45")
    done = run(*wish, env=forum.env)
    assert done.code == 0, done.err
    assert "confirmed   ‘Netze’: Saal, Tue 2027-06-01 09:00–09:45" in lines(done)
    again = forum.run("book", "Netze")
    assert lines(again) == ["confirmed   ‘Netze’: Saal, Tue 2027-06-01 09:00–09:45"]


def test_a_place_that_is_taken_is_refused_with_what_is_free_instead(forum: Forum) -> None:
    forum.run("book", "--new", "Frühe", "saal@2027-06-02 09:00", "--until", "09:45")
    late = ("book", "--new", "Späte", "Saal@2027-06-02T09:15", "-m", "30", "--event", "forum")
    refused = forum.run(*late, "--json")
    assert refused.code == 4
    assert "taken by ‘Frühe’" in refused.line
    assert "Saal@2027-06-02T09:45" in refused.line
    error = refused.json["error"]
    assert (error["code"], len(error["conflicts"])) == ("slot_taken", 1)
    instead = forum.run(*late, "--or", "Estrich", "--json")
    assert instead.code == 0, instead.err
    assert instead.json["session"]["slot"]["granted"]["local_start"] == "2027-06-02T09:15"
    told = forum.run("book", "Späte")
    assert "Estrich, Wed 2027-06-02 09:15–09:45" in lines(told)[0]
    assert lines(told)[1] == "instead of Saal, Wed 2027-06-02 09:15–09:45"


def test_who_lines_up_is_displaced_with_the_reason_and_has_the_place_once_it_is_free(
    forum: Forum,
) -> None:
    forum.run("book", "--new", "Erste", "Stube@2027-06-03T09:00", "-m", "60")
    second = forum.run("book", "--new", "Zweite", "Stube@2027-06-03T09:00", "-m", "60", "--line-up")
    assert second.code == 1
    assert [line.split()[0] for line in lines(second)[:3]] == ["tentative", "displaced", "taken"]
    assert "taken by ‘Erste’" in second.out
    assert "free instead: Stube, Thu 2027-06-03 08:00–09:00" in second.out
    gone = forum.run("unbook", "Erste")
    assert lines(gone) == ["Stube, Thu 2027-06-03 09:00–10:00 is let go."]
    until = time.monotonic() + SEATED_S_MAX
    while forum.run("book", "Zweite").code:
        assert time.monotonic() < until, "the place came free, and nobody got it"


def test_a_session_is_moved_by_what_changes(forum: Forum) -> None:
    forum.run("book", "--new", "Wandernde", "Saal@2027-06-04T09:00", "-m", "30")
    for place, now in (
        ("@10:00", "Saal, Fri 2027-06-04 10:00–10:30"),
        ("Estrich", "Estrich, Fri 2027-06-04 10:00–10:30"),
        ("A1@2027-06-05T10:00", "A1, Sat 2027-06-05 10:00–10:30"),
    ):
        moved = forum.run("book", "Wandernde", place)
        assert moved.code == 0, moved.err
        assert lines(moved)[-1].endswith(now)
    longer = forum.run("book", "Wandernde", "--until", "12:00")
    assert lines(longer)[-1].endswith("A1, Sat 2027-06-05 10:00–12:00")
    assert forum.run("unbook", "Wandernde", "--cancel", "--json").json["session"]["state"] == (
        "cancelled"
    )


def test_what_is_free_is_shown_at_a_time_and_on_a_day(forum: Forum) -> None:
    forum.run("book", "--new", "Morgen", "Saal@2027-06-06T09:00", "-m", "60")
    at = forum.run("free", "Casino", "--at", "2027-06-06T09:30", "--minutes", "60")
    assert at.code == 0, at.err
    rows = {line.split()[0]: line for line in lines(at)}
    assert "only 10:00–10:30" in rows["Saal"]
    assert "09:00–10:00 ‘Morgen’" in rows["Saal"]
    assert rows["Estrich"].split()[2] == "free"
    large = forum.run(
        "free", "forum", "--at", "2027-06-06T09:30", "--until", "10:00", "--seats", "100"
    )
    assert large.code == 1, "the only room as large is taken"
    day = forum.run("free", "Kursaal/Saal", "--on", "2027-06-06", "--event", "forum")
    assert lines(day)[1:] == [
        "00:00–09:00  free",
        "09:00–10:00  ‘Morgen’",
        "10:00–24:00  free",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("free",), 2, "--at"),
        (("free", "--at", "2027-03-28T02:30"), 4, "does not exist"),
        (("free", "Sahl", "--on", "2027-06-01"), 4, "Saal"),
        (("free", "--on", "2027-06-31"), 2, "no date"),
        (("book", "Nichts", "Saal@2027-06-01T09:00"), 4, "no session 'Nichts'"),
        (("book", "--new", "X", "Sahl@2027-06-01T09:00", "-m", "5"), 4, "Estrich"),
        (("book", "--new", "X", "Saal@2027-06-01T09:00"), 2, "--minutes"),
        (("book", "--new", "X", "Saal@2027-06-01T09:00", "-m", "0"), 2, "--minutes"),
        (("book", "--new", "X", "Saal@2027-06-01T09:00", "--until", "08:00"), 2, "not after"),
        (("book", "--new", "X", "Saal@2027-06-01T25:00", "-m", "5"), 2, "no time"),
        (("book", "--new", "X", "Saal@09:00", "-m", "5"), 2, "no day"),
        (("book", "--new", "X", "Saal@2027-03-28T02:30", "-m", "5"), 4, "03:30"),
        (("book", "--new", "X", "Saal@2027-07-28T09:00", "-m", "5"), 4, "outside_event"),
        (("book", "--new", "X", "Saal@2027-06-01T09:00", "-m", "5", "-e", "no"), 4, "forum"),
        (("book", "--new", "X", "--hold", "h", "-m", "5"), 2, "hold"),
        (("unbook", "Nichts"), 4, "no session"),
    ],
)
def test_what_cannot_be_meant_says_what_to_do(
    forum: Forum, arguments: tuple[str, ...], code: int, says: str
) -> None:
    refused = forum.run(*arguments)
    assert (refused.code, refused.out) == (code, "")
    assert says in refused.line


def test_without_a_key_or_a_node_nothing_is_tried_for_long(forum: Forum) -> None:
    nobody = run("book", "Netze", env={**forum.env, "KONKORDAT_KEY": ""})
    assert (nobody.code, "KONKORDAT_KEY" in nobody.line) == (4, True)
    nowhere = run("free", "--timeout", "0.5", env={"KONKORDAT_URL": "http://127.0.0.1:1"})
    assert (nowhere.code, "--url" in nowhere.line) == (3, True)


def test_a_dry_run_writes_nothing_and_one_that_does_not_wait_is_tentative(forum: Forum) -> None:
    place = ("Saal@2027-06-07T09:00", "-m", "30")
    dry = forum.run("book", "--new", "Probe", *place, "--dry-run")
    assert (dry.code, "nothing was written" in dry.out) == (0, True)
    assert forum.run("book", "Probe").code == 4
    now = forum.run("book", "--new", "Probe", *place, "--wait", "0", "--json")
    assert (now.code, now.json["state"]) == (0, "tentative")


def test_who_waits_in_vain_is_told_whom_for(forum: Forum, nodes: LocalCluster) -> None:
    """Zurich decides, and stands still: another takes over, but not before it is missed."""
    hand_over(forum, "zurich")
    os.kill(nodes.nodes["zurich"].pid, signal.SIGSTOP)
    try:
        wish = ("book", "--new", "Ungewisse", "Saal@2027-06-21T09:00", "-m", "30")
        waits = forum.run(*wish, "--wait", "1")
        assert (waits.code, lines(waits)[0].split()[0]) == (1, "tentative")
        assert "Not decided yet: zurich decides" in lines(waits)[-1]
        later = forum.run("book", "Ungewisse", "--wait", "30")
        assert (later.code, "confirmed" in later.out) == (0, True), later.out
    finally:
        os.kill(nodes.nodes["zurich"].pid, signal.SIGCONT)


# Holds ------------------------------------------------------------------------------------------------


def test_a_place_is_held_extended_and_made_a_session(forum: Forum) -> None:
    made = forum.run(
        *("hold", "make", "Saal@2027-06-08T14:00", "-m", "60", "--note", "für Mila", "--for", "2m")
    )
    assert made.code == 0, made.err
    assert "confirmed   hold ‘für Mila’: Saal, Tue 2027-06-08 14:00–15:00" in lines(made)
    assert "2 min from now" in made.out
    refused = forum.run("book", "--new", "Fremde", "Saal@2027-06-08T14:30", "-m", "10")
    assert (refused.code, "a hold ‘für Mila’" in refused.line) == (4, True)
    longer = forum.run("hold", "extend", "für Mila", "--for", "1h30m")
    assert (longer.code, "90 min from now" in longer.out) == (0, True)
    (row,) = [line for line in lines(forum.run("hold", "list")) if "für Mila" in line]
    assert "Saal, Tue 2027-06-08 14:00–15:00" in row
    assert "in 90 min" in row
    booked = forum.run("book", "--new", "Milas", "--hold", "für Mila")
    assert booked.code == 0, booked.err
    assert "Saal, Tue 2027-06-08 14:00–15:00" in booked.out
    assert "für Mila" not in forum.run("hold", "list", "--event", "forum").out
    holds = forum.run("hold", "list", "--all", "--json").json["holds"]
    (over,) = [hold for hold in holds if hold["note"] == "für Mila"]
    assert over["slot"]["state"] == "released"


def test_a_hold_is_let_go_and_one_that_is_over_asks_for_its_place_again(forum: Forum) -> None:
    place = ("Stube@2027-06-09T14:00", "--until", "15:00")
    made = forum.run("hold", "make", *place, "--note", "kurz", "--for", "1s", "--json")
    assert made.code == 0, made.err
    until = time.monotonic() + SEATED_S_MAX
    while forum.client.holds.get(made.json["id"])["slot"]["state"] != "expired":
        assert time.monotonic() < until, "it does not end"
        time.sleep(0.05)
    assert "hold_expired" in forum.run("book", "--new", "Zu spät", "--hold", "kurz").line
    again = forum.run("hold", "extend", "kurz")
    assert (again.code, "confirmed" in again.out) == (0, True)
    gone = forum.run("hold", "release", "kurz")
    assert lines(gone) == ["Stube, Wed 2027-06-09 14:00–15:00 is let go."]
    assert forum.run("free", "Stube", "--at", "2027-06-09T14:00").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("hold",), 2, "which"),
        (("hold", "make", "Saal@2027-06-01T09:00", "-m", "5", "--for", "25h"), 2, "a day"),
        (("hold", "make", "Saal@2027-06-01T09:00", "-m", "5", "--for", "0m"), 2, "15m"),
        (("hold", "make", "Saal@2027-06-01T09:00", "-m", "5", "--for", "bald"), 2, "15m"),
        (("hold", "make", "@09:00", "-m", "5"), 2, "no place"),
        (("hold", "release", "nichts"), 4, "no hold"),
    ],
)
def test_a_hold_that_cannot_be_meant_says_what_to_do(
    forum: Forum, arguments: tuple[str, ...], code: int, says: str
) -> None:
    refused = forum.run(*arguments)
    assert refused.code == code
    assert says in refused.line


# Series -----------------------------------------------------------------------------------------------


def test_a_series_is_booked_whole_or_without_what_is_taken(forum: Forum) -> None:
    forum.run("book", "--new", "Im Weg", "Estrich@2027-06-17T18:30", "-m", "60")
    yoga = ("series", "make", "Yoga", "Estrich@2027-06-10T18:00", "-m", "45", "--weekly")
    refused = forum.run(*yoga, "--times", "3")
    assert refused.code == 4
    assert "Of 2027-06-17 18:00: The place is taken by ‘Im Weg’" in refused.line
    assert "--skip-taken" in refused.line
    made = forum.run(*yoga, "--last", "2027-06-24", "--skip-taken")
    assert made.code == 0, made.err
    rows = {line[:16]: line[18:] for line in lines(made) if line.startswith("2027")}
    assert rows["2027-06-10 18:00"].startswith("confirmed  Estrich, Thu 2027-06-10 18:00–18:45")
    assert rows["2027-06-17 18:00"].split() == ["left", "out", "taken", "by", "‘Im", "Weg’"]
    assert rows["2027-06-24 18:00"].startswith("confirmed")
    assert "Yoga" in forum.run("series", "list", "-e", "forum").out


def test_what_became_of_an_occurrence_is_shown_and_a_series_goes_as_a_whole(forum: Forum) -> None:
    forum.run("series", "make", "Chor", "Saal@2027-06-10T06:00", "-m", "30", "--daily", "--times=3")
    sessions = forum.run("series", "show", "chor", "--json").json["sessions"]
    assert forum.run("book", sessions[0]["id"][-12:], "@06:30").code == 0
    assert forum.run("unbook", sessions[1]["id"]).code == 0
    shown = forum.run("series", "show", "Chor")
    rows = [line.split()[2:4] for line in lines(shown) if line.startswith("2027")]
    assert (shown.code, rows[1][:2], rows[2][0]) == (1, ["no", "place"], "confirmed")
    assert "2027-06-10 06:30–07:00" in shown.out
    ambiguous = forum.run("unbook", "Chor")
    assert (ambiguous.code, sessions[2]["id"] in ambiguous.line) == (2, True)
    assert "3 sessions are deleted" in forum.run("series", "delete", "Chor").out
    assert forum.run("series", "show", "Chor").code == 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--times", "3"), 2, "--weekly"),
        (("--daily",), 2, "--times 8"),
        (("--daily", "--weekly", "--times", "3"), 2, "not both"),
        (("--daily", "--times", "0"), 2, "--times"),
        (("--daily", "--times", "65"), 2, "--times"),
        (("--daily", "--last", "2027-05-01"), 2, "before the first"),
        (("--daily", "--rule", "FREQ=DAILY;COUNT=2"), 2, "--rule says it all"),
        (("--rule", "FREQ=HOURLY;COUNT=2"), 4, "bad_recurrence"),
    ],
)
def test_a_series_that_cannot_be_meant_says_what_to_do(
    forum: Forum, arguments: tuple[str, ...], code: int, says: str
) -> None:
    refused = forum.run("series", "make", "X", "Saal@2027-06-11T06:00", "-m", "30", *arguments)
    assert refused.code == code
    assert says in refused.line


# People -----------------------------------------------------------------------------------------------


def test_people_are_registered_wait_in_line_and_move_up(forum: Forum) -> None:
    forum.run("book", "--new", "Werkstatt", "Saal@2027-06-14T09:00", "-m", "60", "--seats", "2")
    lea = forum.run("register", "Werkstatt", "Lea", "--new", "--email", "l@example.ch", "--seats=2")
    assert (lea.code, lines(lea)[-1]) == (0, "confirmed   Lea: ‘Werkstatt’, 2 seats")
    full = forum.run("register", "Werkstatt", "Tim", "--new", "--json")
    assert (full.code, full.json["error"]["code"]) == (4, "sold_out")
    assert "--waitlist" in full.line
    tim = forum.run("register", "Werkstatt", "Tim", "--waitlist")
    assert lines(tim)[-1] == "waitlisted  Tim: ‘Werkstatt’, 1 seat, place 1 in the line"
    mila = forum.run("register", "Werkstatt", "Mila", "--new", "--waitlist", "--json")
    assert (mila.code, mila.json["place_in_line"]) == (0, 2)
    rows = forum.run("registrations", "werkstatt", "--format", "table")
    assert [line.split()[0] for line in lines(rows)[3:]] == ["Lea", "Tim", "Mila"]
    assert "2 of 2 seats taken, 2 waited for" in rows.out
    gone = forum.run("unregister", "Werkstatt", "l@example.ch")
    assert lines(gone) == ["cancelled   Lea: ‘Werkstatt’; 2 seats given back"]
    until = time.monotonic() + SEATED_S_MAX
    while "2 of 2 seats taken" not in forum.run("registrations", "Werkstatt", "-f", "table").out:
        assert time.monotonic() < until, "nobody moved up"
    assert "waited for" not in forum.run("registrations", "Werkstatt", "-f", "table").out


def test_who_is_registered_gets_as_many_seats_as_they_ask_for_now(forum: Forum) -> None:
    forum.run("book", "--new", "Kurs", "Saal@2027-06-15T09:00", "-m", "60", "--seats", "3")
    forum.run("register", "Kurs", "Nora", "--new", "--seats", "2")
    forum.run("register", "Kurs", "Otto", "--new")
    same = forum.run("register", "Kurs", "Nora", "--seats", "2", "--json")
    assert (same.code, same.json["seats_held"]) == (0, 2)
    more = forum.run("register", "Kurs", "Nora", "--seats", "3", "--waitlist")
    assert more.code == 0, more.err
    assert lines(more)[-1].endswith("3 seats wanted, 2 held, place 1 in the line")
    fewer = forum.run("register", "Kurs", "Nora")
    assert (fewer.code, lines(fewer)[-1]) == (0, "confirmed   Nora: ‘Kurs’, 1 seat")
    forum.run("unregister", "Kurs", "Nora")
    again = forum.run("register", "Kurs", "nora")
    assert (again.code, lines(again)[-1]) == (0, "confirmed   Nora: ‘Kurs’, 1 seat")
    assert "seats" in lines(forum.run("unbook", "Kurs", "--cancel"))[-1], "who cancels is told"


def test_a_registration_that_cannot_be_meant_says_what_to_do(forum: Forum) -> None:
    forum.run("book", "--new", "Ohne Plätze", "Saal@2027-06-16T09:00", "-m", "60")
    forum.client.attendees.create({"name": "Pia"})
    for arguments, code, says in (
        (("register", "Ohne Plätze", "Pia"), 4, "no seats"),
        (("register", "Ohne Plätze", "Wer"), 4, "--new"),
        (("register", "Ohne Plätze", "Pia", "--seats", "0"), 2, "--seats"),
        (("register", "Nichts", "Pia"), 4, "no session"),
        (("unregister", "Ohne Plätze", "Pia"), 4, "not registered"),
        (("registrations", "Nichts"), 4, "no session"),
    ):
        refused = forum.run(*arguments)
        assert refused.code == code, arguments
        assert says in refused.line


# Watching ---------------------------------------------------------------------------------------------


def test_who_watches_sees_what_became_of_claims_and_who_decides(forum: Forum) -> None:
    hand_over(forum, "zurich")
    with subprocess.Popen(
        [*COMMAND, "watch"], env=environment(forum.env), stdout=subprocess.PIPE, text=True
    ) as watch:
        try:
            assert watch.stdout is not None
            assert "from here on live" in watch.stdout.readline()
            forum.run("book", "--new", "Gesehene", "Stube@2027-06-20T09:00", "-m", "30")
            late = ("book", "--new", "Zweite Wahl", "Stube@2027-06-20T09:00", "-m", "30")
            forum.run(*late, "--line-up")
            _until(watch.stdout, "Gesehene  Stube, Sun 2027-06-20 09:00–09:30  confirmed")
            _until(watch.stdout, "Zweite Wahl  Stube, ", "displaced, taken by ‘Gesehene’")
            forum.run("hold", "make", "A1@2027-06-20T09:00", "-m", "30", "--note", "gesehen")
            _until(watch.stdout, "hold         gesehen  A1, Sun 2027-06-20 09:00–09:30  confirmed")
            forum.run("seats", "handover", "Kursaal", "bern")
            _until(watch.stdout, "seat         venue Kursaal: zurich -> bern, term")
        finally:
            watch.kill()


def test_a_script_is_told_of_seats_alone(forum: Forum) -> None:
    hand_over(forum, "zurich")
    command = [*COMMAND, "watch", "--type", "seats", "--count", "1", "--json"]
    with subprocess.Popen(
        command, env=environment(forum.env), stdout=subprocess.PIPE, text=True
    ) as watch:
        try:
            assert watch.stdout is not None
            holders = itertools.cycle(("geneva", "zurich"))
            # It looks at the seats once it has started, and says nothing of that.
            while not select.select([watch.stdout], [], [], 1.0)[0]:
                forum.run("seats", "handover", "Kursaal", next(holders))
            told = json.loads(watch.stdout.readline())
            # On a busy machine a holder may be missed for a moment, which is told, too.
            assert (told["type"], told["op"]) == ("seats", "upsert")
            assert {told["holder_before"], told["data"]["holder"]} <= {"zurich", "geneva", "bern"}
            assert watch.wait(SEATED_S_MAX) == 0
        finally:
            watch.kill()


def _until(stream: IO[str], *parts: str) -> None:
    """Read on to a line that has all of these."""
    for line in stream:
        if all(part in line for part in parts):
            return
    raise AssertionError(f"the stream ended without {parts}")
