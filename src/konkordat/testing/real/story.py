"""From what clients noted and disks hold to a run history that the judges know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any
from typing import Final as Final_

from konkordat.kernel import canonical
from konkordat.kernel.digest import FINGERPRINT_BYTES, fingerprint
from konkordat.kernel.frontier import Frontier
from konkordat.kernel.hlc import Hlc, Stamp, ms_of
from konkordat.kernel.ids import Group, NodeName, Origin, RecordKey, node_of
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.schedule.times import utc_text
from konkordat.testing.checkers import Violation
from konkordat.testing.history import Asked, Entry, Final, History, Read, Sight, Told
from konkordat.testing.oracle import entries_of, opened
from konkordat.testing.real.clients import UNAVAILABLE, Answer, Look, Noted

GROUPS: Final_ = ("name", "affiliation")  # what clients write, each value once
VERSION_DIGITS: Final_ = (
    2 * FINGERPRINT_BYTES
)  # of a version that clients see, which is the record's fingerprint
CHECKER: Final_ = (
    "I2"  # who says that a reader was shown what nobody wrote: it is there, or it was lost
)
# Of an acknowledged write that is in no log: the judge of durability will say so.
NOWHERE: Final_ = Stamp(Hlc(1), Origin("nowhere.0"))


class NeverTrue(Exception):
    """A reader was shown what the log never makes."""


class Logs:
    """What the fullest log tells of causes and values."""

    def __init__(self, finals: Sequence[Final]) -> None:
        fullest = max(finals, key=lambda final: len(final.batches))
        self.trail = entries_of(fullest.batches)
        self.stamps: dict[str, Stamp] = {}
        for batch in (opened(row.body) for row in fullest.batches):
            for transaction in batch.transactions:
                self.stamps[transaction.cause_id] = Stamp(transaction.hlc, batch.origin)
        self.by_cause: dict[str, list[Entry]] = {}
        self.by_key: dict[RecordKey, list[Entry]] = {}
        for entry in self.trail:
            self.by_cause.setdefault(entry.cause, []).append(entry)
            self.by_key.setdefault(entry.key, []).append(entry)

    def shown_by(self, cause: str) -> tuple[Sight, ...]:
        """The records as a write left them."""
        return tuple(
            [
                Sight(e.key, e.life, dict.fromkeys(e.fields, e.stamp), dict(e.fields))
                for e in self.by_cause.get(cause, ())
            ]
        )

    def sight(self, look: Look) -> Sight:
        """The state of the record that a reader was shown. Raises NeverTrue if the log never makes it."""
        if not look.shown:
            return Sight(look.key, self._gone(look))
        for record in self._candidates(look):
            if f"{fingerprint(record):0{VERSION_DIGITS}x}" == look.shown["version"]:
                stamps = {str(g): r.stamp for g, r in record.fields.items()}
                values = {str(g): r.value for g, r in record.fields.items()}
                return Sight(look.key, record.life, stamps, values)
        raise NeverTrue(f"{look.client} was shown a state of {look.key} that nobody wrote")

    def _gone(self, look: Look) -> int:
        """Of the lives after which there is nothing to show, the latest that the node had when it answered; but none
        before what the reader's token asks for. A commit may come between the look and the answer, so what the node had
        may be more than it showed."""
        entries = self.by_key.get(look.key, [])
        least, known = _latest(entries, look.token), _latest(entries, look.frontier)
        gone = sorted({0} | {e.life for e in entries if e.life % 2 == 0})
        allowed = [life for life in gone if life >= least]
        if not allowed:
            raise NeverTrue(f"{look.client} was shown nothing of {look.key}, which was never gone")
        return max([life for life in allowed if life <= known], default=allowed[0])

    def _candidates(self, look: Look) -> Iterator[Record]:
        """Every state of the record that looks like what the reader was shown."""
        shown, entries = look.shown, self.by_key.get(look.key, [])
        for life in {e.life for e in entries if e.life % 2}:
            present = [e for e in entries if e.life == life]
            born = [e for e in present if _instant(e) == shown["created_at"]]
            touched = [
                e
                for e in present
                if _instant(e) == shown["updated_at"]
                and node_of(e.stamp.origin) == shown["updated_at_node"]
            ]
            registers = [_registers(present, group, shown.get(group)) for group in GROUPS]
            for first, last in product(born, touched):
                for chosen in product(*registers):
                    fields = {
                        Group(group): register
                        for group, register in zip(GROUPS, chosen, strict=True)
                        if register is not None
                    }
                    yield Record(look.key, life, fields, first.stamp, last.stamp, last.actor)


def _latest(entries: Iterable[Entry], frontier: Frontier) -> int:
    """The latest life of a record that a frontier knows."""
    return max((e.life for e in entries if e.seq <= frontier.get(e.stamp.origin, 0)), default=0)


def _instant(entry: Entry) -> str:
    return utc_text(ms_of(entry.stamp.hlc))


def _registers(present: Sequence[Entry], group: str, value: Any) -> list[Register | None]:
    """What a group may hold if it is shown like this. Null is shown where it was cleared, or never set."""
    raw = canonical.encode(value)
    found: list[Register | None] = [
        Register(e.stamp, raw) for e in present if e.fields.get(group) == raw
    ]
    return found if value is not None else [None, *found]


def told_story(notes: Iterable[Noted], finals: Sequence[Final]) -> tuple[History, list[Violation]]:
    """Everything that clients asked, were told and read; then what the disks hold. And what readers were shown that
    no log accounts for.
    """
    logs = Logs(finals)
    found: list[Violation] = []
    history: History = [_operators_work(entry) for entry in logs.trail if _is_ours(entry)]
    for note in notes:
        match note:
            case Asked() if not note.keys:  # a creation: its id is the node's choice
                keys = tuple([entry.key for entry in logs.by_cause.get(note.cause, ())])
                history.append(_with_keys(note, keys))
            case Asked():
                history.append(note)
            case Answer():
                history.append(_told(note, logs))
            case Look():
                try:
                    history.append(_read(note, logs))
                except NeverTrue as error:
                    found.append(Violation(CHECKER, str(error)))
    return [*history, *finals], found


def _is_ours(entry: Entry) -> bool:
    return entry.key.tenant.startswith("_")


def _operators_work(entry: Entry) -> Asked:
    """Keys and the like: asked for by the campaign itself."""
    node = NodeName(entry.stamp.origin.partition(".")[0])
    return Asked(0, "operator", entry.cause, node, entry.key.tenant, "put", (entry.key,))


def _with_keys(asked: Asked, keys: tuple[RecordKey, ...]) -> Asked:
    return Asked(
        asked.at_us,
        asked.client,
        asked.cause,
        asked.node,
        asked.tenant,
        asked.kind,
        keys,
        asked.request,
        asked.body,
    )


def _told(answer: Answer, logs: Logs) -> Told:
    stamp = logs.stamps.get(answer.cause, NOWHERE) if answer.outcome == "accepted" else None
    sights = logs.shown_by(answer.cause)
    node = NodeName(answer.node)
    return Told(
        answer.at_us,
        answer.client,
        answer.cause,
        node,
        answer.outcome,
        stamp,
        sights,
        answer.frontier,
    )


def _read(look: Look, logs: Logs) -> Read:
    sight = None if look.status == UNAVAILABLE else logs.sight(look)
    return Read(
        look.at_us,
        look.client,
        NodeName(look.node),
        look.key.tenant,
        look.token,
        sight,
        look.frontier,
    )
