"""Zenoh's configuration for the links of a node, and the keys that its messages travel under.

Every value that differs from Zenoh's default says why. Looked up in Zenoh 1.10 and tried with five processes:
they found each other from one address within 20 ms, a killed one was missed after 4 ms, a stopped one within its lease.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from konkordat.kernel.ids import NodeName
from konkordat.node.endpoints import Endpoint
from konkordat.wire.codec import FRAME_BYTES_MAX

KEEP_ALIVES_PER_LEASE: Final = 4  # Zenoh's (and ITU-T Y.1731's) proportion
REDIAL_FROM_MS: Final = 200  # an address that does not answer is tried again after this long …
REDIAL_UPTO_MS: Final = 2_000  # … doubling up to this: how late a peer that came back is found
# A broadcast waits this long for a peer whose queue is full; afterwards the queue is known to be full and nothing
# waits until it moves again (measured with a stopped peer: once 1.3 ms, then 0.001 ms a message).
DROP_AFTER_US: Final = 1_000
DROP_FRAGMENTS_AFTER_US: Final = 5_000  # the same for a message of several batches of 64 KiB
QUEUE_BATCHES: Final = (
    16  # of 64 KiB, per peer and priority; the default of 2 drops in small bursts
)


class LinkTls(msgspec.Struct, frozen=True):
    """PEM files for mutual TLS."""

    ca: str
    certificate: str
    key: str


class LinkSettings(msgspec.Struct, frozen=True):
    """What the links are told once."""

    cluster: str
    node: NodeName
    listen: Endpoint
    connect: tuple[Endpoint, ...] = ()
    advertise: Endpoint | None = None
    tls: LinkTls | None = None
    # Names that certificates may carry (their common name); empty: any certificate of the CA is a member.
    members: tuple[NodeName, ...] = ()
    lease_ms: int = 1_500


class Keys:
    """The key expressions of a cluster."""

    def __init__(self, cluster: str, node: NodeName) -> None:
        self.prefix = f"konkordat/{cluster}"
        self.all_from_me = f"{self.prefix}/all/{node}"
        self.all_from_any = f"{self.prefix}/all/*"
        self.to_me_from_any = f"{self.prefix}/to/{node}/*"
        self.alive_any = f"{self.prefix}/alive/**"
        self._node = node

    def to(self, peer: NodeName) -> str:
        """Of what this node sends to one peer."""
        return f"{self.prefix}/to/{peer}/{self._node}"

    def alive(self, session: str, address: str) -> str:
        """Of this node's liveliness token: who, in which session, reached where ("-" if that is not known)."""
        return f"{self.prefix}/alive/{self._node}/{session}/{address}"


def transport_config(settings: LinkSettings, dial: Sequence[Endpoint]) -> str:
    """Zenoh's configuration as JSON."""
    config: dict[str, Any] = {
        "mode": "peer",
        "connect": {
            "endpoints": [endpoint.text for endpoint in dial],
            # Without end and without failing means: in the background. A node answers alone, so opening waits for
            # nobody. (0 would mean: once, and never again.)
            "timeout_ms": -1,
            "exit_on_failure": False,
            "retry": {
                "period_init_ms": REDIAL_FROM_MS,
                "period_max_ms": REDIAL_UPTO_MS,
                "period_increase_factor": 2,
            },
        },
        "listen": {
            "endpoints": [settings.listen.text],
            "timeout_ms": 0,
            "exit_on_failure": True,
        },
        "scouting": {
            "multicast": {"enabled": False},  # peers are named or gossiped, never whoever is near
            "gossip": {"enabled": True},
            "delay": 0,
        },
        "open": {"return_conditions": {"connect_scouted": False, "declares": False}},
        "timestamping": {"enabled": False},  # only origins stamp, and they stamp batches
        "transport": {
            # Shared memory between processes of one machine would leave segments behind a kill -9.
            "shared_memory": {"enabled": False},
            "link": _link_config(settings),
        },
    }
    if settings.members:
        config["access_control"] = _access(settings)
    return json.dumps(config)


def _link_config(settings: LinkSettings) -> dict[str, Any]:
    queue = dict.fromkeys(("interactive_high", "data"), QUEUE_BATCHES)
    link: dict[str, Any] = {
        # Gossip may name addresses of any kind; only kinds that this configuration allows are dialled.
        "protocols": sorted({e.scheme for e in (settings.listen, *settings.connect)}),
        "tx": {
            "lease": settings.lease_ms,
            "keep_alive": KEEP_ALIVES_PER_LEASE,
            "queue": {
                "size": queue,
                "congestion_control": {
                    "drop": {
                        "wait_before_drop": DROP_AFTER_US,
                        "max_wait_before_drop_fragments": DROP_FRAGMENTS_AFTER_US,
                    },
                    # A peer that takes nothing for two leases is gone; waiting longer helps nobody.
                    "block": {"wait_before_close": settings.lease_ms * 2_000},
                },
            },
        },
        # Twice a frame: what is larger is dropped before it is put together.
        "rx": {"max_message_size": 2 * FRAME_BYTES_MAX},
    }
    if settings.tls is not None:
        tls = settings.tls
        link["tls"] = {
            "root_ca_certificate": tls.ca,
            "enable_mtls": True,
            "verify_name_on_connect": True,
            "listen_certificate": tls.certificate,
            "listen_private_key": tls.key,
            "connect_certificate": tls.certificate,
            "connect_private_key": tls.key,
            "close_link_on_expiration": True,
        }
    return link


def _access(settings: LinkSettings) -> dict[str, Any]:
    """Only members speak, and each only under its own name: the certificate's common name is the sender in the key.

    Together with the check that key and envelope name the same sender: a stolen key of one node speaks for no other.
    """
    prefix = f"konkordat/{settings.cluster}"
    others = [member for member in settings.members if member != settings.node]
    everything = [f"{prefix}/**"]
    rules: list[dict[str, Any]] = [
        _rule("listens", "ingress", everything, _INTERESTS),
        _rule("hears", "egress", everything, ["put", "liveliness_token", *_INTERESTS]),
    ]
    for member in others:
        own = [f"{prefix}/all/{member}", f"{prefix}/to/*/{member}", f"{prefix}/alive/{member}/**"]
        rules.append(_rule(f"speaks-{member}", "ingress", own, ["put", "liveliness_token"]))
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": rules,
        "subjects": [{"id": member, "cert_common_names": [member]} for member in others],
        "policies": [
            {"subjects": [member], "rules": ["listens", "hears", f"speaks-{member}"]}
            for member in others
        ],
    }


_INTERESTS: Final = ["declare_subscriber", "declare_liveliness_subscriber", "liveliness_query"]


def _rule(id: str, flow: str, keys: list[str], messages: list[str]) -> dict[str, Any]:
    return {
        "id": id,
        "permission": "allow",
        "flows": [flow],
        "messages": messages,
        "key_exprs": keys,
    }
