"""Whether what a crash left is sound: it opens, it agrees with itself, and nothing acknowledged is missing."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from konkordat.kernel.policy import Policies
from konkordat.replica.messages import Accepted, Answered, Command
from konkordat.replica.replica import Replica
from konkordat.replica.settings import ReplicaSettings
from konkordat.store.port import StoreError
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.store.sqlite.backup import adopt
from konkordat.store.sqlite.wal import damage_of
from konkordat.testing.clock import START_MS
from konkordat.testing.crash.platter import Files
from konkordat.testing.crash.run import NODE, REPLAY, state_of
from konkordat.testing.crash.tape import LOG_NAME, State
from konkordat.testing.domain import Put, TrialDomain, item

LATER_MS: Final = 3_600_000  # after the crash
NOT_OPENED: Final = -1  # for `returned`: the directory's first opening had not returned

End = Literal["nothing", "as acknowledged", "one further", "said why"]
# nothing          no node had begun here, or what had begun to be made was made anew
# as acknowledged  exactly what the caller had been told
# one further      and a commit that was durable before anybody was told
# said why         the log of writes ends in a commit that is damaged by one bit: nobody can know whether it was
#                  acknowledged, so the node asks its operator; adopted, it has all that was


class Verdict(NamedTuple):
    complaints: Sequence[str]
    end: End | None


class Judge:
    """Puts images into one folder, one after another, and opens them."""

    def __init__(self, folder: Path, segment_rows_max: int) -> None:
        self._folder = folder
        self._segment_rows_max = segment_rows_max

    def judge(
        self,
        files: Files,
        states: Sequence[State],
        returned: int,
        begun: int,
        refused: Collection[int] = (),
        *,
        goes_on: bool = False,
    ) -> Verdict:
        """Commit `returned` had returned and `begun` had begun. `goes_on` also writes to what is found, and opens it
        once more."""
        self._lay(files)
        allowed = [n for n in range(max(returned, 0), begun + 1) if n not in refused]
        asked = begun > returned >= 0 and bool(damage_of(self._folder / LOG_NAME))
        try:
            if asked:
                adopt(self._folder, REPLAY)
            store = self._open()
        except StoreError as error:
            return Verdict([f"it does not open: {type(error).__name__}: {error}"], None)
        try:
            complaints = list(store.check())
            found = state_of(store)
            if asked:
                found = found._replace(origin=states[0].origin)
            end = _end(found, states, returned, allowed)
            if end is None:
                complaints.append(_difference(found, states, returned, begun))
            if goes_on and not complaints:
                complaints += self._write(store)
        except StoreError as error:
            return Verdict([f"it cannot be read: {type(error).__name__}: {error}"], None)
        finally:
            store.close()
        return Verdict(complaints, "said why" if asked and end else end)

    def _lay(self, files: Files) -> None:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                Path(entry).unlink()
        for name, content in files.items():
            (self._folder / name).write_bytes(content)

    def _open(self) -> SqliteStore:
        return open_sqlite(
            self._folder,
            NODE,
            START_MS + LATER_MS,
            os.urandom,
            replay=REPLAY,
            segment_rows_max=self._segment_rows_max,
        )

    def _write(self, store: SqliteStore) -> list[str]:
        replica = Replica(store, TrialDomain(), Policies(), ReplicaSettings("crash"))
        body = Put(item("afterwards"), {"title": "on"})
        effects = replica.handle([Command("on", "key:1", body)], START_MS + LATER_MS)
        if not any(isinstance(e, Answered) and isinstance(e.outcome, Accepted) for e in effects):
            return ["it takes no more writes"]
        return list(store.check())


def _end(
    found: State, states: Sequence[State], returned: int, allowed: Sequence[int]
) -> End | None:
    for number in allowed:
        if number < len(states) and states[number] == found:
            return "as acknowledged" if number == returned else "one further"
    if returned == NOT_OPENED and not found.frontier:
        return "nothing"
    return None


def _difference(found: State, states: Sequence[State], returned: int, begun: int) -> str:
    for number, state in enumerate(states):
        if state == found:
            what = "acknowledged commits are lost" if number < returned else "it is of the future"
            return f"{what}: it is as after commit {number}, and {returned} had returned, {begun} begun"
    have = dict(states[returned].frontier) if returned >= 0 else {}
    return f"it is as after no commit at all: {dict(found.frontier)}, where {have} had returned"
