"""Addresses of links, and which of them may be plain."""

from __future__ import annotations

import pytest

from konkordat.node.endpoints import Endpoint, is_loopback, parse_endpoint
from konkordat.node.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "has_tls", "endpoint"),
    [
        ("tcp/127.0.0.1:7001", False, Endpoint("tcp", "127.0.0.1", 7001)),
        ("127.0.0.1:7001", False, Endpoint("tcp", "127.0.0.1", 7001)),
        ("localhost", False, Endpoint("tcp", "localhost", 7447)),
        ("[::1]:7001", False, Endpoint("tcp", "::1", 7001)),
        ("tls/zurich.example:7001", True, Endpoint("tls", "zurich.example", 7001)),
        ("zurich.example", True, Endpoint("tls", "zurich.example", 7447)),
        ("tls/[2001:db8::1]:7001", True, Endpoint("tls", "2001:db8::1", 7001)),
        ("tcp/127.0.0.1:7001", True, Endpoint("tcp", "127.0.0.1", 7001)),
    ],
)
def test_an_address_is_read(text: str, has_tls: bool, endpoint: Endpoint) -> None:
    assert parse_endpoint(text, "link.listen", has_tls) == endpoint
    assert parse_endpoint(endpoint.text, "link.listen", has_tls) == endpoint


@pytest.mark.row("S0-19")
@pytest.mark.parametrize(
    "text", ["10.0.0.1:7001", "tcp/0.0.0.0:7001", "zurich.example", "tcp/[2001:db8::1]:7447"]
)
def test_plain_text_off_this_machine_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^link\.connect: .*plain text"):
        parse_endpoint(text, "link.connect", has_tls=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tls/zurich.example",
        "udp/127.0.0.1:1",
        "127.0.0.1:99999",
        "a b:1",
        "tcp/::1:7",
        "tcp//x",
    ],
)
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^link\.listen: "):
        parse_endpoint(text, "link.listen", has_tls=False)


@pytest.mark.parametrize(
    ("host", "answer"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "128.0.0.1")],
)
def test_loopback_is_this_machine_alone(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
