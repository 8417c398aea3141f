"""A replica on the real store, whose disk is on tape."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, cast

from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName
from konkordat.kernel.policy import Policies
from konkordat.replica.messages import Broadcast, Command, Effect, Input, Received
from konkordat.replica.replica import Replica
from konkordat.replica.settings import ReplicaSettings
from konkordat.store.memory import open_memory
from konkordat.store.port import SEGMENT_ROWS_MAX, Store, StoreFullError, WriteSet
from konkordat.store.replay import Replay
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.store.sqlite import store as sqlite_store
from konkordat.testing.clock import START_MS
from konkordat.testing.crash.tape import Mark, State, Tape
from konkordat.testing.crash.vfs import Fault, TapeVfs
from konkordat.testing.domain import TrialCommand, TrialDomain
from konkordat.wire.batches import open_body
from konkordat.wire.messages import Push

NODE: Final = NodeName("zurich")
PEER: Final = NodeName("geneva")
REPLAY: Final = Replay(lambda body: open_body(body).batch, Policies())
STEP_MS: Final = 5  # of virtual time between two drains
CHECKPOINT_NEVER: Final = 1 << 30
FULL: Final = 2  # PRAGMA synchronous, as the store sets it
NORMAL: Final = 1  # a WAL that is synced at checkpoints only: the bug that the campaign must find


class Settings:
    """What a scenario changes about the store, so that a small run shows what large ones do."""

    def __init__(
        self,
        checkpoint_pages: int = CHECKPOINT_NEVER,
        segment_rows_max: int = SEGMENT_ROWS_MAX,
        cache_pages: int = 0,
        synchronous: int = FULL,
    ) -> None:
        self.checkpoint_pages = checkpoint_pages
        self.segment_rows_max = segment_rows_max
        self.cache_pages = cache_pages  # 0: as the store has it. Few: a commit spills into the WAL
        self.synchronous = synchronous


class WatchedStore:
    """A store that marks on the tape when a commit begins and how it ends. Everything else is the real one's."""

    def __init__(self, store: SqliteStore, run: Run) -> None:
        self._store = store
        self._run = run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, write: WriteSet) -> None:
        run = self._run
        before = run.state
        run.begin(write)
        number = len(run.states) - 1
        try:
            self._store.commit(write)
        except StoreFullError:
            run.tape.add(Mark("refused", number))
            run.state = before
            raise
        except BaseException:
            run.tape.add(Mark("failed", number))
            run.state = before
            raise
        run.tape.add(Mark("returned", number))


class Run(AbstractContextManager["Run"]):
    """One node's life on a recorded disk. `states[n]` is what the store must hold after commit n."""

    def __init__(
        self, folder: Path, seed: int, settings: Settings, fault: Fault | None = None
    ) -> None:
        self.folder = folder
        self.random = Random(seed)
        self.tape = Tape()
        self.states: list[State] = []
        self.state: State | None = None  # after the last commit that returned
        self.vfs = TapeVfs(self.tape, fault)
        self._settings = settings
        self._now_ms = START_MS
        self._causes = 0
        self._store: SqliteStore | None = None
        self._replica: Replica | None = None
        self._kept_pages = sqlite_store.CHECKPOINT_PAGES
        self._peer = Replica(
            open_memory(PEER, START_MS, self.random.randbytes),
            TrialDomain(),
            Policies(),
            ReplicaSettings("crash"),
        )

    def __enter__(self) -> Run:
        _set_checkpoint_pages(self._settings.checkpoint_pages)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _set_checkpoint_pages(self._kept_pages)
        self.close()

    @property
    def store(self) -> SqliteStore:
        assert self._store is not None
        return self._store

    # Life ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the node, for the first time or again."""
        if self.state is None:
            self.tape.add(Mark("begun", 0))
        settings = self._settings
        store = self._store = open_sqlite(
            self.folder,
            NODE,
            self._now_ms,
            self.random.randbytes,
            replay=REPLAY,
            vfs=self.vfs.name,
            segment_rows_max=settings.segment_rows_max,
        )
        connection = store._connection  # noqa: SLF001 -- no operator may weaken a store; a planted bug must
        if settings.synchronous != FULL:
            connection.pragma("synchronous", settings.synchronous)
        if settings.cache_pages:
            connection.pragma("cache_size", settings.cache_pages)
        if self.state is None:
            self.state = state_of(store)
            self.states.append(self.state)
            self.tape.add(Mark("returned", 0))
        watched = cast("Store", WatchedStore(store, self))
        self._replica = Replica(watched, TrialDomain(), Policies(), ReplicaSettings("crash"))

    def close(self) -> None:
        """Stop the node in order."""
        store, self._store, self._replica = self._store, None, None
        if store is not None:
            store.close()

    # Work --------------------------------------------------------------------------------------------

    def write(self, *commands: TrialCommand) -> list[Effect]:
        """Commands that one commit carries out."""
        return self._handle([self._command(body) for body in commands])

    def write_with_peer(
        self, commands: Sequence[TrialCommand], peers: Sequence[TrialCommand]
    ) -> None:
        """Commands, and what a peer pushed meanwhile, in one commit."""
        pushed = [
            Received(PEER, effect.message)
            for effect in self._peer.handle([self._command(b) for b in peers], self._now_ms)
            if isinstance(effect, Broadcast) and isinstance(effect.message, Push)
        ]
        self._handle([*pushed, *[self._command(body) for body in commands]])

    def begin(self, write: WriteSet) -> None:
        """A commit begins: work out what it must lead to."""
        self.state = after(self.state or state_of(self.store), write)
        self.states.append(self.state)
        self.tape.add(Mark("begun", len(self.states) - 1))

    def _handle(self, inputs: Sequence[Input]) -> list[Effect]:
        assert self._replica is not None
        self._now_ms += STEP_MS
        return self._replica.handle(inputs, self._now_ms)

    def _command(self, body: TrialCommand) -> Command:
        self._causes += 1
        return Command(f"cause-{self._causes}", "key:1", body)


def state_of(store: SqliteStore) -> State:
    """What a store says of itself when it is opened."""
    book = store.book
    return State(book.origin, tuple(sorted(book.frontier.items())), book.root, book.hlc)


def after(state: State, write: WriteSet) -> State:
    """The state that a commit leads to."""
    frontier = dict(state.frontier)
    for row in write.log:
        frontier[row.origin] = row.seq
    root = state.root
    for record in write.records:
        root = root.minus(record.before).plus(record.after)
    return State(
        state.origin, tuple(sorted(frontier.items())), root, Hlc(max(state.hlc, write.hlc))
    )


def _set_checkpoint_pages(pages: int) -> None:
    # How often a store checkpoints is no setting of its: production has one value, which was measured.
    sqlite_store.CHECKPOINT_PAGES = pages  # type: ignore[misc]
