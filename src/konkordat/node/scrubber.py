"""The scrub of a running node: a thread that reads everything again, slowly, for as long as the node lives.

What it finds damaged stops the node: every other node has the same data, and a node that goes on with damaged data
would answer wrongly or spread it. Started on an empty directory it gets everything back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from konkordat.node.errors import DamagedError, NodeError, StoreFailedError
from konkordat.store.port import CorruptStoreError, StoreError

# Between two steps of about a millisecond: 0.4 % of a core, and 100 000 records with their log in about a quarter of an
# hour. More often finds damage sooner and takes more from those who work.
STEP_EVERY_S: Final = 0.25
# A pass over little data takes a second. Damage is told at once; that there was none, only so often.
TELL_EVERY_S: Final = 600.0
STOP_S: Final = 2.0  # a step takes milliseconds; more means that the disk hangs

Tell = Callable[[str, str, dict[str, Any]], None]  # level, event, fields


class Scrub(Protocol):
    """What reads."""

    batches_read: int
    records_read: int

    def step(self) -> bool: ...
    def close(self) -> None: ...


class Scrubber:
    """`tell` and `failed` are called on its thread and must only hand over."""

    def __init__(
        self,
        scrub: Scrub,
        tell: Tell,
        failed: Callable[[NodeError], None],
        step_every_s: float = STEP_EVERY_S,
    ) -> None:
        self._scrub = scrub
        self._tell = tell
        self._failed = failed
        self._step_every_s = step_every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrub", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End it, and let go of the database."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        if not self._thread.is_alive():
            self._scrub.close()

    def _run(self) -> None:
        began = time.monotonic()
        told: float | None = None
        try:
            while not self._stopping.wait(self._step_every_s):
                read = {"batches": self._scrub.batches_read, "records": self._scrub.records_read}
                if self._scrub.step():
                    now = time.monotonic()
                    if told is None or now - told >= TELL_EVERY_S:
                        fields = {**read, "seconds": round(now - began, 3)}
                        self._tell("info", "scrub_finished", fields)
                        told = now
                    began = now
        except CorruptStoreError as error:
            self._tell("error", "damage_found", {"what": str(error)})
            self._fail(DamagedError(str(error)), error)
        except StoreError as error:
            self._tell("error", "scrub_failed", {"why": str(error)})
            self._fail(StoreFailedError(str(error)), error)

    def _fail(self, error: NodeError, cause: BaseException) -> None:
        error.__cause__ = cause
        self._failed(error)
