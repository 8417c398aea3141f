"""The client against real nodes behind real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from integration.client.conftest import QUICK
from integration.client.serving import Served
from konkordat.client import (
    CaughtUp,
    Change,
    Client,
    Conflict,
    Gap,
    Invalid,
    NodeUnreachable,
    NotFound,
    PreconditionFailed,
    RetryPolicy,
    Unauthenticated,
    Unavailable,
)
from konkordat.kernel.frontier import covers, parse_token
from support.api import OPERATOR_KEY

Forum = Mapping[str, str]
At = Callable[[str], Client]


def session(forum: Forum, title: str = "Netze", at: str = "", **more: Any) -> dict[str, Any]:
    body = {"event": forum["event"], "title": {"de": title}, **more}
    if at:
        body["slot"] = {
            "room": forum["room"],
            "local_start": f"2027-06-01T{at}",
            "time_zone": "Europe/Zurich",
            "duration_minutes": 60,
        }
    return body


# Records ----------------------------------------------------------------------------------------


def test_a_record_is_made_read_changed_listed_and_deleted(client: Client, forum: Forum) -> None:
    made = client.sessions.create(session(forum, at="09:00"))
    assert made["slot"]["state"] == "confirmed"
    assert client.sessions.get(made["id"])["title"] == {"de": "Netze"}
    changed = client.sessions.update(made["id"], {"track": "A"}, if_match=made["version"])
    assert changed["track"] == "A"
    put = client.sessions.put(made["id"], session(forum, "Neu"), if_match=changed["version"])
    assert (put["title"], put["track"], put["slot"]) == ({"de": "Neu"}, None, None)
    assert [item["id"] for item in client.sessions.list(event=forum["event"])] == [made["id"]]
    client.sessions.delete(made["id"])
    with pytest.raises(NotFound):
        client.sessions.get(made["id"])
    assert len(client.sessions.history(made["id"])["data"]) == 4


def test_a_taken_room_is_a_conflict_that_names_what_is_there_and_what_is_free(
    client: Client, forum: Forum
) -> None:
    first = client.sessions.create(session(forum, "Auftakt", "09:00"))
    with pytest.raises(Conflict) as caught:
        client.sessions.create(session(forum, "Keynote", "09:30"))
    error = caught.value
    assert (error.code, error.retryable) == ("slot_taken", False)
    assert first["id"] in str(error.conflicts)
    assert error.request_id
    free = client.sessions.create({**session(forum, "Keynote"), "slot": error.alternatives[0]})
    assert free["slot"]["state"] == "confirmed"
    late = client.sessions.create(session(forum, "Spaet", "09:15"), on_conflict="tentative")
    assert late["slot"]["state"] == "displaced"


def test_a_lost_edit_is_refused_with_what_is_there_now(client: Client, forum: Forum) -> None:
    made = client.sessions.create(session(forum))
    client.sessions.update(made["id"], {"track": "A"})
    with pytest.raises(PreconditionFailed) as caught:
        client.sessions.update(made["id"], {"track": "B"}, if_match=made["version"])
    assert caught.value.current is not None
    assert caught.value.current["track"] == "A"


def test_a_wrong_request_points_at_the_place(client: Client, forum: Forum) -> None:
    with pytest.raises(Invalid) as caught:
        client.sessions.create(session(forum, colour="red"))
    assert caught.value.errors[0]["pointer"] == "/colour"


def test_a_list_of_several_pages_is_one_iterator(client: Client, forum: Forum) -> None:
    operations = [
        {"op": "create", "type": "sessions", "data": session(forum, f"S{number}")}
        for number in range(25)
    ]
    result = client.batch(operations)
    assert not result.refused
    ids = [item["id"] for item in client.sessions.list(event=forum["event"], limit="10")]
    assert sorted(ids) == sorted(one.id for one in result.results)


def test_an_atomic_batch_is_all_or_nothing_and_an_independent_one_is_not(
    client: Client, forum: Forum
) -> None:
    good = {"op": "create", "type": "sessions", "data": session(forum, "Gut")}
    bad = {"op": "patch", "type": "sessions", "id": "nobody", "data": {"track": "A"}}
    with pytest.raises(NotFound):
        client.batch([good, bad], "atomic")
    assert list(client.sessions.list(event=forum["event"])) == []
    result = client.batch([good, bad])
    assert [one.ok for one in result.results] == [True, False]
    assert [one.problem["code"] for one in result.refused if one.problem] == ["not_found"]
    dry = client.batch([good], "atomic", dry_run=True, include_data=True)
    assert dry.results[0].data is not None
    assert len(list(client.sessions.list(event=forum["event"]))) == 1


# Keys, cluster, audit ---------------------------------------------------------------------------


def test_keys_are_made_listed_and_revoked(served: Served) -> None:
    with Client(served.urls["zurich"], key=OPERATOR_KEY.text) as operator:
        made = operator.create_key(name="CRM", tenant="acme", scopes=["read"])
        assert made["id"] in str(operator.keys())
        assert made["key"] not in str(operator.keys())
        with Client(served.urls["zurich"], key=made["key"], retry=QUICK) as reader:
            assert list(reader.events.list()) == []
            operator.revoke_key(made["id"])
            with pytest.raises(Unauthenticated) as caught:
                list(reader.events.list())
    assert caught.value.code == "key_revoked"


def test_the_cluster_and_where_a_token_has_arrived(client: Client, forum: Forum) -> None:
    cluster = client.cluster()
    assert {node["name"] for node in cluster["nodes"]} == {"zurich", "geneva"}
    assert "zurich" in str(client.token_status(client.token))


def test_the_audit_trail_comes_in_pieces_and_is_the_same_everywhere(
    client: Client, forum: Forum, at: At
) -> None:
    geneva = at("geneva")
    geneva.token = client.token
    mine, theirs = b"".join(client.audit()), b"".join(geneva.audit())
    assert mine == theirs
    lines = [msgspec.json.decode(line) for line in mine.splitlines()]
    assert len(lines) == 4  # venue, event, room, speaker


def test_a_problem_instead_of_the_audit_trail_is_raised(client: Client) -> None:
    with pytest.raises(Invalid):
        b"".join(client.audit(nonsense="1"))


# Read your writes, failover, retries ------------------------------------------------------------


@pytest.mark.row("S0-32")
def test_what_was_written_at_one_node_is_read_at_the_other_at_once(
    served: Served, client: Client, forum: Forum, at: At
) -> None:
    geneva = at("geneva")
    for number in range(20):
        made = client.sessions.create(session(forum, f"S{number}"))
        geneva.token = client.token
        assert geneva.sessions.get(made["id"])["id"] == made["id"]


def test_a_node_that_lacks_what_was_seen_says_so_instead_of_not_found(
    served: Served, client: Client, forum: Forum, at: At
) -> None:
    served.cut_off("geneva")
    made = client.sessions.create(session(forum))
    geneva = at("geneva")
    geneva._core.retry = RetryPolicy(attempts_max=2, elapsed_max_s=3)
    geneva.token = client.token
    with pytest.raises(Unavailable) as caught:
        geneva.sessions.get(made["id"], wait_s=0)
    assert caught.value.code == "not_yet_consistent"
    served.cut_off()
    assert geneva.sessions.get(made["id"], wait_s=5)["id"] == made["id"]


@pytest.mark.row("S0-32")
def test_when_a_node_stops_the_next_one_is_asked_and_nobody_notices(
    served: Served, client: Client, forum: Forum
) -> None:
    made = client.sessions.create(session(forum))
    served.stop("zurich")
    assert client.sessions.get(made["id"])["id"] == made["id"]
    client.sessions.update(made["id"], {"track": "A"})
    served.start("zurich")
    assert client.sessions.get(made["id"])["track"] == "A"


def test_a_client_waits_for_its_only_node_to_come_back(
    served: Served, client: Client, forum: Forum, at: At
) -> None:
    zurich = at("zurich")
    served.stop("zurich")
    timer = threading.Timer(0.3, served.start, ["zurich"])
    timer.start()
    assert zurich.sessions.create(session(forum))["event"] == forum["event"]
    timer.join()


def test_nobody_there_is_told_with_the_address(served: Served, at: At) -> None:
    served.stop("geneva")
    geneva = at("geneva")
    geneva._core.retry = RetryPolicy(attempts_max=2)
    with pytest.raises(NodeUnreachable, match=served.urls["geneva"]):
        geneva.cluster()


def test_an_overloaded_node_is_given_time(served: Served, client: Client, forum: Forum) -> None:
    served.do(lambda: setattr(served["zurich"], "overloaded", True))
    made = client.sessions.create(session(forum))
    assert made["updated_at_node"] == "geneva"
    served.do(lambda: setattr(served["zurich"], "overloaded", False))


@pytest.mark.row("S0-32")
def test_a_write_repeated_at_another_node_has_one_effect(
    client: Client, forum: Forum, at: At
) -> None:
    geneva = at("geneva")
    body = session(forum)
    first = client.sessions.create(body, idempotency_key="once")
    geneva.token = client.token
    again = geneva.sessions.create(body, idempotency_key="once")
    assert again["id"] == first["id"]
    assert again["version"] == first["version"]
    with pytest.raises(Invalid) as caught:
        geneva.sessions.create(session(forum, "Anders"), idempotency_key="once")
    assert caught.value.code == "idempotency_key_reused"


# Changes and the stream -------------------------------------------------------------------------


def test_changes_since_a_token_are_told_each_record_once(client: Client, forum: Forum) -> None:
    since = client.token
    made = client.sessions.create(session(forum))
    client.sessions.update(made["id"], {"track": "A"})
    page = client.changes(since)
    assert [(one["op"], one["id"]) for one in page.data] == [("upsert", made["id"])]
    assert client.sessions.changes(page.token).data == []


def test_the_stream_tells_what_was_missed_and_then_what_happens(
    client: Client, forum: Forum, at: At
) -> None:
    since = client.token
    before = client.sessions.create(session(forum, "Vorher"))
    stream = at("zurich").stream(types=["sessions"], since=since)
    told = next(stream)
    assert isinstance(told, Change)
    assert (told.op, told.id) == ("upsert", before["id"])
    assert told.data is not None
    assert told.data["title"] == {"de": "Vorher"}
    assert isinstance(next(stream), CaughtUp)
    client.speakers.create({"name": "Nobody asked"})
    client.sessions.delete(before["id"])
    gone = next(stream)
    assert isinstance(gone, Change)
    assert (gone.op, gone.id, gone.data) == ("delete", before["id"], None)
    stream.close()


def test_what_a_stream_told_can_be_read_at_another_node(
    served: Served, client: Client, forum: Forum
) -> None:
    with Client(*reversed(served.urls.values()), key=client._core.key, retry=QUICK) as other:
        stream = other.stream(types=["sessions"])
        assert isinstance(next(stream), CaughtUp)
        made = client.sessions.create(session(forum))
        told = next(stream)
        assert isinstance(told, Change)
        assert covers(parse_token(other.token), parse_token(told.token.rpartition(".")[2]))
        served.stop("geneva")
        assert other.sessions.get(made["id"])["id"] == made["id"]
        stream.close()


@pytest.mark.row("S0-32")
def test_a_stream_goes_on_at_another_node_and_misses_nothing(
    served: Served, client: Client, forum: Forum, at: At
) -> None:
    with Client(*served.urls.values(), key=client._core.key, retry=QUICK) as watcher:
        stream = watcher.stream(types=["sessions"])
        assert isinstance(next(stream), CaughtUp)
        geneva = at("geneva")
        geneva.token = client.token
        made = [geneva.sessions.create(session(forum, "Eins"))["id"]]
        seen = [next(stream)]
        served.stop("zurich")
        made += [geneva.sessions.create(session(forum, title))["id"] for title in ("Zwei", "Drei")]
        while len([one for one in seen if isinstance(one, Change)]) < 3:
            seen.append(next(stream))
        assert [one.id for one in seen if isinstance(one, Change)] == made
        assert len([one for one in seen if isinstance(one, Gap)]) == 1
        stream.close()


@pytest.mark.parametrize("is_gone", [False, True], ids=["node runs", "node is gone"])
def test_closing_a_client_ends_what_another_thread_reads(
    served: Served, at: At, is_gone: bool
) -> None:
    client = at("zurich")
    stream = client.stream()
    assert isinstance(next(stream), CaughtUp)
    reader = threading.Thread(target=list, args=(stream,), daemon=True)
    reader.start()
    if is_gone:
        served.stop("zurich")  # it comes back for ever
        time.sleep(0.1)
    client.close()
    reader.join(10)
    assert not reader.is_alive()


def test_a_stream_with_a_revoked_key_ends_with_the_reason(served: Served) -> None:
    with Client(served.urls["zurich"], key=OPERATOR_KEY.text) as operator:
        made = operator.create_key(name="CRM", tenant="acme", scopes=["read"])
        with Client(served.urls["zurich"], key=made["key"], retry=QUICK) as reader:
            stream = reader.stream()
            assert isinstance(next(stream), CaughtUp)
            operator.revoke_key(made["id"])
            with pytest.raises(Unauthenticated):
                next(stream)
    with (
        Client(served.urls["zurich"], key=made["key"], retry=QUICK) as reader,
        pytest.raises(Unauthenticated),
    ):
        next(reader.stream())


def test_a_stream_asked_for_nonsense_says_so(client: Client) -> None:
    with pytest.raises(Invalid):
        next(client.stream(fields=["colour"]))
    with pytest.raises(Invalid):
        next(client.stream(since="hello"))


# Programmes -------------------------------------------------------------------------------------


def test_a_programme_is_imported_and_exported_again(client: Client, tmp_path: Path) -> None:
    from konkordat.schedule.sample import sample_programme

    file = tmp_path / "sample.xml"
    file.write_bytes(sample_programme())
    steps: list[tuple[int, int]] = []
    result = client.import_programme(file, on_progress=lambda p: steps.append((p.done, p.total)))
    assert result.failed == []
    assert steps[-1][0] == steps[-1][1] > 0
    assert len(list(client.sessions.list(event=result.event, limit="200"))) == result.sessions
    again = client.import_programme(file)
    assert (again.sessions, again.failed) == (result.sessions, [])
    exported = client.export(result.event, "xml")
    assert exported.startswith(b"<?xml")
    with pytest.raises(NotFound):
        client.export("nowhere", "xml")


# Places -----------------------------------------------------------------------------------------


def test_holds_series_and_what_is_free_are_at_hand(client: Client) -> None:
    venue = client.venues.create({"name": {"de": "Haus"}, "time_zone": "Europe/Zurich"})
    room = client.rooms.create({"venue": venue["id"], "name": {"de": "Saal"}})
    days = {"start_date": "2027-06-01", "end_date": "2027-06-09", "time_zone": "Europe/Zurich"}
    event = client.events.create({"slug": "places", "name": {"de": "Orte"}, **days})
    at_nine = {"local_start": "2027-06-01T09:00", "time_zone": "Europe/Zurich"}
    slot = {"room": room["id"], **at_nine, "duration_minutes": 60}
    hold = client.holds.create({"event": event["id"], "slot": slot, "ttl_seconds": 60})
    assert hold["expires_at"]
    lesson = {"event": event["id"], "rule": "FREQ=DAILY;COUNT=3", "session": {"title": {"de": "x"}}}
    series = client.series.create({**lesson, "slot": slot}, on_conflict="skip_occurrence")
    assert [one["recurrence_id"] for one in series["skipped"]] == ["2027-06-01T09:00"]
    sessions = client.series_sessions(series["id"])
    assert [one["id"] for one in sessions] == [one["session"] for one in series["occurrences"]]
    talk = {"event": event["id"], "title": {"de": "y"}, "slot": slot}
    late = client.sessions.create(talk, on_conflict="tentative")
    assert client.alternatives(late["id"])["conflicts"][0]["id"] == hold["id"]
