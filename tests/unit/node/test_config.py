"""The configuration: where it comes from, and what is wrong with it, named by its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme

from konkordat.node.config import NodeConfig, load_config
from konkordat.node.endpoints import Endpoint
from konkordat.node.errors import ConfigError

ENOUGH = {"node.name": "zurich", "node.data": "/tmp/zurich"}


def load(**flags: Any) -> NodeConfig:
    """From flags alone, `link__listen` for link.listen."""
    given = {key.replace("__", "."): value for key, value in flags.items()}
    return load_config(flags=ENOUGH | given, environment={})


@pytest.fixture
def pem(tmp_path: Path) -> str:
    """One file with all that TLS needs: a certificate, its key, and its authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    path = tmp_path / "any.pem"
    path.write_bytes(
        certificate.private_key_and_cert_chain_pem.bytes() + authority.cert_pem.bytes()
    )
    return str(path)


def test_a_name_and_a_place_are_enough() -> None:
    config = load()
    assert config.listen == Endpoint("tcp", "127.0.0.1", 7447)
    assert config.api_url_at(8080) == "http://127.0.0.1:8080"
    assert config.connect == ()


def test_flags_go_over_the_file_and_the_environment_over_both(tmp_path: Path) -> None:
    file = tmp_path / "zurich.toml"
    file.write_text(
        '[node]\nname = "zurich"\ndata = "data"\n'
        f'[api]\nport = 1\nadmin_key_hash = "{"a" * 64}"\n'
        '[link]\nconnect = ["127.0.0.1:7448"]\n'
    )
    config = load_config(file, {"api.port": 2}, {"KONKORDAT_ADMIN_KEY_HASH": "b" * 64})
    assert config.api.port == 2
    assert config.api.admin_key_hash == "b" * 64
    assert config.connect == (Endpoint("tcp", "127.0.0.1", 7448),)
    assert config.node.data == str(tmp_path / "data")  # relative to the file


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"node__name": ""}, "node.name: "),
        ({"node__name": "Zürich"}, "node.name: "),
        ({"node__cluster": "no good"}, "node.cluster: "),
        ({"node__cluster": "labC"}, "node.cluster: .*lower case letters, digits, - and _"),
        ({"node__data": ""}, "node.data: "),
        ({"node__colour": "red"}, "node: Object contains unknown field `colour`"),
        ({"nodes__name": "x"}, "Object contains unknown field `nodes`"),
        ({"link__lease_ms": "soon"}, "link.lease_ms: Expected `int`"),
        ({"link__lease_ms": 1}, "link.lease_ms: Expected `int` >= 200"),
        ({"api__port": 70_000}, "api.port: Expected `int` <= 65535"),
        ({"log__format": "xml"}, "log.format: Invalid enum value 'xml'"),
        ({"limits__queue_commands": 0}, "limits.queue_commands: Expected `int` >= 1"),
        ({"api__host": "0.0.0.0"}, "api.host: 0.0.0.0 would serve plain HTTP"),
        ({"api__url": "zurich.example"}, "api.url: "),
        ({"api__admin_key_hash": "secret"}, "api.admin_key_hash .*64 hexadecimal"),
        ({"api__cors_origins": ["*"]}, "api.cors_origins: "),
        ({"api__body_bytes_max": 1 << 30}, "api.body_bytes_max: Expected `int` <= 1048576"),
        ({"api__tls_key": "/nowhere"}, "api.tls_certificate and api.tls_key: "),
        ({"link__listen": "0.0.0.0:7447"}, "link.listen: .*plain text"),
        ({"link__connect": ["10.0.0.1:7447"]}, "link.connect: .*plain text"),
        ({"link__connect": "10.0.0.1:7447"}, "link.connect: Expected `array`"),
        ({"link__tls_ca": "/nowhere"}, "link.tls_ca, link.tls_certificate and link.tls_key: all"),
        ({"link__members": ["zurich"]}, "link.members: only certificates prove"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        load(**flags)


def test_a_missing_certificate_is_named_before_anything_is_opened() -> None:
    with pytest.raises(ConfigError, match=r"^link\.tls_ca: /nowhere cannot be read"):
        load(link__tls_ca="/nowhere", link__tls_certificate="/n", link__tls_key="/n")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"api__tls_certificate"}, r"api\.tls_certificate, api\.tls_key: "),
        ({"api__tls_key"}, r"api\.tls_certificate, api\.tls_key: "),
        ({"link__tls_certificate"}, r"link\.tls_certificate, link\.tls_key: "),
        ({"link__tls_key"}, r"link\.tls_certificate, link\.tls_key: "),
        ({"link__tls_ca"}, r"link\.tls_ca: .* holds no certificate"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"PEM", b"-----BEGIN CERTIFICATE-----\nAA==\n", b"\xff"])
def test_what_is_no_certificate_is_named_before_anything_is_opened(
    pem: str, tmp_path: Path, wrong: set[str], message: str, content: bytes
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(content)
    names = ["api__tls_certificate", "api__tls_key"]
    names += ["link__tls_ca", "link__tls_certificate", "link__tls_key"]
    files = {name: str(other) if name in wrong else pem for name in names}
    with pytest.raises(ConfigError, match=f"^{message}"):
        load(**files)


def test_the_key_of_another_certificate_is_refused(pem: str, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes())
    with pytest.raises(ConfigError, match="key values mismatch"):
        load(api__tls_certificate=pem, api__tls_key=str(other))


def test_with_certificates_other_addresses_are_fine(pem: str) -> None:
    config = load(
        link__tls_ca=pem,
        link__tls_certificate=pem,
        link__tls_key=pem,
        link__listen="0.0.0.0:7447",
        link__connect=["geneva.example"],
        link__advertise="zurich.example",
        link__members=["zurich", "geneva"],
        api__host="0.0.0.0",
        api__tls_certificate=pem,
        api__tls_key=pem,
        api__url="https://zurich.example",
    )
    assert config.listen == Endpoint("tls", "0.0.0.0", 7447)
    assert config.advertise == Endpoint("tls", "zurich.example", 7447)
    assert config.api_url_at(8080) == "https://zurich.example"


def test_without_advertise_a_wildcard_says_nothing_to_dial(pem: str) -> None:
    tls = {"link__tls_ca": pem, "link__tls_certificate": pem, "link__tls_key": pem}
    assert load(link__listen="0.0.0.0", **tls).advertise is None
    with pytest.raises(ConfigError, match=r"^link\.connect: .* not dialled"):
        load(link__connect=["0.0.0.0"], **tls)


def test_members_include_this_node(pem: str) -> None:
    tls = {"link__tls_ca": pem, "link__tls_certificate": pem, "link__tls_key": pem}
    with pytest.raises(ConfigError, match=r"^link\.members: does not name this node"):
        load(link__members=["geneva"], **tls)


def test_behind_a_proxy_plain_http_may_leave_the_machine() -> None:
    assert load(api__host="0.0.0.0", api__behind_proxy=True).api.behind_proxy


@pytest.mark.parametrize(
    ("text", "message"),
    [("not toml", "is not TOML"), ("[node]\nname = 3\n", "node.name: Expected `str`")],
)
def test_a_file_that_cannot_be_understood_is_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "node.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(file, environment={})
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "none.toml", environment={})


def test_a_whole_disk_image_is_not_read_as_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "big.toml"
    file.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="not a configuration"):
        load_config(file, environment={})
