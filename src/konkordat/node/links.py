"""The links between nodes: frames in, frames out, and who is there. A shell over Zenoh.

Frames come in on Zenoh's threads, are decoded there (which overlaps with the owner waiting for the disk) and go into
the inbox, which never waits. What is malformed, foreign, too large, or finds no room is dropped, counted, and logged
now and then: replication heals by pulling.
"""

from __future__ import annotations

import base64
import binascii
import socket
import threading
from typing import Any, Final, get_args

import zenoh

from konkordat.kernel.ids import NodeName, valid_name
from konkordat.node.ambient import Ambient
from konkordat.node.book import AddressBook
from konkordat.node.endpoints import Endpoint
from konkordat.node.errors import AddressInUseError, LinksError
from konkordat.node.inbox import Inbox
from konkordat.node.lanes import Lanes
from konkordat.node.presence import Presence
from konkordat.node.throttle import Throttle
from konkordat.node.transport import Keys, LinkSettings, transport_config
from konkordat.replica.messages import PeerJoined, PeerLeft, Received
from konkordat.wire.codec import FRAME_BYTES_MAX, Codec
from konkordat.wire.errors import ForeignFrameError, WireError
from konkordat.wire.messages import Message

PROBE_TIMEOUT_S: Final = 0.5  # an address within reach answers in a few round trips
REOPEN_TRIES: Final = 20  # after closing, the old listener's port may be busy for a moment
REOPEN_PAUSE_S: Final = 0.1
LANE_END_S: Final = 1.0  # a lane may be in the middle of a page when the links close
_IN_USE: Final = "Address already in use"


