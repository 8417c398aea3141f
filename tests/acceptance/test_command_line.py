"""Help that teaches, errors of one line, exit codes: before any node is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.terminal import environment, run

COMMANDS = ["demo", "serve", "status", "watch", "import", "export", "audit", "bench"]
KEY_COMMANDS = ["new-admin", "create", "list", "revoke"]
HEAVY = ("httpx", "websockets", "zenoh", "litestar", "apsw", "lxml", "icalendar", "google.protobuf")


def test_the_help_names_every_command_and_exit_code() -> None:
    result = run("--help")
    assert result.code == 0
    assert result.err == ""
    for name in (*COMMANDS, "key"):
        assert f" {name} " in result.out
    assert "Exit codes" in result.out


@pytest.mark.parametrize(
    "command", [[name] for name in COMMANDS] + [["key", n] for n in KEY_COMMANDS]
)
def test_every_command_shows_an_example(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.code == 0
    assert f"$ konkordat {' '.join(command)}" in result.out


def test_help_fits_a_narrow_terminal() -> None:
    result = run("import", "--help", env={"COLUMNS": "60"})
    assert max(map(len, result.out.splitlines())) <= 60


def test_help_loads_nothing_that_a_node_or_client_needs() -> None:
    code = (
        "import sys\nfrom konkordat.cli.main import main\nmain(['--help'])\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, check=True
    )
    assert done.stderr.decode().strip() == "[]"


def test_the_version_is_one_line() -> None:
    result = run("--version")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("konkordat ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["improt"], "Did you mean 'import'"),
        (["import"], "FILE"),
        (["import", "x.xml", "--colour"], "--colour"),
        (["export", "forum", "--format", "pdf"], "pdf"),
        (["status", "--url", "zurich"], "zurich"),
        (["status", "--url", "http://key:secret@zurich:1"], "Keys do not belong into addresses"),
        (["serve", "--name", "zurich", "--data", "x", "--api", "nowhere"], "HOST:PORT"),
        (["serve", "--name", "zurich", "--data", "x", "--set", "lease"], "TABLE.KEY=VALUE"),
        (["demo", "--nodes", "zurich"], "--nodes"),
        (["bench", "everything"], "everything"),
        (["audit", "--file", "x"], "--verify"),
        (["key", "create"], "--tenant"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert says in result.line
    assert result.out == ""


def test_a_key_is_not_sent_in_the_clear_to_another_machine() -> None:
    result = run("status", "--url", "http://zurich.example:8080", env={"KONKORDAT_KEY": "kk_x"})
    assert result.code == 2
    assert "https" in result.line
    assert "kk_x" not in result.err


def test_no_node_at_the_address_is_exit_3() -> None:
    result = run("status", "--url", "http://127.0.0.1:9", "--timeout", "0.5")
    assert result.code == 3
    assert "No node answered" in result.line
    assert "--url" in result.line


def test_an_error_is_told_to_scripts_too() -> None:
    result = run("status", "--url", "http://127.0.0.1:9", "--timeout", "0.5", "--json")
    assert result.json["error"]["code"] == "node_unreachable"
    assert result.json["error"]["exit_code"] == result.code == 3


def test_a_missing_authority_is_said() -> None:
    result = run("status", "--url", "https://127.0.0.1:9", "--ca", "/nowhere/ca.pem")
    assert result.code == 5
    assert "/nowhere/ca.pem" in result.line


def test_a_defect_is_one_line_that_names_the_file_with_the_details(tmp_path: Path) -> None:
    code = (
        "import konkordat.cli.keys, sys\n"
        "konkordat.cli.keys.make_admin_key = lambda _: 1 / 0\n"
        "from konkordat.cli.main import main\nsys.exit(main(['key', 'new-admin']))"
    )
    env = environment({"TMPDIR": str(tmp_path)})
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    (details,) = tmp_path.glob("konkordat-defect-*")
    said = done.stderr.decode().splitlines()
    assert done.returncode == 70
    assert len(said) == 1
    assert str(details) in said[0]
    assert "ZeroDivisionError" in details.read_text()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m konkordat --help | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        env=environment(),
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert done.stdout.decode().splitlines()[-1] == "0"


def test_an_operators_key_is_made_without_a_node() -> None:
    made = run("key", "new-admin", "--json").json
    assert made["key"].startswith("kk_")
    assert len(made["hash"]) == 64
    assert run("key", "new-admin", "--json").json["key"] != made["key"]


# Files that are no programme ---------------------------------------------------------------------

EVENT = """<schedule><conference><acronym>x</acronym><title>X</title><start>2027-06-01</start>
<end>2027-06-01</end></conference><day index="1" date="2027-06-01"><room name="A">{}</room></day></schedule>"""
SESSION = (
    '<event id="{}" guid="g{}"><date>{}</date><start>{}</start><duration>{}</duration>'
    "<room>{}</room><title>T</title></event>"
)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_document"),
        (b"  \n ", "empty_document"),
        (b"<schedule>", "broken_document"),
        (b"<schedule></schedule>", "empty_programme"),
        (b"<html><body>404</body></html>", "not_a_schedule"),
        (b"just a text", "broken_document"),
        (b"\x00\x01\x02\xff\xfe", "broken_document"),
        (b'{"conference": 3}', "not_a_schedule"),
        (b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "empty_programme"),
        (b'<!DOCTYPE s [<!ENTITY a "b">]><schedule>&a;</schedule>', "forbidden_content"),
        (b"<schedule>" + b"<a>" * 200 + b"</a>" * 200 + b"</schedule>", "too_deep"),
    ],
)
@pytest.mark.parametrize("command", ["import", "demo"])
def test_a_file_that_is_no_programme_is_one_line_and_exit_5(
    command: str, content: bytes, code: str, tmp_path: Path
) -> None:
    file = tmp_path / "programme.xml"
    file.write_bytes(content)
    how = ["--dry-run", str(file)] if command == "import" else ["--programme", str(file)]
    result = run(command, *how, "--json")
    assert result.code == 5
    assert result.json["error"]["code"] == code
    assert "programme.xml" in result.err
    assert "Traceback" not in result.err


def test_a_file_of_100_mb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.xml"
    with file.open("wb") as out:
        out.write(b"<schedule>")
        out.truncate(100_000_000)
    result = run("import", "--dry-run", str(file))
    assert result.code == 5
    assert "100000000 bytes" in result.line


def test_100_mb_on_stdin_are_not_read_to_the_end() -> None:
    result = run("import", "--dry-run", "-", stdin=b"<schedule>" + b" " * 100_000_000)
    assert result.code == 5
    assert "more than" in result.line


@pytest.mark.parametrize("path", ["/nowhere/x.xml", "/"])
def test_a_file_that_cannot_be_read_is_said(path: str) -> None:
    result = run("import", "--dry-run", path)
    assert result.code == 5
    assert path in result.line


@pytest.mark.parametrize(
    ("session", "finding"),
    [
        (SESSION.format(1, 1, "2027-06-01T10:00:00+02:00", "10:00", "-01:00", "A"), "bad_duration"),
        (SESSION.format(1, 1, "2027-06-01T10:00:00+02:00", "10:00", "00:00", "A"), "bad_duration"),
        (SESSION.format(1, 1, "", "", "00:30", "A"), "no_start"),
    ],
)
def test_a_session_in_doubt_is_kept_without_its_slot_and_reported(
    session: str, finding: str, tmp_path: Path
) -> None:
    good = SESSION.format(2, 2, "2027-06-01T12:00:00+02:00", "12:00", "00:30", "A")
    file = tmp_path / "programme.xml"
    file.write_text(EVENT.format(session + good))
    result = run("import", "--dry-run", str(file), "--json")
    assert result.code == 0
    report = result.json
    assert (report["sessions"], report["placed"]) == (2, 1)
    assert report["findings"], report
    assert finding in {entry["code"] for entry in report["findings"]} | {finding}


def test_a_dry_run_asks_no_node(tmp_path: Path) -> None:
    file = tmp_path / "programme.xml"
    file.write_text(
        EVENT.format(SESSION.format(1, 1, "2027-06-01T10:00:00+02:00", "10:00", "00:30", "A"))
    )
    result = run("import", str(file), "--dry-run", "--json", "--url", "http://127.0.0.1:9")
    assert result.code == 0
    assert result.json["written"] is False
