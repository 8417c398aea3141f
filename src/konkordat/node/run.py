"""Running a node: from a configuration to an exit code.

bind the API's port → open the store → links → owner → serve → joined → "ready"
… a signal, or a failure …
refuse newcomers → end streams → finish requests → carry out what waits → goodbye → close
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from prometheus_client import disable_created_metrics

from konkordat import __version__
from konkordat.node.ambient import Ambient
from konkordat.node.app import make_app
from konkordat.node.clock import WallClock
from konkordat.node.config import NodeConfig
from konkordat.node.door import Server, bind, port_of
from konkordat.node.errors import DefectError, ExitCode, NodeError
from konkordat.node.logs import NodeLog
from konkordat.node.metrics import NodeMetrics
from konkordat.node.node import Node

ADDRESS_NAME: Final = "node.json"
# How long a thread may keep the others from running. A commit gives up the lock of the interpreter at every step of the
# database and then waits this long for it each time, if the event loop is busy (an export, a large import). Measured
# beside a thread that computes without pause, median time to an acknowledgement: 13 ms with the default of 5 ms, 3.5 ms
# with 1 ms, 1.9 ms with 0.5 ms; throughput without such a thread is the same with all of them.
SWITCH_S: Final = 0.0005
ANSWER_S: Final = 0.3  # after a failure, for those who waited to be told


class Address(msgspec.Struct, frozen=True):
    """Where a running node is; in its data directory while it runs, for scripts."""

    node: str
    cluster: str
    api_url: str
    link: str
    pid: int


Announce = Callable[[Address], None]


def print_ready(address: Address) -> None:
    """One line, for whoever started the node."""
    print(f"ready {address.node} {address.api_url} {address.link}", flush=True)  # noqa: T201


def run_node(config: NodeConfig, announce: Announce = print_ready) -> int:
    """Run a node until a signal stops it. Returns the exit code; says in one line on stderr why, if it is not 0."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(config, announce))
    except NodeError as error:
        print(f"konkordat: {told(error)}", file=sys.stderr, flush=True)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:  # a second one, while stopping
        return ExitCode.SOFTWARE
    return ExitCode.OK


def told(error: NodeError) -> str:
    """The error as one line: the message of its class around its circumstances."""
    text = (type(error).__doc__ or "{reason}").strip().partition("\n")[0]
    for name in ("{reason}", "{address}"):
        text = text.replace(name, str(error).rstrip("."))
    return text


async def serve(config: NodeConfig, announce: Announce) -> None:
    """Run a node in this event loop until a signal stops it. Raises NodeError if it cannot start, or fails."""
    sys.setswitchinterval(SWITCH_S)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # when each counter was made is of no use, and doubles the page
    log = NodeLog(config.node.name, config.log.format, config.log.level, config.log.file)
    log.take_over_logging()
    try:
        with contextlib.closing(bind(config.api.host, config.api.port)) as door:
            await Running(config, log).run(door, announce)
    except NodeError as error:
        _log_end(log, error, error.__cause__ if error.exit_code == ExitCode.SOFTWARE else None)
        raise
    except Exception as error:
        defect = DefectError(f"{type(error).__name__}: {error}")
        _log_end(log, defect, error)
        raise defect from error
    finally:
        log.close()


def _log_end(log: NodeLog, error: NodeError, defect: BaseException | None) -> None:
    fields: dict[str, Any] = {"error": told(error), "exit_code": int(error.exit_code)}
    if defect is not None:
        fields["exc_info"] = defect
    log("error", "node_failed", **fields)


class Running:
    """One run of a node."""

    def __init__(self, config: NodeConfig, log: NodeLog) -> None:
        self._config = config
        self._log = log
        self._ended = asyncio.Event()
        self._failure: NodeError | None = None
        self._node: Node | None = None

    async def run(self, door: socket.socket, announce: Announce) -> None:
        """From open to closed."""
        config = self._config
        ambient = Ambient(WallClock(), self._log, NodeMetrics())
        url = config.api_url_at(port_of(door))
        self._log("info", "node_starting", release=__version__, api=url, data=config.node.data)
        node = self._node = Node(config, url, ambient, self._failed)
        try:
            node.open()
            with self._signals(node):
                await self._serve(node, door, announce)
        finally:
            node.close("the node is stopping")
            self._log("info", "node_stopped")
        if self._failure is not None:
            raise self._failure

    async def _serve(self, node: Node, door: socket.socket, announce: Announce) -> None:
        api = self._config.api
        server = Server(make_app(node.gate, api, node.api_url, node.metrics), api)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[door]))
            tending = tasks.create_task(node.tend())
            await server.is_up.wait()
            _settle_memory()
            with address_file(node.data, self._address(node)) as address:
                joining = tasks.create_task(self._joined(node, address, announce))
                await self._ended.wait()
                joining.cancel()
            node.end_streams("the node is stopping")
            if self._failure is not None:
                await asyncio.sleep(ANSWER_S)
            server.should_exit = True
            await serving
            tending.cancel()

    async def _joined(self, node: Node, address: Address, announce: Announce) -> None:
        try:
            await node.joined()
        except NodeError as error:
            self._failed(error)
            return
        self._log("info", "node_ready", api=address.api_url, link=address.link)
        announce(address)

    def _address(self, node: Node) -> Address:
        link = node.link
        return Address(link.node, link.cluster, node.api_url, link.listen.text, os.getpid())

    def _failed(self, error: NodeError) -> None:
        """The node cannot go on: nothing is acknowledged any more, whoever waits is told, the process ends."""
        if self._failure is None:
            self._failure = error
            if self._node is not None:
                self._node.fail(str(error))
        self._ended.set()

    @contextlib.contextmanager
    def _signals(self, node: Node) -> Iterator[None]:
        """SIGTERM and SIGINT stop the node. In drills, SIGUSR1 cuts its links and SIGUSR2 mends them."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ended.set)
        loop.add_signal_handler(signal.SIGINT, self._ended.set)
        if self._config.drills.enabled:
            loop.add_signal_handler(signal.SIGUSR1, self._drill, node.links.cut)
            loop.add_signal_handler(signal.SIGUSR2, self._drill, node.links.mend)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
                loop.remove_signal_handler(number)

    def _drill(self, what: Callable[[], None]) -> None:
        try:
            what()
        except NodeError as error:
            self._log("error", "links_failed", error=str(error))


def _settle_memory() -> None:
    """Leave what was made at the start to itself: modules, types, routes.

    It lives as long as the process, and walking through it in every full collection stopped all threads for 70 ms
    (measured under load: the slowest acknowledgement fell from 105 ms to 39 ms).
    """
    gc.collect()
    gc.freeze()
    # A booking makes thousands of small objects and next to no cycles: looking for those less often is 5 % of the
    # processor time of a busy node (measured), and costs megabytes at most. Ten times less often would be another 2 %,
    # but each look then stops a busy node for 15 ms.
    gc.set_threshold(10_000, 20, 50)


@contextlib.contextmanager
def address_file(data: Path, address: Address) -> Iterator[Address]:
    """The address in the data directory, for as long as it is true."""
    path = data / ADDRESS_NAME
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(address)) + b"\n")
    draft.replace(path)
    try:
        yield address
    finally:
        path.unlink(missing_ok=True)
