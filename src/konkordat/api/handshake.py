"""Opening a stream: who may, and the WebSocket as far as a stream needs it."""

from __future__ import annotations

from typing import Any, Final

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from konkordat.api.call import Call
from konkordat.api.problems import MEDIA_TYPE, Problem

NO_ENTRY: Final = 4401  # closed for want of a valid key


class Socket:
    """A WebSocket as far as a stream needs it."""

    def __init__(self, socket: WebSocket[Any, Any, Any]) -> None:
        self._receive = socket.receive
        self._send = socket.send

    async def receive(self) -> bytes | None:
        """The next message's bytes; None when the client is gone."""
        event: Any = await self._receive()
        if event["type"] != "websocket.receive":
            return None
        text = event.get("text")
        return (
            text.encode("utf-8", "surrogatepass") if text is not None else event.get("bytes") or b""
        )

    async def accept(self) -> None:
        await self._send({"type": "websocket.accept", "subprotocol": None, "headers": []})

    async def send_text(self, frame: bytes) -> None:
        """Raises OSError when the client is gone."""
        await self._say({"type": "websocket.send", "bytes": None, "text": frame.decode()})

    async def close(self, code: int) -> None:
        """Raises OSError when the client is gone."""
        await self._say({"type": "websocket.close", "code": code, "reason": ""})

    async def _say(self, event: Any) -> None:
        try:
            await self._send(event)
        except WebSocketDisconnect as cause:
            raise ConnectionResetError("the client is gone") from cause


def check_origin(call: Call) -> None:
    """Browsers send the page's origin, and would send cookies of whoever visits it; only pages that the operator named
    may open a stream, besides pages of this very node. Other programs send none. Raises Problem origin_refused."""
    raw = call.headers.get(b"origin")
    if raw is None:
        return
    host = call.headers.get(b"host", b"").decode("latin-1")
    own = f"{'https' if call.is_tls else 'http'}://{host}"
    if raw.decode("latin-1") not in {own, *call.front.settings.cors_origins}:
        raise Problem("origin_refused", "The page's origin is not among those allowed.")


def admit(call: Call) -> None:
    """Who opens the stream: the key of the header, or the ticket of the address. Raises Problem."""
    if b"authorization" in call.headers:
        call.take_only()
        call.credential = call.front.keyring.authenticate(call)
    elif "ticket" in call.take_only("ticket"):
        call.credential = call.front.tickets.redeem(call.query["ticket"])
    else:
        raise Problem("unauthenticated", "Send an Authorization header, or a ticket.")
    call.front.limit.take(call.credential.id, call.front.gate.now_ms())


async def refuse(scope: Any, send: Any, problem: Problem, request_id: str) -> None:
    """Refuse the handshake: with a problem document where the server can, with a bare 403 otherwise."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": NO_ENTRY, "reason": problem.code})
        return
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"x-request-id", request_id.encode()),
        (b"cache-control", b"no-store"),
    ]
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    start = {"type": "websocket.http.response.start", "status": problem.status, "headers": headers}
    await send(start)
    body = problem.encode(request_id)
    await send({"type": "websocket.http.response.body", "body": body})
