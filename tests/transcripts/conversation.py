"""Transcripts: what nodes say to each other in one situation, as text that people read and a test compares.

A transcript is a file of blocks:

    # why this situation matters
    bern puts a title=Opening
    ----
    bern → all: Push bern:1
    bern commits bern:1
    bern answers: accepted bern:1

Above the line stands what happens, below it what comes of it. Heartbeats are left out, and an origin is called by its
node's name. KONKORDAT_REWRITE=1 writes the files anew; the difference is then for a reviewer to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from konkordat.kernel.ids import NodeName, Origin, RecordKey
from konkordat.kernel.refusal import Refusal
from konkordat.replica.messages import (
    Accepted,
    Answered,
    Broadcast,
    Committed,
    Effect,
    Journaled,
    Outcome,
    PeerLeft,
    Replayed,
    Sent,
)
from konkordat.testing.domain import Book, Put, Remove, booking, item
from konkordat.testing.workbench import Workbench
from konkordat.wire.batches import open_body
from konkordat.wire.messages import (
    Compare,
    Fetch,
    Goodbye,
    Heartbeat,
    Message,
    Page,
    Pull,
    Push,
    States,
)

HOUR_MS = 3_600_000
RULE = "----"


class Conversation:
    """Carries out the lines of one transcript."""

    def __init__(self) -> None:
        self.bench = Workbench()
        self._told = 0
        self._out: list[str] = []

    def block(self, lines: list[str]) -> list[str]:
        """What comes of these lines."""
        self._out = []
        for line in lines:
            if line and not line.startswith("#"):
                self._do(line)
        return self._out

    def _do(self, line: str) -> None:
        first, *rest = line.split()
        if first in self.bench.nodes:
            verb, *arguments = rest
            getattr(self, f"_{verb}")(first, *arguments)
        else:
            getattr(self, f"_all_{first}")(*rest)

    # What happens ------------------------------------------------------------------------------

    def _all_nodes(self, *names: str) -> None:
        """Nodes that have heard each other."""
        self.bench = Workbench(*names)
        self.bench.settle()

    def _all_wait(self, ms: str) -> None:
        """Time passes and messages are delivered, tick by tick."""
        for _ in range(int(ms) // 50):
            self._watched(self.bench.tick)
            self._all_deliver()

    def _all_pass(self, ms: str) -> None:
        """Time passes, and nobody is told."""
        self.bench.clock.advance(int(ms))

    def _all_deliver(self, kind: str = "", sender: str = "", receiver: str = "") -> None:
        """Hand over what is in flight: all of it and what follows from it, or only some."""
        if kind:
            for frame in self.bench.take(sender, receiver, kind):
                self._watched(lambda frame=frame: self.bench.deliver(frame))
            return
        while self.bench.flying:
            frame = self.bench.flying.pop(0)
            self._watched(lambda frame=frame: self.bench.deliver(frame))

    def _all_lose(self, kind: str = "", sender: str = "", receiver: str = "") -> None:
        lost = [f for f in self.bench.take(sender, receiver, kind) if f.kind != "Heartbeat"]
        self._out += [f"(lost: {f.sender} → {f.receiver} {said(f.message)})" for f in lost]

    def _all_agree(self) -> None:
        self._out.append("all agree" if self.bench.agree() else "they do not agree")

    def _puts(self, name: str, id: str, *fields: str) -> None:
        """bern puts a title=Opening [key=order-1]"""
        given = dict(f.split("=", 1) for f in fields)
        key = given.pop("key", "")
        self._write(name, Put(item(id), given), key)

    def _removes(self, name: str, id: str) -> None:
        self._write(name, Remove(item(id)))

    def _books(self, name: str, id: str, room: str, start: str, until: str, *more: str) -> None:
        insists = "insists" in more
        slot = int(start) * HOUR_MS, int(until) * HOUR_MS
        self._write(name, Book(booking(id), room, *slot, insists=insists))

    def _clock(self, name: str, offset_ms: str) -> None:
        self.bench[name].offset_ms = int(offset_ms)

    def _reads(self, name: str, id: str) -> None:
        self._out.append(f"{name} has {id}: {self.bench[name].values(item(id))}")

    def _places(self, name: str, *ids: str) -> None:
        """Who holds a place, as this node sees it."""
        found = self.bench[name].store.claims_of([booking(i) for i in ids])
        for key in sorted(found):
            for decided in found[key]:
                against = " ".join(c.owner.id for c in decided.against)
                self._out.append(f"{name} has {key.id}: {decided.state} {against}".rstrip())

    def _restarts(self, name: str) -> None:
        self.bench[name].start()

    def _vanishes(self, name: str) -> None:
        """The node is gone, and so is what it sent; the others' links notice."""
        del self.bench.nodes[name]
        self.bench.lose(sender=name)
        for other in self.bench.nodes:
            self._watched(lambda other=other: self.bench.do(other, PeerLeft(NodeName(name))))

    def _write(self, name: str, body: Any, key: str = "") -> None:
        self._watched(lambda: self.bench.write(name, body, key))

    # What comes of it ----------------------------------------------------------------------------

    def _watched(self, act: Callable[[], Any]) -> None:
        before = {name: len(node.effects) for name, node in self.bench.nodes.items()}
        act()
        for name, node in self.bench.nodes.items():
            for effect in node.effects[before.get(name, 0) :]:
                self._out += [f"{name} {line}" for line in told(effect)]


