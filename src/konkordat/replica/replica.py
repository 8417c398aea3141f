"""One whole node, synchronous and deterministic. The only mutator.

`handle` takes everything that is queued and the time; it reads, decides, merges, commits all of it as one transaction,
and only then returns effects. So whatever leaves a node is durable there, by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from konkordat.kernel.change import Batch
from konkordat.kernel.digest import Summary
from konkordat.kernel.frontier import distance
from konkordat.kernel.hlc import Hlc, observe, too_far_ahead
from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.kernel.policy import Policies
from konkordat.kernel.seat import At
from konkordat.protocol.comparison import Comparison, first_id
from konkordat.protocol.exchange import Exchange
from konkordat.protocol.peers import Peers
from konkordat.replica.admission import Admission, OwnHistoryLostError
from konkordat.replica.commit import Commit
from konkordat.replica.domain import Domain
from konkordat.replica.local import LocalWrites, Made
from konkordat.replica.messages import (
    Beat,
    Broadcast,
    Command,
    Effect,
    Input,
    Journaled,
    PeerJoined,
    PeerLeft,
    Received,
    Sent,
    Tick,
    beats_of,
    bodies_of,
)
from konkordat.replica.rosters import Governed
from konkordat.replica.seat_notes import journaled
from konkordat.replica.seating import Seating
from konkordat.replica.serving import page_for, pushes, states_of
from konkordat.replica.settings import DATA_FORMAT, HEARTBEAT_MS, ReplicaSettings
from konkordat.replica.status import ReplicaStatus, peer_view
from konkordat.replica.sums import Sums
from konkordat.store.port import ANSWER_LIFE_MS, Store
from konkordat.wire.messages import (
    Compare,
    Fetch,
    Goodbye,
    Heartbeat,
    Page,
    Pull,
    Push,
    States,
)

FORGET_EVERY_MS: Final = 60_000  # how often old request marks are deleted
# Our clock, or we, made a leap: nothing is forgotten until peers had time to tell whether the clock is right.
LEAP_MS: Final = 10_000
JOINING_BEHIND: Final = 500  # batches; under load some are always on their way


def _nothing_against(_batch: Batch) -> str:
    return ""


class Replica:
    """A node without clock, sockets and threads. Whoever owns it calls `handle` from one thread."""

    def __init__(
        self, store: Store, domain: Domain, policies: Policies, settings: ReplicaSettings
    ) -> None:
        book = store.book
        self._store = store
        self._domain: Domain = domain
        self._policies = policies
        self._settings = settings
        self.node: NodeName = book.node
        self.origin: Origin = book.origin
        self._hlc: Hlc = book.hlc
        self._frontier: dict[Origin, int] = dict(book.frontier)
        self._heads: dict[Origin, bytes] = dict(book.heads)
        self._root: Summary = book.root
        self._peers = Peers()
        self._exchange = Exchange(self._peers)
        self._comparison = Comparison(first_id(book.origin))
        governed = Governed(domain)
        self._domain = governed
        self._sums = Sums()
        self._seating = None
        if settings.members is not None:
            self._seating = Seating(store, governed, book.origin, settings)
            governed.situation = self._seating.knowledge
        refuses = self._seating.refuses if self._seating is not None else _nothing_against
        self._admission = Admission(self._exchange, settings.ahead_ms_max, refuses)
        told = self._seating.said if self._seating is not None else None
        self._local = LocalWrites(store, governed, book.origin, told)
        self._fenced = False
        self._stopping = False
        self._beat_at_ms = 0
        self._now_ms = 0  # of the last call
        self._forget_at_ms = 0
        self._effects: list[Effect] = []

    # The one entry -----------------------------------------------------------------------------

    def handle(self, inputs: Sequence[Input], now_ms: int) -> list[Effect]:
        """Take inputs in, at a time (Unix ms). Returns effects, to be performed in order.

        `now_ms` must not go back from call to call, or deadlines would not come.

        Raises StoreError if the commit could not be made durable, OwnHistoryLostError if a peer has batches of ours
        that we do not have, and ClosedOutError if a roster was forced without us: then nothing of it was acknowledged,
        and the replica must not be used any more.
        """
        self._effects = []
        if now_ms > self._now_ms + LEAP_MS:
            self._forget_at_ms = now_ms + FORGET_EVERY_MS
        self._now_ms = now_ms
        beats = list(beats_of(inputs))
        self._check_own_history(beats)
        commands = [i for i in inputs if isinstance(i, Command)]
        bodies = [(i.peer, bodies_of(i)) for i in inputs if isinstance(i, Received)]
        # Time and acknowledgements may make us say something of seats though nobody writes.
        ticks = any(isinstance(input_, Tick) for input_ in inputs)
        stirred = self._acknowledge(beats, ticks, now_ms)
        self._write(commands, [(p, b) for p, b in bodies if b], now_ms, stirred)
        for input_ in inputs:
            match input_:
                case Received(peer=peer):
                    self._converse(input_, peer, now_ms)
                case PeerJoined(peer=name):
                    self._peer_joined(name)
                case PeerLeft(peer=name):
                    self._peer_left(name)
                case Tick():
                    self._tick(now_ms)
                case Command():
                    pass  # done above, with the commit
                case _:
                    assert_never(input_)
        if bodies:
            self._pull_what_is_due(now_ms)
        return self._effects

    def _check_own_history(self, beats: Sequence[Beat]) -> None:
        """Before anything is written: a write under a number that was used before would be lost."""
        have = self._frontier.get(self.origin, 0)
        for peer, beat in beats:
            told = beat.frontier.get(self.origin, 0)
            if told > have:
                raise OwnHistoryLostError(self.origin, told, peer)

    def _acknowledge(self, beats: Sequence[Beat], ticks: bool, now_ms: int) -> bool:
        """What members have may make decisions of ours final, with the commit that follows. True if it may, or it is
        time to look at seats."""
        if self._seating is None:
            return False
        heard = [
            self._seating.heard(beat, now_ms)
            for peer, beat in beats
            if node_of(beat.origin) == peer != self.node
        ]
        if any(heard):
            return True
        return ticks and self._seating.has_work(now_ms)

    # Commit ------------------------------------------------------------------------------------

    def _write(
        self,
        commands: Sequence[Command],
        bodies: Sequence[tuple[NodeName, tuple[bytes, ...]]],
        now_ms: int,
        stirred: bool,
    ) -> None:
        if not commands and not bodies and not stirred:
            return
        commit = self._new_commit(now_ms)
        frontier, heads = dict(self._frontier), dict(self._heads)
        hlc = self._admit(commit, bodies, frontier, heads, now_ms)
        refusal = self._refusal_of_writes(now_ms) if commands or self._seating else ""
        made = self._local.carry_out(commands, commit, frontier, heads, hlc, refusal)
        if self._seating is not None:
            self._decide(self._seating, commit, made, frontier, heads, willing=not refusal)
        made.look_up_claims()
        if self._seating is not None:
            self._seating.check(frontier)
        if not commit.empty:
            forget = now_ms >= self._forget_at_ms
            write, taken, added = commit.write_set(
                made.hlc, self._oldest_time_ms(now_ms) - ANSWER_LIFE_MS if forget else 0
            )
            sums = commit.claims.sums_after()
            self._store.commit(write)
            # Durable. From here on the new state is ours, and may be told.
            self._sums.adopt(sums)
            self._root = self._root.minus(taken).plus(added)
            self._frontier, self._heads, self._hlc = frontier, heads, made.hlc
            if forget:
                self._forget_at_ms = now_ms + FORGET_EVERY_MS
            self._effects += map(Broadcast, pushes(made.bodies, now_ms))
            self._effects.append(commit.committed(self._frontier))
        self._effects += made.answers(self._frontier)
        self._tell_notes()
        self._tell_seating(now_ms)

    def _new_commit(self, now_ms: int) -> Commit:
        seating = self._seating
        if seating is None:
            return Commit(self._store, self._domain, self._policies, now_ms, None, self._sums)
        roster = seating.machine.roster
        members = frozenset([node_of(member) for member in roster.members])
        return Commit(
            self._store, self._domain, self._policies, now_ms, roster.version, self._sums, members
        )

    def _decide(
        self,
        seating: Seating,
        commit: Commit,
        made: Made,
        frontier: dict[Origin, int],
        heads: dict[Origin, bytes],
        willing: bool,
    ) -> None:
        """Decide what is ours to decide, and bring what may be told of claims up to date."""
        seating.take_changes(commit, frontier)
        if willing:
            entries = seating.transactions(commit, frontier, commit.now_ms)
            self._local.write_own(entries, made, commit, frontier, heads)
        seating.refresh(commit)

    def _tell_seating(self, now_ms: int) -> None:
        """Let holders know at once that we have what they decided; they wait for it."""
        if self._seating is None:
            return
        for name in self._seating.take_owed():
            self._effects.append(Sent(name, self._heartbeat(now_ms)))
        for note in self._seating.take_notes():
            self._effects.append(journaled(note))

    def _admit(
        self,
        commit: Commit,
        bodies: Sequence[tuple[NodeName, tuple[bytes, ...]]],
        frontier: dict[Origin, int],
        heads: dict[Origin, bytes],
        now_ms: int,
    ) -> Hlc:
        """Merge what peers sent and is fit to be applied; returns our clock after it."""
        hlc = self._hlc
        admission = self._admission
        admission.begin(frontier, heads, now_ms)
        for peer, sent in bodies:
            admission.take(sent, peer, self.origin)
        commit.load(c.key for s in admission.taken for t in s.batch.transactions for c in t.changes)
        for sealed in admission.taken:
            batch = sealed.batch
            commit.log(sealed)
            for transaction in batch.transactions:
                commit.merge(transaction, batch.origin, batch.seq)
                if self._seating is not None:
                    self._seating.admitted(transaction, At(batch.origin, batch.seq))
                hlc = observe(hlc, transaction.hlc)
        commit.settle()
        return hlc

    def _refusal_of_writes(self, now_ms: int) -> str:
        """Why local writes are refused now; "" when they are not."""
        if self._stopping:
            return "stopping"
        # Only our own clock, set back, can leave our stamps this far ahead: those of others are taken within the bound.
        ahead = self._peers.alive(now_ms) and too_far_ahead(
            self._hlc, now_ms, self._settings.ahead_ms_max
        )
        fenced = bool(ahead) or self._peers.clock_disagrees(now_ms)
        if fenced != self._fenced:
            self._fenced = fenced
            event = "clock_fenced" if fenced else "clock_unfenced"
            self._journal("error" if fenced else "info", event)
        return "clock" if fenced else ""

    def _oldest_time_ms(self, now_ms: int) -> int:
        """The time by the slowest clock that we know of: what a wrong clock makes us forget cannot be had back."""
        return now_ms + min([0, *self._peers.clocks(now_ms).values()])

    # Conversation ------------------------------------------------------------------------------

    def _converse(self, input_: Received, peer: NodeName, now_ms: int) -> None:
        message = input_.message
        match message:
            case Heartbeat():
                self._heard(peer, message, now_ms)
            case Pull():
                self._send(peer, page_for(message, self._store, self._frontier))
            case Page():
                # Merged above. What is still missing is pulled at the end of this handling.
                self._exchange.answered(peer, message, self._frontier, now_ms)
            case Push():
                pass  # merged above
            case Compare():
                self._compare(peer, message)
            case Fetch():
                self._tell_states(peer, message)
            case States():
                self._repair(peer, message, now_ms)
            case Goodbye():
                self._peer_left(peer)
            case _:
                assert_never(message)

    def _heard(self, name: NodeName, beat: Heartbeat, now_ms: int) -> None:
        peer = self._peers.get(name)
        if peer is None or node_of(beat.origin) != name:
            self._journal("warning", "heartbeat_refused", peer=name, origin=beat.origin)
            return
        first = not peer.alive(now_ms)
        self._peers.heard(peer, beat, self.node, now_ms)
        if first:
            self._journal("info", "peer_heard", peer=name, origin=beat.origin, url=beat.api_url)
            self._beat(now_ms)  # so that a newcomer knows us at once
        self._exchange.heard(beat.frontier, self._frontier, now_ms)
        if beat.root != self._root and dict(beat.frontier) == self._frontier:
            self._mismatch(name, beat, now_ms)

    def _mismatch(self, name: NodeName, beat: Heartbeat, now_ms: int) -> None:
        if beat.data_format != DATA_FORMAT:
            return  # like is compared with like only
        ask = self._comparison.begin(name, self._frontier, self._store, now_ms)
        if ask is not None:
            ours, theirs = self._root.text(), beat.root.text()
            self._journal("error", "digest_mismatch", peer=name, ours=ours, theirs=theirs)
            self._send(name, ask)

    def _compare(self, peer: NodeName, message: Compare) -> None:
        if self._comparison.drives(peer, message.id):
            step = self._comparison.proceed(peer, message, self._frontier, self._store)
            if step is not None:
                self._send(peer, step)
        else:
            for answer in self._comparison.answer(message, self._frontier, self._store):
                self._send(peer, answer)

    def _tell_states(self, peer: NodeName, message: Fetch) -> None:
        found = states_of(message.keys, self._store)
        for key in found.too_large:
            self._journal("error", "record_too_large_to_repair", peer=peer, key="/".join(key))
        self._send(peer, States(message.id, self._frontier, found.records))

    def _repair(self, peer: NodeName, message: States, now_ms: int) -> None:
        """Join a peer's states of records that differ at equal frontiers. No change is made by it: only bookkeeping had
        gone wrong, and the join of both is what both should have had."""
        if not self._comparison.drives(peer, message.id):
            return
        if dict(message.frontier) != self._frontier:
            return
        commit = self._new_commit(now_ms)
        commit.load(r.key for r in message.records)
        repaired = [r.key for r in message.records if commit.restore(r)]
        commit.settle()
        if self._seating is not None:
            self._seating.take_changes(commit, self._frontier)
            self._seating.refresh(commit)
        if commit.empty:
            return
        write, taken, added = commit.write_set(self._hlc, 0)
        self._store.commit(write)
        self._sums.forget()
        self._root = self._root.minus(taken).plus(added)
        self._effects.append(commit.committed(self._frontier))
        names = ["/".join(k) for k in repaired[:8]]
        self._journal("warning", "records_repaired", peer=peer, count=len(repaired), keys=names)

    # Peers and time ------------------------------------------------------------------------------

    def _peer_joined(self, name: NodeName) -> None:
        peer = self._peers.get(name)
        if peer is None:
            self._journal("warning", "peer_refused", peer=name, why="too many peers")
            return
        peer.joined = True
        self._journal("info", "peer_joined", peer=name)

    def _peer_left(self, name: NodeName) -> None:
        peer = self._peers.table.get(name)
        if peer is not None and (peer.joined or peer.heard_ms):
            peer.joined, peer.heard_ms, peer.health = False, 0, "lost"
            self._journal("info", "peer_left", peer=name)

    def _tick(self, now_ms: int) -> None:
        if now_ms >= self._beat_at_ms:
            self._refusal_of_writes(now_ms)  # keeps the fence up to date when nobody writes
            self._admission.release_due(now_ms)
            self._tell_notes()
            self._beat(now_ms)
        self._pull_what_is_due(now_ms)

    def _beat(self, now_ms: int) -> None:
        self._beat_at_ms = now_ms + HEARTBEAT_MS
        self._effects.append(Broadcast(self._heartbeat(now_ms)))

    def _heartbeat(self, now_ms: int) -> Heartbeat:
        settings = self._settings
        return Heartbeat(
            self.origin,
            self._frontier,
            self._root,
            now_ms,
            self._hlc,
            DATA_FORMAT,
            settings.api_url,
            settings.release,
            settings.started_ms,
            self._root.live,
            self.health(now_ms),
            self._peers.clocks(now_ms),
        )

    def _pull_what_is_due(self, now_ms: int) -> None:
        for name, pull in self._exchange.due(self._frontier, now_ms):
            self._send(name, pull)

    def stop(self) -> list[Effect]:
        """Refuse writes from now on, and say goodbye."""
        self._stopping = True
        return [Broadcast(Goodbye("stopped"))]

    # What others may know --------------------------------------------------------------------------

    def health(self, now_ms: int) -> str:
        """Ready | joining (behind what peers say they have, by more than is on its way) | fenced | stopping."""
        if self._stopping:
            return "stopping"
        if self._fenced:
            return "fenced"
        alive = self._peers.alive(now_ms)
        behind = max((distance(self._frontier, p.frontier) for p in alive), default=0)
        return "joining" if behind > JOINING_BEHIND else "ready"

    @property
    def standing(self) -> tuple[Mapping[Origin, int], Summary]:
        """What it has, and the digest of that."""
        return self._frontier, self._root

    def status(self, now_ms: int) -> ReplicaStatus:
        """An immutable view, for other threads."""
        peers = sorted(self._peers.table.values(), key=lambda p: p.name)
        return ReplicaStatus(
            self.origin,
            self._hlc,
            self._frontier,
            self._root,
            self._fenced,
            tuple([peer_view(peer, now_ms) for peer in peers]),
            dict(self._admission.quarantined),
            self._admission.pending_bytes,
            self._seating.view(now_ms) if self._seating is not None else None,
        )

    def _send(self, peer: NodeName, message: Pull | Page | Compare | Fetch | States) -> None:
        self._effects.append(Sent(peer, message))

    def _journal(self, level: str, event: str, **fields: object) -> None:
        self._effects.append(Journaled(level, event, fields))

    def _tell_notes(self) -> None:
        for note in self._admission.notes:
            self._effects.append(Journaled(note.level, note.event, note.fields))
        self._admission.notes.clear()
