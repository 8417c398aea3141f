"""The node's clock over a wall clock that jumps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from konkordat.node.clock import WallClock

MS = 1_000_000


class Machine:
    """A machine whose two clocks a test moves."""

    def __init__(self) -> None:
        self.wall = 1_000_000 * MS
        self.monotonic = 5 * MS

    def pass_ms(self, ms: int) -> None:
        self.wall += ms * MS
        self.monotonic += ms * MS

    def clock(self) -> WallClock:
        return WallClock(lambda: self.wall, lambda: self.monotonic)


def test_it_shows_the_machines_time() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.pass_ms(250)
    assert clock.now_ms() == 1_000_250


def test_a_jump_forward_shows_at_once() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += 3_600_000 * MS
    assert clock.now_ms() == 4_600_000


def test_set_back_it_goes_on_at_half_speed_until_the_machine_has_caught_up() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall -= 1_000 * MS
    assert clock.now_ms() == 1_000_000
    machine.pass_ms(500)
    assert clock.now_ms() == 1_000_250
    machine.pass_ms(1_500)
    assert clock.now_ms() == 1_001_000  # the machine's own time again
    machine.pass_ms(100)
    assert clock.now_ms() == 1_001_100


@given(st.lists(st.tuples(st.integers(-10_000, 10_000), st.integers(0, 10_000))))
def test_it_never_goes_back_and_never_stands_behind_the_machine(
    steps: list[tuple[int, int]],
) -> None:
    machine = Machine()
    clock = machine.clock()
    last = clock.now_ms()
    for jump_ms, passed_ms in steps:
        machine.wall = max(0, machine.wall + jump_ms * MS)
        machine.pass_ms(passed_ms)
        now = clock.now_ms()
        assert now >= last + passed_ms // 2
        assert now >= machine.wall // MS
        last = now
