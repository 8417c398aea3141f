"""What a node is doing when its machine crashes. Each is short, so that every single step of it can be a crash."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from konkordat.testing.crash.run import Run, Settings
from konkordat.testing.domain import Book, Put, Remove, Together, TrialCommand, booking, item

Story = Callable[[Run], None]


class Scenario(NamedTuple):
    name: str
    story: Story
    settings: Callable[[], Settings] = Settings


def _fresh_start(run: Run) -> None:
    run.open()
    run.write(put(run, "first"))
    run.close()


def _single_commit(run: Run) -> None:
    run.open()
    run.write(put(run, "a"))
    run.write(put(run, "b"), Book(booking("x"), "hall", 10, 20))
    run.write(put(run, "a"))
    run.write(Remove(item("a")))


def _group_commit(run: Run) -> None:
    run.open()
    run.write(*[put(run, f"g{n}") for n in range(12)])
    run.write_with_peer(
        [Book(booking(f"b{n}"), "hall", 10 * n, 10 * n + 15, insists=True) for n in range(6)],
        [put(run, f"p{n}") for n in range(6)],
    )
    run.write_with_peer([put(run, "g1")], [put(run, "g1"), put(run, "p2")])


def _checkpoint(run: Run) -> None:
    run.open()
    for n in range(7):
        run.write(put(run, f"c{n % 4}", 900), put(run, f"c{n}-new"))


def _large_batch(run: Run) -> None:
    run.open()
    run.write(put(run, "small"))
    parts = tuple(put(run, f"l{n:03}", 600) for n in range(90))
    run.write(Together(parts))
    run.write(put(run, "l007"))


def _segment_split(run: Run) -> None:
    run.open()
    names = [f"s{n:02}" for n in range(30)]
    run.random.shuffle(names)
    run.write(*[put(run, name) for name in names[:6]])
    run.write(*[put(run, name) for name in names[6:]])
    run.write(*[Remove(item(name)) for name in names[:4]], put(run, "z"))


def _restart(run: Run) -> None:
    run.open()
    run.write(put(run, "r1"))
    run.close()
    run.open()
    run.write(put(run, "r1"), put(run, "r2"))
    run.write(put(run, "r3"))
    run.close()
    run.open()
    run.write(put(run, "r4"))


def _anything(run: Run) -> None:
    """A life made up by the run's random source."""
    run.open()
    for _ in range(run.random.randint(3, 9)):
        if run.random.random() < RESTART_CHANCE:
            run.close()
            run.open()
        mine = [some_command(run.random) for _ in range(run.random.choice(SIZES))]
        peers = [some_command(run.random) for _ in range(run.random.choice((0, 0, 0, 3)))]
        run.write_with_peer(mine, peers)
    if run.random.random() < RESTART_CHANCE:
        run.close()


RESTART_CHANCE: Final = 0.15
SIZES: Final = (1, 1, 1, 2, 5, 20)
VALUE_CHARS_MAX: Final = 3_000


def put(run: Run, name: str, chars: int = 40) -> Put:
    """Write something new to an item."""
    return Put(item(name), {"title": run.random.randbytes(chars // 2).hex(), "n": 1})


def some_command(random: Random) -> TrialCommand:
    """Any command on a few dozen records."""
    name = f"any{random.randint(0, 40)}"
    kind = random.random()
    if kind < 0.6:
        chars = random.choice((10, 60, VALUE_CHARS_MAX))
        return Put(item(name), {random.choice("abc"): random.randbytes(chars // 2).hex()})
    if kind < 0.8:
        start = random.randint(0, 100)
        return Book(booking(name), "hall", start, start + 10, insists=random.random() < 0.5)
    return Remove(item(name))


SCENARIOS: Final = (
    Scenario("fresh start", _fresh_start),
    Scenario("single commit", _single_commit),
    Scenario("group commit", _group_commit),
    Scenario("commit with checkpoint", _checkpoint, lambda: Settings(checkpoint_pages=30)),
    Scenario("large batch", _large_batch, lambda: Settings(cache_pages=12)),
    Scenario("segment split", _segment_split, lambda: Settings(segment_rows_max=8)),
    Scenario("restart", _restart),
)


def random_scenario(random: Random) -> Scenario:
    """A life that nobody thought of."""
    settings = Settings(
        checkpoint_pages=random.choice((8, 40, 1_000)),
        segment_rows_max=random.choice((4, 16, 512)),
        cache_pages=random.choice((0, 0, 12)),
    )
    return Scenario("anything", _anything, lambda: settings)