def told(effect: Effect) -> Iterator[str]:
    """An effect for people; nothing for heartbeats."""
    match effect:
        case Broadcast(message=Heartbeat()):
            return
        case Broadcast(message=message):
            yield f"→ all: {said(message)}"
        case Sent(peer=peer, message=message):
            yield f"→ {peer}: {said(message)}"
        case Answered(outcome=outcome):
            yield f"answers: {answered(outcome)}"
        case Committed(entries=entries, claims=claims):
            changed = [
                f"{short(e.stamp.origin)}:{e.seq} {_life(e.key, e.record.life)}" for e in entries
            ]
            decided = [f"{d.claim.id.owner.id} {d.state}" for d in claims]
            yield f"commits {', '.join(changed + decided)}"
        case Journaled(level=level, event=event, fields=fields):
            shown = {k: v for k, v in fields.items() if k in ("peer", "origin", "why", "keys")}
            parts = [f"{k}={short(v) if k == 'origin' else v}" for k, v in shown.items()]
            yield " ".join((f"journals {level}: {event}", *parts))


def _life(key: RecordKey, life: int) -> str:
    return f"{key.id}" if life == 1 else f"{key.id} (life {life})"


def answered(outcome: Outcome) -> str:
    """An outcome for people."""
    match outcome:
        case Accepted(stamp=stamp, frontier=frontier):
            return f"accepted {short(stamp.origin)}:{frontier[stamp.origin]}"
        case Replayed(keys=keys):
            return f"replayed {' '.join(key.id for key in keys)}"
        case Refusal(code=code, conflicts=conflicts):
            return f"refused {code} {' '.join(c.id.owner.id for c in conflicts)}".rstrip()


def said(message: Message) -> str:
    """A message for people."""
    match message:
        case Push(bodies=bodies):
            return f"Push {_batches(bodies)}"
        case Pull(wants=wants):
            return f"Pull after {' '.join(f'{short(o)}:{after}' for o, after in wants)}"
        case Page(bodies=bodies, more=more):
            return f"Page {_batches(bodies)}{' and more' if more else ''}"
        case Compare(ranges=ranges, leaf=None):
            return f"Compare {len(ranges)} ranges"
        case Compare(keys=keys):
            return f"Compare {len(keys)} records of a leaf"
        case Fetch(keys=keys):
            return f"Fetch {' '.join(key.id for key in keys)}"
        case States(records=records):
            return f"States {' '.join(record.key.id for record in records)}"
        case Goodbye(reason=reason):
            return f"Goodbye {reason}"
        case Heartbeat():
            return "Heartbeat"


def short(origin: Any) -> str:
    """An origin by its node's name."""
    return str(origin).partition(".")[0]


def _batches(bodies: tuple[bytes, ...]) -> str:
    seqs: dict[Origin, list[int]] = {}
    for body in bodies:
        batch = open_body(body).batch
        seqs.setdefault(batch.origin, []).append(batch.seq)
    spans = (
        f"{short(o)}:{s[0]}" if len(s) == 1 else f"{short(o)}:{s[0]}-{s[-1]}"
        for o, s in seqs.items()
    )
    return " ".join(spans) or "nothing"


def blocks(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """(what happens, what comes of it), block by block; blank lines end what comes of it."""
    above: list[str] = []
    below: list[str] | None = None
    for line in text.splitlines():
        if below is None and line == RULE:
            below = []
        elif below is None:
            above.append(line)
        elif line:
            below.append(line)
        else:
            yield above, below
            above, below = [], None
    if below is not None:
        yield above, below


def replayed(text: str) -> str:
    """The transcript with everything below its lines as it is now."""
    conversation = Conversation()
    out: list[str] = []
    for above, _ in blocks(text):
        out += [*above, RULE, *conversation.block(above), ""]
    return "\n".join(out).rstrip("\n") + "\n"
