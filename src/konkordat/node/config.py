"""What an operator may choose. docs/configuration.md describes every key; the two are compared by a test.

A configuration comes from a TOML file, then flags, then the environment (secrets only). It is checked as a
whole before anything is opened: whatever is wrong is named by its key, in one line.
"""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from konkordat.api.settings import BODY_BYTES_MAX
from konkordat.kernel.hlc import AHEAD_MS_MAX
from konkordat.kernel.ids import NodeName, valid_name
from konkordat.kernel.seat import MEMBERS_MAX
from konkordat.node.endpoints import Endpoint, is_loopback, parse_endpoint
from konkordat.node.errors import ConfigError
from konkordat.protocol.seats.patience import TAKEOVER_AFTER_MS

ADMIN_KEY_HASH_VARIABLE: Final = "KONKORDAT_ADMIN_KEY_HASH"
CONFIG_BYTES_MAX: Final = 1 << 20  # a configuration is a page; this is somebody's wrong file

_Positive = Annotated[int, Meta(ge=1)]
_Port = Annotated[int, Meta(ge=0, le=65_535)]


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who this node is, and where its data lives."""

    name: str = ""
    cluster: str = "konkordat"
    data: str = ""


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where clients reach this node."""

    host: str = "127.0.0.1"
    port: _Port = 8080
    url: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    admin_key_hash: str = ""
    connections_max: _Positive = 2_000
    body_bytes_max: Annotated[int, Meta(ge=1_024, le=BODY_BYTES_MAX)] = BODY_BYTES_MAX
    rate_per_s: Annotated[float, Meta(gt=0)] = 2_000.0
    rate_burst: _Positive = 4_000
    streams_max: _Positive = 2_000
    streams_per_credential_max: _Positive = 500
    cors_origins: tuple[str, ...] = ()
    docs: bool = True


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How this node reaches the others."""

    listen: str = "tcp/127.0.0.1:7447"
    connect: tuple[str, ...] = ()
    advertise: str = ""
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    members: tuple[str, ...] = ()
    lease_ms: Annotated[int, Meta(ge=200, le=60_000)] = 1_500


class SeatsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who decides what is scarce, and when somebody else does."""

    # Names of the nodes of the first roster; the same at all of them. Left out: this node alone if it connects to
    # nobody, else nobody: it replicates, and learns the roster from the others.
    members: tuple[str, ...] | None = None
    takeover_after_ms: Annotated[int, Meta(ge=500, le=3_600_000)] = TAKEOVER_AFTER_MS


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of what waits for a commit, and of what a reader may leave unread."""

    queue_commands: _Positive = 2_048
    queue_command_bytes: _Positive = 32 << 20
    queue_messages: _Positive = 4_096
    queue_message_bytes: _Positive = 64 << 20
    feed_commits: _Positive = 1_024
    feed_readers: _Positive = 1_000


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far clocks may disagree."""

    ahead_ms_max: Annotated[int, Meta(ge=10, le=3_600_000)] = AHEAD_MS_MAX


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written down, where, and how."""

    format: Literal["json", "text"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str = ""


class Drills(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Faults made on purpose."""

    enabled: bool = False


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration of a node, by the tables of the TOML file."""

    node: Identity = Identity()
    api: Api = Api()
    link: Link = Link()
    seats: SeatsTable = SeatsTable()
    limits: Limits = Limits()
    clock: Clock = Clock()
    log: Log = Log()
    drills: Drills = Drills()

    @property
    def has_link_tls(self) -> bool:
        return bool(self.link.tls_ca)

    @property
    def listen(self) -> Endpoint:
        """Where our links are reached."""
        return parse_endpoint(self.link.listen, "link.listen", self.has_link_tls)

    @property
    def connect(self) -> tuple[Endpoint, ...]:
        """Addresses of peers to begin with; the others are learned from them."""
        given = self.link.connect
        return tuple([parse_endpoint(a, "link.connect", self.has_link_tls) for a in given])

    @property
    def advertise(self) -> Endpoint | None:
        """What peers are told to dial later; None when that is not known."""
        if self.link.advertise:
            return parse_endpoint(self.link.advertise, "link.advertise", self.has_link_tls)
        return None if self.listen.wildcard else self.listen

    @property
    def roster(self) -> tuple[NodeName, ...]:
        """The nodes of the first roster, as far as this node may say it."""
        if self.seats.members is not None:
            return tuple([NodeName(member) for member in self.seats.members])
        return () if self.link.connect else (NodeName(self.node.name),)

    def api_url_at(self, port: int) -> str:
        """What clients and peers are told, once it is known which port was bound."""
        if self.api.url:
            return self.api.url
        scheme = "https" if self.api.tls_certificate else "http"
        host = f"[{self.api.host}]" if ":" in self.api.host else self.api.host
        return f"{scheme}://{host}:{port}"


def load_config(
    path: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> NodeConfig:
    """The configuration from a file, then flags by dotted key (`{"node.name": "zurich"}`), then the environment.

    Relative paths in a file are relative to the file. Raises ConfigError.
    """
    tables: dict[str, Any] = {} if path is None else _read(path)
    for key, value in (flags or {}).items():
        _set(tables, key, value)
    variables = os.environ if environment is None else environment
    if ADMIN_KEY_HASH_VARIABLE in variables:
        _set(tables, "api.admin_key_hash", variables[ADMIN_KEY_HASH_VARIABLE].strip())
    try:
        config = msgspec.convert(tables, NodeConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(_named(error)) from None
    check_config(config)
    return config


_PATHS: Final = (
    ("node", "data"),
    ("api", "tls_certificate"),
    ("api", "tls_key"),
    ("link", "tls_ca"),
    ("link", "tls_certificate"),
    ("link", "tls_key"),
    ("log", "file"),
)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigError(f"{path} is over {CONFIG_BYTES_MAX} bytes: not a configuration")
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    for table, key in _PATHS:
        values = tables.get(table)
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, str) and value and isinstance(values, dict):
            values[key] = str(path.parent / value)
    return tables


def _set(tables: dict[str, Any], dotted: str, value: Any) -> None:
    table, _, key = dotted.partition(".")
    section = tables.setdefault(table, {})
    if isinstance(section, dict):  # anything else is reported by the conversion
        section[key] = value


def _named(error: msgspec.ValidationError) -> str:
    """Turn msgspec's "… - at `$.link.lease_ms`" into "link.lease_ms: …"."""
    text, _, where = str(error).partition(" - at `")
    key = where.rstrip("`").removeprefix("$").lstrip(".")
    return f"{key}: {text}" if key else text


