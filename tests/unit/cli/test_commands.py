"""Flags, failures and texts of the command line, without a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from konkordat.cli import exits
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.failures import failure_of
from konkordat.cli.main import main
from konkordat.cli.options import help_of
from konkordat.cli.processes import cpu_of, last_line, memory_of, read_addresses
from konkordat.cli.serve import ServeOptions, flags_of
from konkordat.client import InsecureAddress, NodeUnreachable, ProblemError
from konkordat.client.errors import problem
from konkordat.schedule.interchange.errors import EmptyDocument


def options(**given: object) -> ServeOptions:
    base: dict[str, object] = {
        "config": None, "name": None, "data": None, "cluster": None, "api": None, "listen": None,
        "connect": (), "settings": (), "check": False, "with_parent": 0,
    }  # fmt: skip
    return ServeOptions(**(base | given))  # type: ignore[arg-type]


def test_only_flags_that_were_given_are_set() -> None:
    assert flags_of(options()) == {}
    assert flags_of(options(name="zurich", data=Path("d"), connect=("tcp/127.0.0.1:1",))) == {
        "node.name": "zurich",
        "node.data": "d",
        "link.connect": ["tcp/127.0.0.1:1"],
    }


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:0", "::1", 0), ("localhost:1", "localhost", 1)],
)
def test_the_address_of_the_api_is_host_and_port(text: str, host: str, port: int) -> None:
    assert flags_of(options(api=text)) == {"api.host": host, "api.port": port}


@pytest.mark.parametrize("text", ["8080", ":8080", "127.0.0.1", "127.0.0.1:http"])
def test_another_address_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandError, match="HOST:PORT") as raised:
        flags_of(options(api=text))
    assert raised.value.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3000", 3000),
        ("true", True),
        ('["a","b"]', ["a", "b"]),
        ("zurich", "zurich"),
        ("a=b", "a=b"),
    ],
)
def test_a_setting_is_json_where_it_is_some_and_else_text(text: str, value: object) -> None:
    assert flags_of(options(settings=(f"table.key={text}",))) == {"table.key": value}


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (EmptyDocument("x.xml"), ExitCode.FILE, "empty_document"),
        (NodeUnreachable("http://x: refused"), ExitCode.UNREACHABLE, "node_unreachable"),
        (InsecureAddress("http://x"), ExitCode.USAGE, "insecure_address"),
        (
            problem(409, {"code": "slot_taken", "detail": "Taken."}, None),
            ExitCode.REFUSED,
            "slot_taken",
        ),
        (FileNotFoundError(2, "No such file", "x.xml"), ExitCode.FILE, "unreadable_file"),
        (
            ExceptionGroup("tasks", [NodeUnreachable("x"), ValueError()]),
            ExitCode.UNREACHABLE,
            "node_unreachable",
        ),
    ],
)
def test_what_the_world_does_wrong_has_a_code(error: Exception, code: ExitCode, kind: str) -> None:
    failure = failure_of(error)
    assert failure is not None
    assert (failure.code, failure.kind) == (code, kind)
    assert failure.message.strip()


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), AssertionError()])
def test_a_defect_of_ours_is_not_explained_away(error: Exception) -> None:
    assert failure_of(error) is None


def test_a_refusal_points_at_the_place() -> None:
    document = {"code": "invalid", "errors": [{"pointer": "/slot/room", "detail": "No such room."}]}
    failure = failure_of(ProblemError(422, document, None))
    assert failure is not None
    assert "/slot/room: No such room" in failure.message


def test_every_exit_code_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    shown = capsys.readouterr().out
    for code in exits.ExitCode:
        assert str(code.value) in shown


def command() -> int:
    """Do it.

    A paragraph that
    goes over lines.

      $ first
      $ second
    """
    return 0


def test_help_leaves_the_breaking_of_lines_to_the_terminal() -> None:
    text = help_of(command)
    assert "A paragraph that goes over lines.\n" in text
    assert "  $ first\n  $ second" in text


# Processes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"api_url": 1}', b'{"api_url": "http://x"}']
)
def test_an_address_file_that_is_not_whole_is_waited_for(content: bytes, tmp_path: Path) -> None:
    assert read_addresses(tmp_path) is None
    (tmp_path / "node.json").write_bytes(content)
    assert read_addresses(tmp_path) is None


def test_the_last_line_of_a_log_is_what_a_node_said(tmp_path: Path) -> None:
    log = tmp_path / "zurich.log"
    assert last_line(log) == "nothing"
    log.write_text("first\nlast\n\n")
    assert last_line(log) == "last"


def test_a_process_that_is_gone_takes_nothing() -> None:
    assert memory_of(2**22 + 1) == 0
    assert cpu_of(2**22 + 1) == 0.0
