"""A node put together: store, replica, links, owner thread, gate. The one place that names a store and a transport."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from konkordat import __version__
from konkordat.kernel.change import Batch
from konkordat.kernel.ids import NodeName
from konkordat.kernel.policy import Policies
from konkordat.node.ambient import Ambient
from konkordat.node.book import AddressBook
from konkordat.node.config import NodeConfig
from konkordat.node.door import free_port
from konkordat.node.drain import Drained
from konkordat.node.endpoints import Endpoint
from konkordat.node.errors import DataDirError, NameTakenError, NodeError, StoreFailedError
from konkordat.node.feed import Feed
from konkordat.node.gate import NodeGate
from konkordat.node.health import Health
from konkordat.node.inbox import Inbox, InboxLimits
from konkordat.node.links import Links
from konkordat.node.owner import Owner
from konkordat.node.scrubber import Scrubber
from konkordat.node.tables import collection_views
from konkordat.node.transport import LinkSettings, LinkTls
from konkordat.protocol.seats.patience import SeatSettings
from konkordat.replica.replica import Replica
from konkordat.replica.settings import ReplicaSettings
from konkordat.schedule.domain import ScheduleDomain
from konkordat.store.port import StoreError, StoreWriteError
from konkordat.store.replay import Replay
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.store.sqlite.scrub import open_scrub
from konkordat.wire.batches import open_body

BOOK_NAME: Final = "peers.json"
TEND_EVERY_S: Final = 2.0  # how late a link that nobody restores is found
NAME_PATIENCE_LEASES: Final = 2  # an earlier life of ours is missed by peers within one lease
OWNER_STOP_S: Final = 5.0  # to carry out what waits; more means that the disk hangs
_POLL_S: Final = 0.02


class Node:
    """Made, opened, waited for, closed; each once, on the loop thread."""

    def __init__(
        self,
        config: NodeConfig,
        api_url: str,
        ambient: Ambient,
        failed: Callable[[NodeError], None],
    ) -> None:
        """Opens the store. Raises DataDirError, StoreFailedError."""
        self._ambient = ambient
        self.metrics = ambient.metrics
        self.api_url = api_url
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        name = NodeName(config.node.name)
        self.link = link_settings(config)
        self.data = Path(config.node.data)
        now_ms = ambient.clock.now_ms()
        policies = Policies()
        self._store = _open_store(self.data, name, now_ms, policies)
        self._reader = self._store.reader()
        settings = ReplicaSettings(
            cluster=config.node.cluster,
            api_url=api_url,
            release=__version__,
            started_ms=now_ms,
            ahead_ms_max=config.clock.ahead_ms_max,
            members=config.roster,
            connects=bool(config.connect),
            seats=SeatSettings(takeover_after_ms=config.seats.takeover_after_ms),
        )
        replica = Replica(self._store, ScheduleDomain(), policies, settings)
        self._inbox = Inbox(_inbox_limits(config))
        book = AddressBook(self.data / BOOK_NAME, config.has_link_tls, now_ms)
        self.links = Links(self.link, self._inbox, book, ambient)
        self.health = Health(bool(config.connect) or bool(book.addresses()))
        feed = Feed(config.limits.feed_readers, config.limits.feed_commits)
        self.gate = NodeGate(
            config.node.cluster,
            replica.status(now_ms),
            self._inbox,
            self._reader,
            self.health,
            feed,
            ambient,
        )
        ambient.metrics.watch(self.gate.status, self.data)
        self._owner = Owner(
            replica, self._inbox, self.links, ambient.clock, self._deliver, self._fail
        )
        self._owner_runs = False
        self._scrubber = Scrubber(open_scrub(self.data), self._tell, self._fail)

    # From the owner thread: hand over, no more ---------------------------------------------------

    def _deliver(self, drained: Drained) -> None:
        self._hand_over(self.gate.take, drained)

    def _fail(self, error: NodeError) -> None:
        self._hand_over(self._failed, error)

    def _tell(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self._hand_over(
            lambda told: self._ambient.log(*told[:2], **told[2]), (level, event, fields)
        )

    def _hand_over(self, to: Callable[[Any], None], value: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(to, value)
        except RuntimeError:
            # The loop has ended; there is nobody left to tell.
            assert self._loop.is_closed()

    # Life ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Links and owner. Raises AddressInUseError, LinksError."""
        self.links.open()
        self._owner.start()
        self._owner_runs = True
        self._scrubber.start()
        self.health.opened()

    async def joined(self) -> None:
        """Wait until clients may come. Raises NameTakenError."""
        patience_s = NAME_PATIENCE_LEASES * self.link.lease_ms / 1e3
        taken_since: float | None = None
        while not self.health.joined or self.links.name_taken:
            now = time.monotonic()
            taken_since = (taken_since or now) if self.links.name_taken else None
            if taken_since is not None and now - taken_since > patience_s:
                raise NameTakenError(f"{self.link.node} in cluster {self.link.cluster}")
            await asyncio.sleep(_POLL_S)

    async def tend(self) -> None:
        """Look after the links, for ever."""
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            self.health.name_is_taken(self.links.name_taken)
            try:
                await asyncio.to_thread(self.links.tend)
            except NodeError as error:
                self._ambient.log("error", "links_failed", error=str(error))

    def fail(self, reason: str) -> None:
        """Nothing is acknowledged any more, and whoever waits is told."""
        self.health.failed(reason)
        self.gate.stop(f"the node failed: {reason}")

    def end_streams(self, reason: str) -> None:
        """Let those go who would stay for ever."""
        self.health.stopping()
        self.gate.end_streams(reason)

    def close(self, reason: str) -> None:
        """Carry out what was taken, say goodbye, let go of everything."""
        log = self._ambient.log
        self._scrubber.stop()
        if self._owner_runs and not self._owner.stop(OWNER_STOP_S):
            # Its store may not be closed under it. The process ends anyway, and what was acknowledged is durable.
            log("error", "owner_hangs", seconds=OWNER_STOP_S)
            self.gate.stop(reason)
            self.links.close()
            return
        self.gate.stop(reason)
        self.links.close()
        self._reader.close()
        self._store.close()


def _open_store(data: Path, name: NodeName, now_ms: int, policies: Policies) -> SqliteStore:
    try:
        replay = Replay(_decode, policies)
        return open_sqlite(data, name, now_ms, os.urandom, collection_views(), replay)
    except StoreWriteError as error:
        raise StoreFailedError(str(error)) from error
    except StoreError as error:
        raise DataDirError(str(error)) from error


def _decode(body: bytes) -> Batch:
    return open_body(body).batch


def _inbox_limits(config: NodeConfig) -> InboxLimits:
    limits = config.limits
    return InboxLimits(
        limits.queue_commands,
        limits.queue_command_bytes,
        limits.queue_messages,
        limits.queue_message_bytes,
    )


def link_settings(config: NodeConfig) -> LinkSettings:
    """What the links are told. Port 0 becomes a free one here."""
    listen, advertise = config.listen, config.advertise
    if listen.port == 0:
        chosen = Endpoint(listen.scheme, listen.host, free_port(listen.host))
        advertise = chosen if advertise in (None, listen) and not listen.wildcard else advertise
        listen = chosen
    link = config.link
    tls = LinkTls(link.tls_ca, link.tls_certificate, link.tls_key) if link.tls_ca else None
    return LinkSettings(
        cluster=config.node.cluster,
        node=NodeName(config.node.name),
        listen=listen,
        connect=config.connect,
        advertise=advertise,
        tls=tls,
        members=tuple([NodeName(member) for member in link.members]),
        lease_ms=link.lease_ms,
    )
