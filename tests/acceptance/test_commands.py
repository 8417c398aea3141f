"""The commands against nodes: what a person does in a first hour, and what a script relies on."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from konkordat.cli.cluster import LocalCluster
from konkordat.client import Client
from support.terminal import COMMAND, access, cluster, environment, run

PROGRAMME = """<schedule><conference><acronym>forum</acronym><title>Forum</title><start>2027-06-01</start>
<end>2027-06-01</end></conference><day index="1" date="2027-06-01"><room name="Saal">
{}</room></day></schedule>"""
SESSION = """<event id="{0}" guid="guid-{0}"><date>2027-06-01T{1}:00+02:00</date><start>{1}</start>
<duration>01:00</duration><room>Saal</room><title>{2}</title><type>talk</type><persons>
<person id="7">Annina Hürlimann</person></persons></event>"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster(tmp_path_factory.mktemp("nodes"), "zurich", "geneva") as started:
        yield started


@pytest.fixture(scope="module")
def tenant(nodes: LocalCluster) -> dict[str, str]:
    return access(nodes)


@pytest.fixture(scope="module")
def operator(nodes: LocalCluster) -> dict[str, str]:
    return {"KONKORDAT_URL": nodes.urls["zurich"], "KONKORDAT_KEY": nodes.admin_key}


