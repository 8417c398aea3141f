"""Certificates are verified, for requests and streams alike (row S0-19)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from integration.client.serving import Served, nodes
from konkordat.client import CaughtUp, Client, NodeUnreachable, RetryPolicy
from konkordat.node.config import Api
from support.api import OPERATOR_KEY

pytestmark = pytest.mark.row("S0-19")
ONCE = RetryPolicy(attempts_max=1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def served(tmp_path: Path, authority: trustme.CA) -> Iterator[Served]:
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    private.write_bytes(certificate.private_key_pem.bytes())
    with nodes("zurich", api=Api(tls_certificate=str(chain), tls_key=str(private))) as running:
        yield running


def test_a_node_with_a_certificate_of_the_given_authority_is_trusted(
    served: Served, authority: trustme.CA, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    with Client(served.urls["zurich"], key=OPERATOR_KEY.text, ca=ca) as client:
        made = client.create_key(name="trial", tenant="acme")
        with Client(served.urls["zurich"], key=made["key"], ca=ca) as acme:
            stream = acme.stream()
            assert isinstance(next(stream), CaughtUp)
            stream.close()


def test_an_unknown_authority_is_refused(served: Served, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    for ca in (None, other):
        with (
            Client(served.urls["zurich"], key=OPERATOR_KEY.text, ca=ca, retry=ONCE) as client,
            pytest.raises(NodeUnreachable, match=r"(?i)certificate"),
        ):
            client.cluster()


def test_a_certificate_for_another_name_is_refused(tmp_path: Path, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("geneva.example")
    chain, private, ca = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem"))
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    private.write_bytes(certificate.private_key_pem.bytes())
    authority.cert_pem.write_to_path(ca)
    api = Api(tls_certificate=str(chain), tls_key=str(private))
    with (
        nodes("zurich", api=api) as served,
        Client(served.urls["zurich"], key=OPERATOR_KEY.text, ca=ca, retry=ONCE) as client,
        pytest.raises(NodeUnreachable, match=r"(?i)certificate"),
    ):
        client.cluster()
