"""What only a real server shows: refused handshakes, bodies in pieces, readers that are slow or gone."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from support.api import OPERATOR_KEY, TrialGate
from support.api_server import listening
from support.node import eventually

JSON = {"Content-Type": "application/json"}


class Served:
    """A node behind a port, and a key for it."""

    def __init__(self, gate: TrialGate, port: int) -> None:
        self.gate = gate
        self.port = port
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)
        operator = {"Authorization": f"Bearer {OPERATOR_KEY.text}"}
        wish = {"name": "trial", "tenant": "acme"}
        self.key = self.http.post("/v2/keys", json=wish, headers=operator).json()["key"]
        self.headers = {"Authorization": f"Bearer {self.key}"}

    def stream(self, **options: Any) -> ClientConnection:
        url = f"ws://127.0.0.1:{self.port}/v2/stream"
        return connect(url, additional_headers=self.headers, max_size=None, **options)

    def write(self, count: int, text: str = "x") -> None:
        """So many speakers, by batch."""
        for start in range(0, count, 250):
            some = [
                {"op": "create", "type": "speakers", "data": {"name": f"S{n}", "biography": {"de": text}}}
                for n in range(start, min(start + 250, count))
            ]  # fmt: skip
            done = self.http.post("/v2/batch", json={"operations": some}, headers=self.headers)
            assert done.status_code == 200, done.text

    def streams(self) -> float:
        page = self.http.get("/metrics").text
        (line,) = [row for row in page.splitlines() if row.startswith("konkordat_api_streams ")]
        return float(line.split()[1])


@pytest.fixture
def served() -> Iterator[Served]:
    gate = TrialGate("zurich")
    with listening(gate) as port:
        made = Served(gate, port)
        yield made
        made.http.close()


def say(stream: ClientConnection, msg: str, **fields: Any) -> None:
    stream.send(json.dumps({"msg": msg, **fields}))


def hear(stream: ClientConnection, *kinds: str) -> Any:
    while True:
        message = json.loads(stream.recv(timeout=20))
        if not kinds or message["msg"] in kinds:
            return message


def test_a_refused_handshake_carries_a_problem_document(served: Served) -> None:
    url = f"ws://127.0.0.1:{served.port}/v2/stream"
    with pytest.raises(InvalidStatus) as caught, connect(url):
        pass
    response = caught.value.response
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body)["code"] == "unauthenticated"
    served.headers["Origin"] = "https://evil.example"
    with pytest.raises(InvalidStatus) as caught, served.stream():
        pass
    assert json.loads(caught.value.response.body)["code"] == "origin_refused"


def test_a_body_in_pieces_is_refused_as_soon_as_it_is_too_large(served: Served) -> None:
    head = (
        f"POST /v2/speakers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as raw:
        raw.sendall(head.encode())
        for _ in range(17):  # one more than 1 MiB, and the body goes on
            raw.sendall(piece)
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_frees_its_place(served: Served) -> None:
    with served.stream() as stream:
        say(stream, "hello")
        hear(stream, "welcome")
        assert served.streams() == 1
    eventually(lambda: served.streams() == 0)
    with served.stream() as stream:
        say(stream, "hello")
        hear(stream, "welcome")
        stream.socket.shutdown(socket.SHUT_RDWR)  # without a word
        eventually(lambda: served.streams() == 0)
    with served.http.stream("GET", "/v2/stream/events", headers=served.headers) as events:
        lines = events.iter_lines()  # letting go of it would close the answer
        assert next(lines) == "event: subscribed"
        assert served.streams() == 1
    eventually(lambda: served.streams() == 0)
    errors = [entry for entry in served.gate.logged if entry[0] == "error"]
    assert errors == []


def test_a_reader_that_takes_nothing_costs_a_bounded_queue_and_is_told(served: Served) -> None:
    with served.stream() as stream:
        say(stream, "hello", window=1)
        say(stream, "subscribe", sub="s")
        token = hear(stream, "caught_up")["token"]
        served.write(5_000)
        assert [hear(stream, "change", "gap")["msg"] for _ in range(2)] == ["change", "gap"]
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=20)
        assert stream.close_code == 4008
    with served.stream() as stream:  # catching up goes at the reader's pace, however much there is
        say(stream, "hello")
        say(stream, "subscribe", sub="s", resume_token=token)
        ids = set()
        while (message := hear(stream, "change", "caught_up"))["msg"] == "change":
            ids.add(message["id"])
        assert len(ids) == 5_000


def test_many_streams_are_told_the_same(served: Served) -> None:
    with ExitStack() as open_streams:
        streams = [open_streams.enter_context(served.stream()) for _ in range(30)]
        for stream in streams:
            say(stream, "hello")
            say(stream, "subscribe", sub="s", types=["speakers"])
            hear(stream, "caught_up")
        served.write(50)
        for stream in streams:
            names = [hear(stream, "change")["data"]["name"] for _ in range(50)]
            assert names == [f"S{n}" for n in range(50)]


def test_large_pages_and_exports_arrive_whole(served: Served) -> None:
    served.write(1_500, "y" * 2_000)
    first = served.http.get("/v2/speakers?limit=200", headers=served.headers).json()
    assert len(first["data"]) == 200
    since, found = "kA", 0
    while True:
        page = served.http.get(
            f"/v2/changes?since={since}&limit=1000", headers=served.headers
        ).json()
        found, since = found + len(page["data"]), page["token"]
        if not page["has_more"]:
            break
    assert found == 1_500
    with served.http.stream("GET", "/v2/audit", headers=served.headers) as audit:
        assert sum(1 for _ in audit.iter_lines()) == 1_500


def test_a_kept_connection_serves_the_next_request_after_a_problem(served: Served) -> None:
    for content, status in ((b"{", 400), (b'{"name":"Mila"}', 201), (b"x" * 2_000_000, 413)):
        answer = served.http.post(
            "/v2/speakers", content=content, headers={**served.headers, **JSON}
        )
        assert answer.status_code == status
    assert served.http.get("/livez").status_code == 200


def test_writes_over_one_socket_keep_flowing(served: Served) -> None:
    count = 500
    with served.stream() as stream:
        say(stream, "hello")
        began = time.monotonic()
        for number in range(count):
            create = {"op": "create", "type": "speakers", "data": {"name": f"S{number}"}}
            say(stream, "write", id=str(number), operations=[create])
        answered = {hear(stream, "written")["id"] for _ in range(count)}
        assert time.monotonic() - began < 60
    assert answered == {str(number) for number in range(count)}