@pytest.fixture(scope="module")
def imported(tenant: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A programme of three sessions, of which the last wants a room that is taken."""
    file = tmp_path_factory.mktemp("files") / "forum.xml"
    sessions = [
        SESSION.format(1, "09:00", "Erste"),
        SESSION.format(2, "10:00", "Zweite"),
        SESSION.format(3, "10:30", "Dritte"),
    ]
    file.write_text(PROGRAMME.format("".join(sessions)))
    result = run("import", str(file), "--json", env=tenant)
    assert result.code == 0, result.err
    report = result.json
    assert (report["sessions"], report["rooms"], report["placed"]) == (3, 1, 2)
    (refused,) = report["slots_refused"]
    assert refused["title"] == "Dritte"
    assert len(refused["in_the_way"]) == 1
    return file


def test_the_report_of_an_import_names_the_sessions_that_clash(
    imported: Path, tenant: dict[str, str]
) -> None:
    result = run("import", str(imported), env=tenant)
    assert result.code == 0
    row = next(line for line in result.out.splitlines() if "10:30" in line)
    assert "Dritte" in row
    assert "Zweite" in row


def test_an_import_repeated_changes_nothing(imported: Path, tenant: dict[str, str]) -> None:
    run("import", str(imported), env=tenant)
    before = run("export", "forum", env=tenant).out
    records = run("status", "--json", env=tenant).json["nodes"][0]["records"]
    run("import", str(imported), env=tenant)
    assert run("status", "--json", env=tenant).json["nodes"][0]["records"] == records
    assert run("export", "forum", env=tenant).out == before


@pytest.mark.parametrize("format_", ["xml", "json", "ics"])
def test_what_was_imported_is_exported(
    format_: str, imported: Path, tenant: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / f"forum.{format_}"
    result = run("export", "forum", "--format", format_, "--output", str(file), env=tenant)
    assert (result.code, result.out, result.err) == (0, "", "")
    for title in ("Erste", "Zweite"):
        assert title in file.read_text()
    again = run("import", str(file), "--dry-run", "--json")
    # A calendar has no place for a session without a time.
    assert again.json["sessions"] == (2 if format_ == "ics" else 3)


def test_an_event_that_is_not_there_is_named_with_those_that_are(
    imported: Path, tenant: dict[str, str]
) -> None:
    result = run("export", "fourm", env=tenant)
    assert result.code == 4
    assert "'fourm'" in result.line
    assert "forum" in result.line


@pytest.mark.row("S0-16")
def test_the_audit_trail_is_the_same_bytes_at_every_node(
    imported: Path, nodes: LocalCluster, operator: dict[str, str]
) -> None:
    here = run("audit", env=operator)
    there = run("audit", env=operator | {"KONKORDAT_URL": nodes.urls["geneva"]})
    assert here.code == there.code == 0
    assert here.out == there.out
    assert len(here.out.splitlines()) > 5


@pytest.mark.row("S0-16")
def test_a_trail_that_was_tampered_with_does_not_verify(
    nodes: LocalCluster, operator: dict[str, str], tmp_path: Path
) -> None:
    with Client(nodes.urls["zurich"], key=nodes.key) as client:
        for number in range(3):
            client.create("speakers", {"name": f"Speaker {number}"})
    whole = run("audit", "--log", env=operator).out.splitlines(keepends=True)
    last = json.loads(whole[-1])
    altered = bytearray(base64.b64decode(last["body"]))
    altered[-1] ^= 1
    forged = json.dumps(last | {"body": base64.b64encode(altered).decode()}) + "\n"
    rehashed = json.dumps(last | {"hash": "0" * 64}) + "\n"
    file = tmp_path / "log.ndjson"

    def faults(lines: list[str]) -> list[str]:
        file.write_text("".join(lines))
        result = run("audit", "--verify", "--file", str(file), "--json")
        assert result.code == (1 if result.json["faults"] else 0)
        return list(result.json["faults"])

    assert faults(whole) == []
    assert faults(whole[1:]), "dropped at the beginning"
    assert faults([*whole[:1], *whole[2:]]), "dropped in the middle"
    assert faults([whole[1], whole[0], *whole[2:]]), "swapped"
    assert faults([*whole, whole[-1]]), "twice"
    assert faults([*whole[:-1], rehashed]), "another hash"
    assert faults([*whole[:-1], forged]), "other content"
    assert faults([*whole, "nonsense\n"])


def test_a_trail_verifies(imported: Path, operator: dict[str, str]) -> None:
    result = run("audit", "--verify", "--json", env=operator)
    assert result.code == 0
    assert result.json["ok"] is True
    assert (result.json["form"], result.json["faults"]) == ("log", [])
    assert result.json["changes"] > 5


def test_with_a_tenants_key_the_order_is_verified(imported: Path, tenant: dict[str, str]) -> None:
    result = run("audit", "--verify", env=tenant)
    assert result.code == 0
    assert "operator's key" in result.out


def test_the_status_shows_every_node(imported: Path, tenant: dict[str, str]) -> None:
    deadline = time.monotonic() + 20
    while (result := run("status", env=tenant)).code != 0 and time.monotonic() < deadline:
        pass
    assert result.code == 0
    rows = [line for line in result.out.splitlines() if "ready" in line]
    assert len(rows) == 2
    assert "zurich" in result.out
    assert "geneva" in result.out


def test_changes_are_watched_as_lines_of_json(imported: Path, tenant: dict[str, str]) -> None:
    watching = subprocess.Popen(
        [*COMMAND, "watch", "--type", "sessions", "--json"],
        env=environment(tenant),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watching.stdout is not None
    assert watching.stderr is not None
    try:
        assert b"live" in watching.stderr.readline()
        edited = imported.with_name("edited.xml")
        edited.write_text(imported.read_text().replace("Erste", "Erste Sitzung"))
        assert run("import", str(edited), env=tenant).code == 0
        change = json.loads(watching.stdout.readline())
    finally:
        watching.terminate()
        watching.wait()
        watching.stdout.close()
        watching.stderr.close()
    assert (change["op"], change["type"]) == ("upsert", "sessions")
    assert "Erste Sitzung" in change["data"]["title"].values()
    assert change["token"]


@pytest.mark.parametrize(
    "command", [["status", "--watch"], ["watch"], ["status", "--watch", "--json"]]
)
def test_ctrl_c_is_quiet(command: list[str], imported: Path, tenant: dict[str, str]) -> None:
    watching = subprocess.Popen(
        [*COMMAND, *command],
        env=environment(tenant),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watching.stdout is not None
    try:
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=20)
    finally:
        watching.kill()
    assert watching.returncode == 130
    assert said == b""


def test_keys_are_made_listed_and_revoked(nodes: LocalCluster, operator: dict[str, str]) -> None:
    made = run(
        "key",
        "create",
        "--tenant",
        "shop",
        "--name",
        "till",
        "--scope",
        "read",
        "--json",
        env=operator,
    ).json
    shop = {"KONKORDAT_URL": nodes.urls["zurich"], "KONKORDAT_KEY": made["key"]}
    assert run("audit", env=shop).code == 0
    listed = run("key", "list", env=operator)
    assert made["id"] in listed.out
    assert made["key"] not in listed.out
    assert run("key", "revoke", made["id"], env=operator).code == 0
    refused = run("audit", env=shop)
    assert refused.code == 4
    assert "key_revoked" in refused.line
    assert made["key"] not in refused.err


def test_one_tenant_does_not_see_the_events_of_another(
    imported: Path, nodes: LocalCluster, operator: dict[str, str]
) -> None:
    made = run("key", "create", "--tenant", "others", "--json", env=operator).json
    others = {"KONKORDAT_URL": nodes.urls["zurich"], "KONKORDAT_KEY": made["key"]}
    result = run("export", "forum", env=others)
    assert result.code == 4
    assert "There is none yet" in result.line
    assert run("audit", env=others).out == ""


def test_no_key_and_a_wrong_key_are_refused_in_one_line(nodes: LocalCluster) -> None:
    url = {"KONKORDAT_URL": nodes.urls["zurich"]}
    for key in ({}, {"KONKORDAT_KEY": "kk_nonsense"}):
        result = run("status", env=url | key)
        assert result.code == 4
        assert "KONKORDAT_KEY" in result.line
        assert "kk_nonsense" not in result.err


def test_a_key_without_the_scope_is_told_so(
    imported: Path, nodes: LocalCluster, operator: dict[str, str]
) -> None:
    made = run("key", "create", "--tenant", "forum", "--scope", "read", "--json", env=operator).json
    reader = {"KONKORDAT_URL": nodes.urls["zurich"], "KONKORDAT_KEY": made["key"]}
    result = run("import", str(imported), env=reader)
    assert result.code == 4
    assert "scope_missing" in result.line


def test_the_next_address_is_tried_when_one_does_not_answer(
    imported: Path, nodes: LocalCluster, tenant: dict[str, str]
) -> None:
    urls = f"http://127.0.0.1:9 {nodes.urls['geneva']}"
    result = run("export", "forum", env=tenant | {"KONKORDAT_URL": urls})
    assert result.code == 0
    assert "Zweite" in result.out
