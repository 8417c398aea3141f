"""Certificates for 127.0.0.1, made for one test."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import trustme

from konkordat.node.transport import LinkTls

Certify = Callable[..., LinkTls]


def certifier(tmp_path: Path) -> Certify:
    """Makes certificates: of our authority, or of another by name."""
    authorities: dict[str, trustme.CA] = {}

    def certify(
        name: str, *, by: str = "ours", trusts: str = "ours", expired: bool = False
    ) -> LinkTls:
        for authority in (by, trusts):
            authorities.setdefault(authority, trustme.CA())
        end = dt.datetime.now(dt.UTC) - dt.timedelta(days=1) if expired else None
        start = dt.datetime.now(dt.UTC) - dt.timedelta(days=9) if expired else None
        certificate = authorities[by].issue_cert(
            "127.0.0.1", common_name=name, not_before=start, not_after=end
        )
        folder = tmp_path / f"{name}-{by}-{trusts}-{expired}"
        folder.mkdir()
        authorities[trusts].cert_pem.write_to_path(str(folder / "ca.pem"))
        certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        (folder / "cert.pem").write_bytes(chain)
        return LinkTls(
            ca=str(folder / "ca.pem"),
            certificate=str(folder / "cert.pem"),
            key=str(folder / "key.pem"),
        )

    return certify
