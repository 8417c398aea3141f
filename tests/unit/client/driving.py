"""Drives the sans-I/O core by hand: what it asks for is written down, what comes back is given."""

from __future__ import annotations

from typing import Any

import msgspec

from konkordat.client.core import Core, Failure, Pause, Reply, Send, Steps
from konkordat.client.retry import RetryPolicy
from konkordat.kernel.frontier import token
from konkordat.kernel.ids import Origin

ZURICH, GENEVA, BASEL = "https://zurich.example", "https://geneva.example", "https://basel.example"
LOST = Failure("connection refused")


class Clock:
    """Time that passes only when the core pauses."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def core(
    *urls: str, draw: float = 0.5, key: str = "kk_acme_x", **policy: Any
) -> tuple[Core, Clock]:
    clock = Clock()
    keys = iter(f"idem-{number}" for number in range(1_000))
    made = Core(
        urls or (ZURICH,),
        key,
        retry=RetryPolicy(**policy),
        now=clock,
        draw=lambda: draw,
        new_key=lambda: next(keys),
    )
    return made, clock


class Run:
    """One operation performed with given answers: the requests made, the pauses taken, what it came to."""

    def __init__(self, clock: Clock, steps: Steps[Any], *answers: Reply | Failure) -> None:
        self.sent: list[Send] = []
        self.pauses: list[float] = []
        self.result: Any = None
        self.error: Exception | None = None
        waiting = list(answers)
        got: Reply | Failure | None = None
        while True:
            try:
                wanted = steps.send(got)
            except StopIteration as done:
                self.result = done.value
                break
            except Exception as error:  # noqa: BLE001 - whatever it raises is what the test looks at
                self.error = error
                break
            if isinstance(wanted, Pause):
                self.pauses.append(wanted.seconds)
                clock.now_s += wanted.seconds
                got = None
            else:
                self.sent.append(wanted)
                got = waiting.pop(0) if len(waiting) > 1 else waiting[0]

    @property
    def hosts(self) -> list[str]:
        return [send.url.split("/")[2].split(".")[0] for send in self.sent]


def reply(status: int = 200, body: Any = None, **headers: str) -> Reply:
    raw = msgspec.json.encode(body) if body is not None else b""
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def trouble(status: int, code: str, **more: Any) -> Reply:
    headers = {"retry-after": str(more.pop("retry_after"))} if "retry_after" in more else {}
    document = {"code": code, "detail": f"{code}.", "status": status, **more}
    return Reply(status, headers, msgspec.json.encode(document))


def frontier(**upto: int) -> str:
    return token({Origin(f"{node}.1"): seq for node, seq in upto.items()})
