"""The scenes. Each does something, shows it, and checks that it came out as promised."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from konkordat.cli.demo.cast import Actor, Cast, Refused, Written
from konkordat.cli.demo.choices import Booked, Choices
from konkordat.cli.demo.eyes import all_decided, all_see
from konkordat.cli.demo.names import Names
from konkordat.cli.demo.stage import Stage
from konkordat.cli.demo.words import counted, few, listed, quoted
from konkordat.cli.figures import Spread, spread_of
from konkordat.cli.output import thousands
from konkordat.cli.reports import figures_line, refused_table
from konkordat.schedule.interchange.plan import ImportPlan

SEEN_S_MAX: Final = 10.0  # milliseconds as a rule; then the promise is broken
AGREE_S_MAX: Final = 30.0
EDITS: Final = 100  # enough for a percentile, in two seconds
EDITS_PER_S: Final = 50.0
QUEUED_EDITS: Final = 25  # on each side of the cut, besides those that are looked at
SHOWN_REFUSED: Final = 3
SHOWN_FREE: Final = 3
CUT_HOLDS_S: Final = 2.0  # on a terminal, so that the lag is seen to grow


class Figures(dict[str, Any]):
    """What `--json` prints, filled in scene by scene."""


class Scenes:
    """One performance."""

    def __init__(self, stage: Stage, cast: Cast, plan: ImportPlan, choices: Choices) -> None:
        self.stage = stage
        self.cast = cast
        self.plan = plan
        self.choices = choices
        self.names = Names(plan)
        self.figures = Figures()

    # ---- 1

    async def meet(self) -> None:
        """They know one address, and find each other."""
        cast, stage = self.cast, self.stage
        names = cast.names
        stage.scene(f"{counted(len(names))} nodes find each other")
        stage.say(
            f"Each is a process with a database file of its own. {escape(names[0])} starts alone;"
            " the others are told its address, and nothing else."
        )
        took_s = await cast.start()
        met = await cast.all_meet(AGREE_S_MAX)
        self.figures |= {"nodes": len(names), "started_s": round(took_s, 2)}
        stage.expect(
            "nodes_met",
            met,
            f"{listed(names)} all know each other, {took_s:.1f} s after the first one was started",
        )

    # ---- 2

    async def arrive(self) -> None:
        """A programme is imported at one node, and arrives at all."""
        cast, stage, report = self.cast, self.stage, self.plan.report
        stage.scene(f"A programme is imported at {cast.home.name}, and arrives everywhere")
        stage.say(f"[bold]{escape(report.title)}[/]: {figures_line(report)}")
        started = time.perf_counter()
        with stage.progress() as bars:
            watching = asyncio.create_task(self._watch_arrival(bars))
            try:
                refused = await cast.home.write_plan(self.plan)
                await cast.all_reach(cast.home.token, AGREE_S_MAX)
                import_s = time.perf_counter() - started
                await cast.all_show(report.sessions, AGREE_S_MAX)
            finally:
                watching.cancel()
        counts = {name: await actor.count("sessions") for name, actor in cast.actors.items()}
        rooms = await cast.away.count("rooms")
        clashes = await cast.away.speaker_clashes(self.plan.event_id)
        self.figures |= {
            "event": report.event,
            "sessions": min(counts.values()),
            "rooms": rooms,
            "speakers": report.speakers,
            "slots_refused": refused,
            "speaker_clashes": clashes,
            "import_s": round(import_s, 3),
        }
        await cast.all_agree(AGREE_S_MAX)  # seats go on opening terms for what came
        stage.show_board()
        stage.expect(
            "imported",
            set(counts.values()) == {report.sessions} and rooms == report.rooms,
            f"{thousands(report.sessions)} sessions and {rooms} rooms are at all {len(counts)} nodes,"
            f" {import_s:.2f} s after the import began",
        )
        foreseen = (len(report.slots_refused), len(report.speaker_clashes))
        stage.expect(
            "clashes_found",
            (refused, clashes) == foreseen,
            f"reported, nothing dropped: {few(refused, 'session')} without its slot, since an earlier one"
            f" has the room; {few(clashes, 'pair')} of overlapping sessions with a speaker in both",
        )
        if report.findings:
            stage.say(
                f"[dim]{few(len(report.findings), 'finding')} in the file; konkordat import lists them[/]"
            )
        if 0 < refused <= SHOWN_REFUSED:
            stage.table(refused_table(report))

    async def _watch_arrival(self, bars: Any) -> None:
        while True:
            for name, eye in self.cast.eyes.items():
                bars(name, len(eye.sessions), self.plan.report.sessions)
            await asyncio.sleep(0.05)

    # ---- 3

    async def spread(self) -> None:
        """A change at one node is seen at all others, in milliseconds."""
        cast, stage, session = self.cast, self.stage, self.choices.edited
        writer = cast.writer
        stage.scene(f"A change at {writer.name} is seen everywhere")
        new_title = f"{session.title} (new title)"
        sent = time.perf_counter()
        written = await writer.patch(
            "sessions", session.id, {"title": {session.language: new_title}}
        )
        seen = await all_see(cast.eyes.values(), session.id, written.version, SEEN_S_MAX)
        stage.say(f"{quoted(session.title)} → {quoted(new_title)}")
        told = ", ".join(
            f"{name} [bold]{(at - sent) * 1000:.1f}[/] ms"
            for name, at in sorted(seen.items(), key=lambda entry: entry[1])
        )
        titles = {
            (await actor.read("sessions", session.id))["title"].get(session.language)
            for actor in cast.actors.values()
        }
        stage.expect("change_seen", titles == {new_title}, f"seen at {told} after it was sent")
        visible = await self._many_changes()
        self.figures["visible_ms"] = {"p50": visible.p50, "p99": visible.p99, "max": visible.max}
        stage.expect(
            "changes_seen",
            visible.count == EDITS * (len(cast.names) - 1),
            f"{EDITS} more at {EDITS_PER_S:.0f}/s, each seen at the {len(cast.names) - 1} others: p50"
            f" [bold]{visible.p50:.1f}[/] ms, p99 [bold]{visible.p99:.1f}[/] ms, max {visible.max:.1f} ms",
        )

    async def _many_changes(self) -> Spread:
        """Milliseconds from sending a change to seeing it, for every change and other node."""
        writer = self.cast.writer
        others = [eye for name, eye in self.cast.eyes.items() if name != writer.name]
        sessions = [self.choices.edited, *self.choices.others]
        delays_ms: list[float] = []

        async def one(number: int, due: float) -> None:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            session = sessions[number % len(sessions)]
            written = await writer.patch("sessions", session.id, {"track": f"track {number}"})
            seen = await all_see(others, session.id, written.version, SEEN_S_MAX)
            # From the moment it was planned for: a request that waits for the one before it counts its wait.
            delays_ms.extend((at - due) * 1000 for at in seen.values())

        started = time.perf_counter() + 0.05
        async with asyncio.TaskGroup() as tasks:
            for number in range(EDITS):
                tasks.create_task(one(number, started + number / EDITS_PER_S))
        return spread_of(delays_ms)

    # ---- 4

    async def refuse(self) -> None:
        """A room that is taken cannot be booked a second time."""
        cast, stage, taken = self.cast, self.stage, self.choices.taken
        assert taken.slot is not None
        stage.scene(f"A second booking of a taken room is refused at {cast.booker.name}")
        body = {
            "event": self.choices.event_id,
            "title": {"en": "A talk that came too late"},
            "slot": taken.slot,
        }
        answer = await cast.booker.create("sessions", body)
        if isinstance(answer, Written):
            stage.expect("room_refused", False, "the room was given away twice")
            return
        named = [quoted(self.names.of(conflict["id"])) for conflict in answer.conflicts]
        detail = escape(self.names.put_into(answer.detail))
        stage.say(f"[yellow]{answer.status} {answer.code}[/]  {detail}")
        stage.expect(
            "room_refused",
            answer.code == "slot_taken" and any(c.get("id") == taken.id for c in answer.conflicts),
            f"refused, naming {listed(named)}; nothing was written",
        )
        if answer.alternatives:
            stage.say(f"[dim]free instead: {escape(self._places(answer.alternatives))}[/]")

    def _places(self, slots: list[dict[str, Any]]) -> str:
        """Room by room: Grosse Halle at 09:45, 10:45; with the date where it is another day."""
        taken = self.choices.taken.slot or {}
        today = f"{taken.get('local_start', '')[:10]}T"
        times: dict[str, list[str]] = {}
        for slot in slots[:SHOWN_FREE]:
            room = self.names.of(slot.get("room", ""))
            start = slot.get("local_start", "").removeprefix(today).replace("T", " ")
            times.setdefault(room, []).append(start)
        return "; ".join(f"{room} at {', '.join(starts)}" for room, starts in times.items())

    # ---- 5

    async def part(self) -> None:
        """One node is cut off, both sides go on, and it comes back."""
        cast, stage, contested = self.cast, self.stage, self.choices.contested
        far, near = cast.cut_off, cast.home
        stage.scene(f"{far.name.capitalize()} is cut off, and both sides go on")
        await cast.cut()
        alone = await cast.is_apart(AGREE_S_MAX)
        stage.expect("cut_off", alone, f"{far.name} hears nobody, and nobody hears {far.name}")
        here = await self._edit(
            near, contested, {"title": {contested.language: _retitled(contested, near)}}
        )
        there = await self._edit(
            far, contested, {"title": {contested.language: _retitled(contested, far)}}
        )
        await self._edit(near, contested, {"track": f"as {near.name} has it"})
        await self._edit(
            far, contested, {"subtitle": {contested.language: f"as {far.name} has it"}}
        )
        await self._queue(near)
        await self._queue(far)
        first, second = await self._book_both(near, far)
        looks = {actor.name: await cast.digest(actor.name) for actor in (near, far)}
        stage.say(
            f"on both sides: the title of {quoted(contested.title)}; on one side each: its track and its"
            f" subtitle, {QUEUED_EDITS} more sessions; one free room booked twice"
        )
        stage.show_board()
        await stage.pause(CUT_HOLDS_S)
        await self._check_promises(first, second)
        stage.expect(
            "both_sides_wrote",
            looks[near.name] != looks[far.name],
            f"both sides took every write; their digests differ: {looks[near.name]}, {looks[far.name]}",
        )
        await self._return(here, there, first, second)

    async def _edit(self, actor: Actor, session: Booked, patch: dict[str, Any]) -> Written:
        return await actor.patch("sessions", session.id, patch)

    async def _queue(self, actor: Actor) -> None:
        for number in range(QUEUED_EDITS):
            session = self.choices.others[number % len(self.choices.others)]
            await self._edit(actor, session, {"track": f"{actor.name} {number}"})

    async def _book_both(self, near: Actor, far: Actor) -> tuple[Written, Written]:
        """The same free room, booked on both sides: neither can know of the other."""
        booked = []
        for actor in (near, far):
            body = {
                "event": self.choices.event_id,
                "title": {"en": f"Booked at {actor.name} during the cut"},
                "slot": self.choices.free_slot,
            }
            answer = await actor.create("sessions", body)
            if isinstance(answer, Refused):
                raise answer.as_error(f"booking a free room at {actor.name}")
            booked.append(answer)
        return booked[0], booked[1]

    async def _check_promises(self, first: Written, second: Written) -> None:
        """Who is cut off from the seat promises nothing."""
        near, far = self.cast.home, self.cast.cut_off
        await all_decided([self.cast.eyes[near.name]], [first.id], SEEN_S_MAX)
        kept = (await near.read("sessions", first.id))["slot"]["state"]
        open_ = (await far.read("sessions", second.id))["slot"]["state"]
        self.stage.expect(
            "room_promised_once",
            (kept, open_) == ("confirmed", "tentative"),
            f"the room that both booked: confirmed at {near.name}, which holds its seat; tentative at"
            f" {far.name}, which promises nothing",
        )

    async def _return(self, here: Written, there: Written, first: Written, second: Written) -> None:
        cast, stage, contested = self.cast, self.stage, self.choices.contested
        far = cast.cut_off
        started = time.perf_counter()
        await cast.mend()
        agreed = await cast.all_agree(AGREE_S_MAX)
        took_s = time.perf_counter() - started
        stage.show_board()
        self.figures |= {"healed_s": round(took_s, 3), "converged": agreed, "digests_equal": agreed}
        stage.expect(
            "converged",
            agreed,
            f"{far.name} is back: its queue is replayed, and all digests are equal {took_s:.1f} s after"
            " the line was mended",
        )
        await self._check_merge(contested, here, there)
        await all_decided(cast.eyes.values(), (first.id, second.id), SEEN_S_MAX)
        await self._check_claims(first, second)

    async def _check_merge(self, session: Booked, here: Written, there: Written) -> None:
        """One field, written on both sides: the later stamp. Other fields: each side's."""
        far, near = self.cast.cut_off, self.cast.home
        records = [await actor.read("sessions", session.id) for actor in self.cast.actors.values()]
        title = there.data["title"][session.language]
        as_wished = all(
            record["title"].get(session.language) == title
            and record["track"] == f"as {near.name} has it"
            and record["subtitle"].get(session.language) == f"as {far.name} has it"
            for record in records
        )
        self.stage.expect(
            "merged",
            as_wished,
            f"the later title won, {quoted(title)}; the track of {near.name} and the subtitle of"
            f" {far.name} are both there",
        )
        self.lost_title = here.data["title"][session.language]

    async def _check_claims(self, first: Written, second: Written) -> None:
        """One room, booked on both sides: what was confirmed stays, alike everywhere."""
        states = set()
        for actor in self.cast.actors.values():
            kept = (await actor.read("sessions", first.id))["slot"]["state"]
            lost = (await actor.read("sessions", second.id))["slot"]
            named = [claim["id"] for claim in lost.get("reason", {}).get("claims", ())]
            states.add((kept, lost["state"], first.id in named))
        self.stage.expect(
            "claims_decided",
            states == {("confirmed", "displaced", True)},
            "what was confirmed stays confirmed; the other booking is displaced with the reason, alike on"
            " every node",
        )

    # ---- 6

    async def remember(self) -> None:
        """What lost is not lost."""
        cast, stage, contested = self.cast, self.stage, self.choices.contested
        stage.scene("The value that lost is still in the record's history")
        entries = await cast.away.history("sessions", contested.id)
        group = f"title.{contested.language}"
        titles = [entry for entry in entries if group in entry.fields]
        rows = Table.grid(padding=(0, 2))
        for entry in titles:
            value = str(entry.fields[group])
            mark = Text("lost", "yellow") if value == self.lost_title else Text("")
            rows.add_row(Text(entry.at[11:23], "dim"), entry.node, mark, Text(value))
        stage.table(rows)
        stage.expect(
            "loser_in_history",
            any(entry.fields[group] == self.lost_title for entry in titles),
            f"{quoted(self.lost_title)} can be read, and restored, at {cast.away.name}",
        )

    # ---- 7

    async def audit(self) -> None:
        """The audit trails are the same bytes."""
        cast, stage = self.cast, self.stage
        stage.scene("The audit trail is the same at every node, byte for byte")
        trails = {name: await actor.audit() for name, actor in cast.actors.items()}
        for name, trail in trails.items():
            stage.say(
                f"{name:<8} [dim]sha256[/] {trail.sha256[:32]}…  {thousands(trail.lines)} lines,"
                f" {thousands(trail.size / 1024)} KiB"
            )
        equal = len({trail.sha256 for trail in trails.values()}) == 1
        self.figures |= {"audit_equal": equal, "audit_lines": next(iter(trails.values())).lines}
        stage.expect("audit_equal", equal, f"{len(trails)} exports, one hash")


def _retitled(session: Booked, actor: Actor) -> str:
    return f"{session.title} ({actor.name})"