def check_config(config: NodeConfig) -> None:
    """Raises ConfigError for what cannot work or would be unsafe."""
    for key, name in (("node.name", config.node.name), ("node.cluster", config.node.cluster)):
        if not valid_name(name):
            raise ConfigError(
                f"{key}: {name!r} is not a name: lower case letters, digits, - and _, at most 40,"
                " a letter first"
            )
    if not config.node.data:
        raise ConfigError("node.data: say where the node's data lives")
    _check_api(config.api)
    _check_link(config)
    _check_seats(config.seats)


def _check_seats(seats: SeatsTable) -> None:
    members = seats.members or ()
    for member in members:
        if not valid_name(member):
            raise ConfigError(f"seats.members: {member!r} is not a node name")
    if len(set(members)) != len(members):
        raise ConfigError("seats.members: names a node twice")
    if len(members) > MEMBERS_MAX:
        raise ConfigError(f"seats.members: {len(members)} nodes, at most {MEMBERS_MAX}")


def _check_api(api: Api) -> None:
    if bool(api.tls_certificate) != bool(api.tls_key):
        raise ConfigError("api.tls_certificate and api.tls_key: one is of no use without the other")
    _check_file("api.tls_certificate", api.tls_certificate)
    _check_file("api.tls_key", api.tls_key)
    _check_pair("api", api.tls_certificate, api.tls_key)
    if not api.tls_certificate and not is_loopback(api.host) and not api.behind_proxy:
        raise ConfigError(
            f"api.host: {api.host} would serve plain HTTP off this machine; give"
            " api.tls_certificate and api.tls_key, or api.behind_proxy = true behind a proxy that"
            " speaks HTTPS"
        )
    if api.admin_key_hash and not re.fullmatch(r"[0-9a-f]{64}", api.admin_key_hash):
        raise ConfigError(
            f"api.admin_key_hash (or {ADMIN_KEY_HASH_VARIABLE}): not a BLAKE2b-256 hash of a key,"
            " 64 hexadecimal digits"
        )
    for origin in api.cors_origins:
        if not re.fullmatch(r"https?://[^/\s*]+", origin):
            raise ConfigError(
                f"api.cors_origins: {origin!r} is not an origin such as https://a.example"
            )
    if api.url and not api.url.startswith(("http://", "https://")):
        raise ConfigError(f"api.url: {api.url!r} begins with neither http:// nor https://")


def _check_link(config: NodeConfig) -> None:
    link = config.link
    given = [bool(link.tls_ca), bool(link.tls_certificate), bool(link.tls_key)]
    if any(given) and not all(given):
        raise ConfigError(
            "link.tls_ca, link.tls_certificate and link.tls_key: all three are needed, since peers"
            " prove themselves to each other"
        )
    _check_file("link.tls_ca", link.tls_ca)
    _check_file("link.tls_certificate", link.tls_certificate)
    _check_file("link.tls_key", link.tls_key)
    _check_authority("link.tls_ca", link.tls_ca)
    _check_pair("link", link.tls_certificate, link.tls_key)
    for member in link.members:
        if not valid_name(member):
            raise ConfigError(f"link.members: {member!r} is not a node name")
    if link.members and not config.has_link_tls:
        raise ConfigError("link.members: only certificates prove who a member is; give link.tls_*")
    if link.members and config.node.name not in link.members:
        raise ConfigError(f"link.members: does not name this node, {config.node.name}")
    # Each raises for what is malformed or unsafe.
    _ = (config.listen, config.connect, config.advertise)
    if any(endpoint.wildcard for endpoint in config.connect):
        raise ConfigError("link.connect: 0.0.0.0 can be listened on, not dialled")


def _check_file(key: str, path: str) -> None:
    if not path:
        return
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{key}: {path} cannot be read: {error.strerror}") from None


def _check_pair(table: str, certificate: str, key: str) -> None:
    """A certificate and the private key that belongs to it, both PEM, and no password on it."""
    if not certificate:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"{table}.tls_certificate, {table}.tls_key: {certificate} and {key} are not a certificate"
            f" and its private key, in PEM and without a password ({_why(error)})"
        ) from None


def _check_authority(key: str, path: str) -> None:
    if not path:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{key}: {path} holds no certificate in PEM ({_why(error)})") from None


def _why(error: ssl.SSLError | ValueError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or "unreadable").lower().replace("_", " ")
