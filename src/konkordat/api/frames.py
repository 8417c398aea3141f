"""What goes over an open connection, as bytes: JSON messages for a WebSocket, events for SSE.

Both say the same. A change's own part is made once (notes.py); here only its address is put before it.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

_encode: Final = msgspec.json.Encoder().encode


class Frames(Protocol):
    """How messages are written."""

    def change(self, sub: str, token: str, body: bytes) -> bytes:
        """A change; `body` is a note's object without its opening brace."""

    def message(self, name: str, **fields: Any) -> bytes:
        """Anything else."""


class SocketFrames:
    """One JSON object a message; `msg` says which."""

    def change(self, sub: str, token: str, body: bytes) -> bytes:
        return (
            b'{"msg":"change","sub":' + _encode(sub) + b',"token":"' + token.encode() + b'",' + body
        )

    def message(self, name: str, **fields: Any) -> bytes:
        return _encode({"msg": name, **fields})


class EventFrames:
    """Server-sent events (WHATWG HTML §9.2). The id is the token, so a browser resumes by itself."""

    def change(self, sub: str, token: str, body: bytes) -> bytes:  # noqa: ARG002 - there is one subscription
        # White space in a stored value may be a line feed, which would end the event.
        line = body.replace(b"\n", b" ").replace(b"\r", b" ")
        return b"event: change\nid: " + token.encode() + b"\ndata: {" + line + b"\n\n"

    def message(self, name: str, **fields: Any) -> bytes:
        token = fields.get("token")
        id = f"id: {token}\n" if token else ""
        return f"event: {name}\n{id}data: ".encode() + _encode(fields) + b"\n\n"
