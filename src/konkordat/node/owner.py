"""The owner thread: the only one that touches the replica and its store.

It takes everything that waits, up to what one commit should hold, lets the replica make it one transaction, and
performs the effects. Under load batches grow by themselves: what arrives while the disk syncs, or in the few
milliseconds of rest after a commit, is the next commit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from konkordat.kernel.ids import NodeName
from konkordat.node.clock import WallClock
from konkordat.node.drain import Drained
from konkordat.node.errors import (
    ClosedOutNodeError,
    DefectError,
    NodeError,
    OldCopyError,
    StoreFailedError,
)
from konkordat.node.inbox import Inbox
from konkordat.replica.admission import OwnHistoryLostError
from konkordat.replica.forced import ClosedOutError
from konkordat.replica.messages import (
    Answered,
    Broadcast,
    Command,
    Committed,
    Effect,
    Input,
    Journaled,
    Sent,
    Tick,
)
from konkordat.replica.settings import TICK_MS
from konkordat.replica.status import ReplicaStatus
from konkordat.store.port import StoreError
from konkordat.wire.messages import Message, Push

# After a commit the owner rests as long as that took, and at most this long. Each commit costs about 300 µs however
# small it is, a sync of the disk, and wakes all peers, so a busy node does better with few large ones: on two busy
# cores with five nodes at 2 000 changes/s the p99 of an acknowledgement fell to less than half. On an idle node, where
# a commit takes half a millisecond, nobody notices.
REST_S_MAX: Final = 0.005
# After a commit that nobody waits for, what peers send is let come together for so many times as long as that took, at
# most this long, unless a client writes: who only receives works a sixth of its time. That is what four of five nodes
# do: at 300 to 500 bookings/s this saves each a fifth of its processor time, and an idle node hardly waits.
RECEIVING_RESTS: Final = 5
RECEIVING_REST_S_MAX: Final = 0.030
# Not where somebody waited a moment ago: the next decision that a holder wants acknowledged would wait, too.
AWAITED_S: Final = 1.0
STOP_DRAINS_MAX: Final = 64  # at a stop, what waits is still carried out: several full inboxes


class Machine(Protocol):
    """What the owner needs of a replica."""

    def handle(self, inputs: Sequence[Input], now_ms: int) -> list[Effect]: ...
    def status(self, now_ms: int) -> ReplicaStatus: ...
    def stop(self) -> list[Effect]: ...


class Voice(Protocol):
    """What the owner needs of the links. Neither waits nor fails."""

    def broadcast(self, message: Message) -> None: ...
    def send(self, peer: NodeName, message: Message) -> None: ...


class Owner:
    """One thread. `deliver` and `failed` are called on it and must only hand over."""

    def __init__(
        self,
        replica: Machine,
        inbox: Inbox,
        voice: Voice,
        clock: WallClock,
        deliver: Callable[[Drained], None],
        failed: Callable[[NodeError], None],
    ) -> None:
        self._replica = replica
        self._inbox = inbox
        self._voice = voice
        self._clock = clock
        self._deliver = deliver
        self._failed = failed
        self._stopping = threading.Event()
        self._ticked_at_s = 0.0
        self._rested_at_s = 0.0  # when the next commit may begin
        self._receives_at_s = 0.0  # when it may if no client writes
        self._awaited_at_s = -AWAITED_S  # when somebody last waited for a commit
        self._thread = threading.Thread(target=self._run, name="owner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Carry out what waits, say goodbye, end. False if that took longer than `timeout_s`."""
        self._inbox.close()
        self._stopping.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # On the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._rest()
                self._step(self._inbox.drain(self._until_tick_s()))
            self._finish()
        except OwnHistoryLostError as error:
            self._fail(OldCopyError(str(error)), error)
        except ClosedOutError as error:
            self._fail(ClosedOutNodeError(str(error)), error)
        except StoreError as error:
            self._fail(StoreFailedError(str(error)), error)
        except Exception as error:  # noqa: BLE001 -- the thread's last frame: it must not end in silence
            self._fail(DefectError(f"{type(error).__name__}: {error}"), error)

    def _fail(self, error: NodeError, cause: BaseException) -> None:
        """Nothing is acknowledged any more: what waits stays unanswered here, and is answered by the gate."""
        self._inbox.close()
        error.__cause__ = cause
        self._failed(error)

    def _rest(self) -> None:
        rest_s = self._rested_at_s - time.monotonic()
        if rest_s > 0:
            time.sleep(rest_s)
        receiving_s = self._receives_at_s - time.monotonic()
        if receiving_s > 0:
            self._inbox.await_commands(receiving_s)

    def _until_tick_s(self) -> float:
        return max(0.0, self._ticked_at_s + TICK_MS / 1e3 - time.monotonic())

    def _step(self, inputs: list[Input]) -> None:
        started = time.monotonic()
        ticks = started - self._ticked_at_s >= TICK_MS / 1e3
        if ticks:
            self._ticked_at_s = started
            inputs.append(Tick())
        if not inputs:
            return
        now_ms = self._clock.now_ms()
        effects = self._replica.handle(inputs, now_ms)
        answered, committed, journaled = self._perform(effects)
        if committed:
            ended = time.monotonic()
            self._rested_at_s = ended + min(ended - started, REST_S_MAX)
            if any(map(_is_awaited, effects)):
                self._awaited_at_s, self._receives_at_s = ended, 0.0
            elif ended - self._awaited_at_s > AWAITED_S:
                rest_s = min(RECEIVING_RESTS * (ended - started), RECEIVING_REST_S_MAX)
                self._receives_at_s = ended + rest_s
        status = self._replica.status(now_ms) if ticks else None
        if answered or committed or journaled or status is not None:
            commands = sum(1 for i in inputs if isinstance(i, Command))
            took_s = time.monotonic() - started
            self._deliver(
                Drained(
                    tuple(answered),
                    tuple(committed),
                    tuple(journaled),
                    status,
                    took_s,
                    commands,
                    now_ms,
                )
            )

    def _perform(
        self, effects: Sequence[Effect]
    ) -> tuple[list[Answered], list[Committed], list[Journaled]]:
        answered: list[Answered] = []
        committed: list[Committed] = []
        journaled: list[Journaled] = []
        for effect in effects:
            match effect:
                case Answered():
                    answered.append(effect)
                case Committed():
                    committed.append(effect)
                case Broadcast(message=message):
                    self._voice.broadcast(message)
                case Sent(peer=peer, message=message):
                    self._voice.send(peer, message)
                case Journaled():
                    journaled.append(effect)
        return answered, committed, journaled

    def _finish(self) -> None:
        """Carry out what was taken in before the inbox was closed, then say goodbye."""
        for _ in range(STOP_DRAINS_MAX):
            inputs = self._inbox.drain(0)
            if not inputs:
                break
            self._step(inputs)
        self._perform(self._replica.stop())


def _is_awaited(effect: Effect) -> bool:
    """True of what a client waits for, or makes a peer go on."""
    match effect:
        case Broadcast(message=message):
            return isinstance(message, Push)
        case Answered() | Sent():
            return True
        case _:
            return False
