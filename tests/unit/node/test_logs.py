"""Log lines: one per event, readable by machines, without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from konkordat.node.errors import ConfigError
from konkordat.node.logs import VALUE_CHARS_MAX, NodeLog
from konkordat.node.throttle import Throttle

MakeLog = Callable[..., NodeLog]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "node.log"


@pytest.fixture
def logs(file: Path) -> Iterator[MakeLog]:
    """Makes logs that write to `file`."""
    made: list[NodeLog] = []

    def make(format: str = "json", level: str = "info") -> NodeLog:
        made.append(NodeLog("zurich", format, level, str(file)))
        return made[-1]

    yield make
    for log in made:
        log.close()


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_line_says_when_where_what_and_why(logs: MakeLog, file: Path) -> None:
    log = logs("json", "info")
    log("info", "batch_applied", cause_id="r-1", origin="geneva.0", seq=7)
    (line,) = lines(file)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "node": "zurich",
        "level": "info",
        "event": "batch_applied",
        "cause_id": "r-1",
        "origin": "geneva.0",
        "seq": 7,
    }


def test_below_the_level_nothing_is_written(logs: MakeLog, file: Path) -> None:
    log = logs("json", "warning")
    log("info", "unheard")
    log("error", "heard")
    assert [line["event"] for line in lines(file)] == ["heard"]


SECRET = "kk_acme_0123456789abcdef_" + "s3cr3t" * 9


@pytest.mark.parametrize(
    "fields",
    [
        {"detail": f"key {SECRET} was refused"},
        {"authorization": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"text": "authorization: bearer s3cr3ts3cr3t"},
        {"headers": {"cookie": "s3cr3ts3cr3t", "x": [SECRET]}},
        {"password": "s3cr3ts3cr3t"},
        {"api_key": "s3cr3ts3cr3t"},
        {"body": b"s3cr3ts3cr3t"},
    ],
)
def test_secrets_are_never_written(logs: MakeLog, file: Path, fields: dict[str, Any]) -> None:
    logs("json", "debug")("info", "seen", **fields)
    assert "s3cr3t" not in file.read_text()


def test_the_open_part_of_a_key_stays_so_that_it_can_be_found(logs: MakeLog, file: Path) -> None:
    logs("json", "info")("info", "seen", detail=SECRET)
    assert lines(file)[0]["detail"] == "kk_acme_0123456789abcdef_[hidden]"


def test_a_value_is_cut_to_what_a_line_may_hold(logs: MakeLog, file: Path) -> None:
    logs("json", "info")("info", "seen", detail="x" * 100_000)
    assert len(lines(file)[0]["detail"]) == VALUE_CHARS_MAX + 1


def test_a_line_feed_in_a_value_does_not_make_a_second_line(logs: MakeLog, file: Path) -> None:
    logs("json", "info")("info", "seen", detail='a\n{"event":"forged"}')
    assert len(lines(file)) == 1


def test_libraries_are_heard_from_warnings_up(logs: MakeLog, file: Path) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        logs("json", "info").take_over_logging()
        logging.getLogger("somebody").info("chatter")
        logging.getLogger("somebody").warning("trouble with %s", "this")
    finally:
        root.handlers, root.level = handlers, level
    (line,) = lines(file)
    assert (line["event"], line["message"]) == ("library_said", "trouble with this")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^log\.file: "):
        NodeLog("zurich", "json", "info", str(tmp_path))


def test_text_is_for_people(logs: MakeLog, file: Path) -> None:
    logs("text", "info")("warning", "frame_dropped", peer="geneva")
    assert "frame_dropped" in file.read_text()
    assert "peer=geneva" in file.read_text()


def test_a_flood_of_one_kind_is_one_line_and_a_number() -> None:
    now = 0.0
    throttle = Throttle(5.0, lambda: now)
    assert throttle.pass_("malformed") == 0
    assert [throttle.pass_("malformed") for _ in range(100)] == [None] * 100
    assert throttle.pass_("oversize") == 0
    now = 5.0
    assert throttle.pass_("malformed") == 100
    assert throttle.pass_("malformed") is None
