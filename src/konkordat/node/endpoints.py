"""Addresses of links between nodes: `tls/host:port` anywhere, `tcp/host:port` on loopback only.

Plain text between nodes off this machine is refused when the configuration is read, not noticed later.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import msgspec

from konkordat.node.errors import ConfigError

LINK_PORT: Final = 7447  # Zenoh's registered habit
_ADDRESS: Final = re.compile(
    r"(?:(?P<scheme>[a-z]+)/)?(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?"
)


class Endpoint(msgspec.Struct, frozen=True, order=True):
    """Where a node's links are reached."""

    scheme: str  # tcp | tls
    host: str  # name or IP, IPv6 without brackets
    port: int

    @property
    def text(self) -> str:
        """As Zenoh and the configuration write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}/{host}:{self.port}"

    @property
    def wildcard(self) -> bool:
        """True for an address that means every interface: fit to listen on, not to be dialled."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104 -- compared, not bound


def is_loopback(host: str) -> bool:
    """True for this machine alone. A name other than `localhost` is not looked up: it could point anywhere tomorrow."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_endpoint(text: str, key: str, has_tls: bool) -> Endpoint:
    """An endpoint from `[tcp/|tls/]host[:port]`; without a scheme, tls where certificates are configured, else tcp.

    Raises ConfigError naming `key` for what is malformed, and for plain text off loopback.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ConfigError(f"{key}: {text!r} is not an address such as tls/zurich.example:7447")
    scheme = match["scheme"] or ("tls" if has_tls else "tcp")
    host = match["v6"] or match["host"]
    port = int(match["port"] or LINK_PORT)
    if scheme not in ("tcp", "tls"):
        raise ConfigError(f"{key}: {text!r} has scheme {scheme!r}; links are tcp/ or tls/")
    if port > 65_535:
        raise ConfigError(f"{key}: {text!r} has a port over 65535")
    if scheme == "tls" and not has_tls:
        raise ConfigError(
            f"{key}: {text!r} needs link.tls_ca, link.tls_certificate and link.tls_key"
        )
    if scheme == "tcp" and not is_loopback(host):
        raise ConfigError(
            f"{key}: {text!r} would carry data in plain text off this machine; use tls/ with"
            " link.tls_ca, link.tls_certificate and link.tls_key"
        )
    return Endpoint(scheme, host, port)
