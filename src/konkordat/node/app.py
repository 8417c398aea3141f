"""The API of a node, from its settings and its gate."""

from __future__ import annotations

from typing import Any

from konkordat import __version__
from konkordat.api.app import create_app
from konkordat.api.gate import Gate
from konkordat.api.settings import ApiSettings
from konkordat.node.config import Api
from konkordat.node.metrics import NodeMetrics


def make_app(gate: Gate, api: Api, url: str, metrics: NodeMetrics) -> Any:
    """The ASGI application. `url` is where clients reach it."""
    settings = ApiSettings(
        admin_key_hash=api.admin_key_hash,
        release=__version__,
        public_url=url,
        body_bytes_max=api.body_bytes_max,
        rate_per_s=api.rate_per_s,
        rate_burst=api.rate_burst,
        streams_max=api.streams_max,
        streams_per_credential_max=api.streams_per_credential_max,
        cors_origins=api.cors_origins,
        docs=api.docs,
    )
    return create_app(gate, settings, registry=metrics.registry)