class Links:
    """Opened once; may be cut and mended for drills. `broadcast` and `send` never wait and never fail."""

    def __init__(
        self,
        settings: LinkSettings,
        inbox: Inbox,
        book: AddressBook,
        ambient: Ambient,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._book = book
        self._clock, self._log, self._metrics = ambient
        self._throttle = Throttle()
        # One counter per kind, looked up once: `labels` costs a third of decoding a small frame.
        received = self._metrics.received
        self._received = {
            kind: received.labels(kind.__name__.lower()) for kind in get_args(Message)
        }
        self._keys = Keys(settings.cluster, settings.node)
        self._codec = Codec(settings.cluster, settings.node)  # the owner's, for broadcasts
        self._codecs = threading.local()  # one per thread of Zenoh's that decodes
        self._lanes = Lanes(self._make_codec, self._put, self._dropped)
        self._presence = Presence(settings.node)
        # Two locks, because closing a session may wait for a callback that wants the second.
        self._line_lock = threading.Lock()  # over opening and closing
        self._presence_lock = threading.Lock()  # over what peers' tokens change
        self._session: zenoh.Session | None = None
        self._publisher: zenoh.Publisher | None = None
        self._declared: list[Any] = []  # kept alive with the session
        self._dialled: frozenset[Endpoint] = frozenset()
        self._answering: frozenset[NodeName] = frozenset()
        self._closed = False
        self._cut = False

    # Opening and closing ---------------------------------------------------------------------

    def open(self) -> None:
        """Listen and dial. Raises AddressInUseError, LinksError. Peers that cannot be reached are no error."""
        with self._line_lock:
            self._open()

    def _open(self) -> None:
        own = {self._settings.listen, self._settings.advertise}
        known = {*self._settings.connect, *self._addresses().values()} - own
        config = zenoh.Config.from_json5(transport_config(self._settings, sorted(known)))
        try:
            session = zenoh.open(config)
        except zenoh.ZError as error:
            if _IN_USE in str(error):
                raise AddressInUseError(self._settings.listen.text) from None
            raise LinksError(_first_line(error)) from None
        self._dialled = frozenset(known)
        self._declare(session)
        self._session = session

    def _declare(self, session: zenoh.Session) -> None:
        id_ = str(session.zid())
        with self._presence_lock:
            self._presence.began(id_)
        keys, remote = self._keys, zenoh.Locality.REMOTE
        listen_all = session.declare_subscriber(
            keys.all_from_any, self._receive, allowed_origin=remote
        )
        listen_me = session.declare_subscriber(
            keys.to_me_from_any, self._receive, allowed_origin=remote
        )
        self._publisher = session.declare_publisher(
            keys.all_from_me,
            congestion_control=zenoh.CongestionControl.DROP,
            priority=zenoh.Priority.INTERACTIVE_HIGH,
            express=True,  # a lone message is not held back for company
            allowed_destination=remote,
        )
        # Subscribers first: whoever sees our token may speak to us at once.
        token = session.liveliness().declare_token(keys.alive(id_, self._address()))
        watch = session.liveliness().declare_subscriber(
            keys.alive_any, lambda sample: self._noticed(id_, sample), history=True
        )
        self._declared = [listen_all, listen_me, token, watch]

    def _address(self) -> str:
        advertised = self._settings.advertise
        return "-" if advertised is None else _packed(advertised.text)

    def close(self) -> None:
        """Leave. Peers notice at once. Nothing is sent or received afterwards."""
        with self._line_lock:
            self._closed = True
            self._shut()
        self._lanes.close(LANE_END_S)

    def _shut(self) -> None:
        session, self._session, self._publisher = self._session, None, None
        self._declared = []
        with self._presence_lock:
            for peer in self._presence.ended():
                self._left(peer)
        if session is not None:
            try:
                session.close()  # type: ignore[no-untyped-call]
            except zenoh.ZError as error:
                # Its links had seconds to say goodbye, and one of them leads nowhere. It is closed all the same.
                self._log("warning", "links_closed_late", why=str(error))

    def cut(self) -> None:
        """For drills: lose every link, as if the line were down, until `mend`."""
        with self._line_lock:
            self._cut = True
            self._shut()
        self._log("warning", "links_cut")

    def mend(self) -> None:
        """Open the links again after `cut`. Raises what `open` raises."""
        with self._line_lock:
            if self._cut and not self._closed:
                self._reopen()
                self._cut = False
        self._log("warning", "links_mended")

    def _reopen(self) -> None:
        for attempt in range(REOPEN_TRIES):
            try:
                self._open()
                return
            except AddressInUseError:
                if attempt == REOPEN_TRIES - 1:
                    raise
                threading.Event().wait(REOPEN_PAUSE_S)

    # Sending -----------------------------------------------------------------------------------

    def broadcast(self, message: Message) -> None:
        """Tell every peer, best effort. From the owner thread only."""
        publisher = self._publisher
        if publisher is None:
            return
        try:
            frame = self._codec.encode(message)
            publisher.put(frame)
        except WireError as error:
            self._dropped("too_large", self._settings.node, str(error))
        except zenoh.ZError as error:
            self._dropped("not_sent", self._settings.node, _first_line(error))
        else:
            self._metrics.sent_bytes.inc(len(frame))

    def send(self, peer: NodeName, message: Message) -> None:
        """Tell one peer, best effort, through its lane."""
        if self._publisher is not None:
            self._lanes.send(peer, message)

    def _put(self, peer: NodeName, frame: bytes) -> None:
        """On a lane's thread: waits while the peer's line is full."""
        session = self._session
        if session is None:
            return
        try:
            session.put(
                self._keys.to(peer),
                frame,
                congestion_control=zenoh.CongestionControl.BLOCK,
                priority=zenoh.Priority.DATA,  # below broadcasts: a page does not delay a push
                express=True,
                allowed_destination=zenoh.Locality.REMOTE,
            )
        except zenoh.ZError as error:
            self._dropped("not_sent", peer, _first_line(error))
        else:
            self._metrics.sent_bytes.inc(len(frame))

    # Receiving, on Zenoh's threads ---------------------------------------------------------------

    def _receive(self, sample: zenoh.Sample) -> None:
        sender = NodeName(str(sample.key_expr).rpartition("/")[2])
        size = len(sample.payload)
        if self._inbox.closed:
            return  # the node is stopping
        if size > FRAME_BYTES_MAX:
            self._dropped("oversize", sender, f"{size} bytes")
        elif not self._inbox.has_room_for_message(size):
            self._dropped("inbox_full", sender, f"{size} bytes")
        else:
            try:
                self._take(sender, sample.payload.to_bytes())
            except ForeignFrameError as error:
                self._dropped("foreign", sender, str(error))
            except WireError as error:
                self._dropped("malformed", sender, str(error))

    def _take(self, sender: NodeName, frame: bytes) -> None:
        decoded = self._thread_codec().decode(frame)
        if decoded is None:
            return  # a kind of message that only newer releases know (clause W1)
        named, message = decoded
        if named != sender or sender == self._settings.node:
            raise ForeignFrameError(f"its key says {sender} and its envelope {named}")
        self._received[type(message)].inc()
        self._metrics.received_bytes.inc(len(frame))
        if not self._inbox.offer_message(Received(sender, message), len(frame)):
            self._dropped("inbox_full", sender, type(message).__name__)

    def _make_codec(self) -> Codec:
        return Codec(self._settings.cluster, self._settings.node)

    def _thread_codec(self) -> Codec:
        codec = getattr(self._codecs, "codec", None)
        if codec is None:
            codec = self._codecs.codec = self._make_codec()
        assert isinstance(codec, Codec)
        return codec

    def _dropped(self, reason: str, peer: NodeName, detail: str) -> None:
        self._metrics.dropped.labels(reason).inc()
        held_back = self._throttle.pass_(f"{reason} {peer}")
        if held_back is not None:
            self._log(
                "warning",
                "frame_dropped",
                reason=reason,
                peer=peer,
                detail=detail,
                held_back=held_back,
            )

    # Who is there --------------------------------------------------------------------------------

    def _noticed(self, session_id: str, sample: zenoh.Sample) -> None:
        parts = str(sample.key_expr).split("/")
        if len(parts) != len(self._keys.prefix.split("/")) + 4:
            return  # not a token of ours
        name, session, address = NodeName(parts[-3]), parts[-2], parts[-1]
        if not valid_name(name):
            return
        with self._presence_lock:
            if not self._presence.is_current(session_id):
                return  # news of links that are closed by now
            if sample.kind == zenoh.SampleKind.PUT:
                self._book_address(name, address)
                if self._presence.came(name, session):
                    self._inbox.tell(PeerJoined(name))
            elif self._presence.went(name, session):
                self._left(name)

    def _book_address(self, name: NodeName, packed: str) -> None:
        address = _unpacked(packed)
        if address and name != self._settings.node:
            self._book.note(name, address, self._clock.now_ms())

    def _addresses(self) -> dict[NodeName, Endpoint]:
        with self._presence_lock:
            return self._book.addresses()

    def _left(self, peer: NodeName) -> None:
        self._lanes.forget(peer)
        self._inbox.tell(PeerLeft(peer))

    @property
    def present(self) -> frozenset[NodeName]:
        """Peers that are linked now."""
        return self._presence.present

    @property
    def name_taken(self) -> bool:
        """True while another living node has our name."""
        return self._presence.name_taken

    # Tending --------------------------------------------------------------------------------------

    def tend(self) -> None:
        """Find links that nobody will restore: a peer that is up, is not linked, and was known through gossip alone.

        Zenoh dials again only what it was configured to dial. So open the links anew with every address known. That
        happens at most once per address, and only for a peer that answered at two tendings, so that one that is just
        starting can come by itself. Called every few seconds, from any one thread; waits for the network. Raises what
        `open` raises; the next call tries again.
        """
        if self._idle:
            return
        if self._session is None:  # opening them anew had failed
            with self._line_lock:
                self._reopen()
            return
        addresses = self._addresses()
        missing = {
            name: endpoint
            for name, endpoint in addresses.items()
            if name not in self._presence.present
            and endpoint not in self._dialled
            and name != self._settings.node
        }
        answering = frozenset(name for name, at in missing.items() if _answers(at))
        again = answering & self._answering
        self._answering = answering
        if not again:
            return
        self._log("warning", "links_reopened", peers=sorted(again))
        with self._line_lock:
            if not self._idle:
                self._shut()
                self._reopen()

    @property
    def _idle(self) -> bool:
        return self._closed or self._cut


def _answers(endpoint: Endpoint) -> bool:
    try:
        socket.create_connection((endpoint.host, endpoint.port), PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _packed(address: str) -> str:
    """An address as one part of a key: keys are separated by / and know * and $."""
    return base64.urlsafe_b64encode(address.encode()).rstrip(b"=").decode()


def _unpacked(part: str) -> str:
    """The address back, or "" for what is none. It comes from a peer: only its form is checked here."""
    try:
        text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
    return text if len(text) <= 300 and text.isprintable() else ""


def _first_line(error: Exception) -> str:
    """What Zenoh says without the source locations that it adds."""
    return str(error).partition(" at /")[0].partition("\n")[0]
