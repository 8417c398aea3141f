"""Who waits for a decision gets it, whether it came before or after."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

import pytest

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Origin, RecordKey, Tenant, record_key
from konkordat.node import decisions as module
from konkordat.node.decisions import Decisions
from konkordat.replica.messages import Committed
from konkordat.store.port import Reader

pytestmark = pytest.mark.anyio


class Index:
    """The claims that reads see."""

    def __init__(self) -> None:
        self.claims: dict[ClaimId, DecidedClaim] = {}

    def tell(self, name: str, state: ClaimState) -> DecidedClaim:
        id = ClaimId(record_key("acme", "sessions", name), "slot")
        room = Resource(Tenant("acme"), "room/1")
        claim = Claim(id, room, 0, 10, 1, Stamp(Hlc(1), Origin("zurich.1")))
        self.claims[id] = DecidedClaim(claim, state)
        return self.claims[id]

    def claims_of(self, keys: Iterable[RecordKey]) -> dict[RecordKey, list[DecidedClaim]]:
        found: dict[RecordKey, list[DecidedClaim]] = {key: [] for key in keys}
        for id, decided in self.claims.items():
            if id.owner in found:
                found[id.owner].append(decided)
        return found


class Scene:
    def __init__(self) -> None:
        self.index = Index()
        self.decisions = Decisions(cast("Reader", self.index))

    def decide(self, name: str, state: ClaimState) -> None:
        decided = self.index.tell(name, state)
        self.decisions.committed(Committed((), (decided,), {}))

    async def wait(self, *names: str, timeout_s: float = 5.0) -> asyncio.Task[bool]:
        ids = [self.index.tell(name, ClaimState.TENTATIVE).claim.id for name in names]
        task = asyncio.create_task(self.decisions.decided(ids, timeout_s))
        await asyncio.sleep(0)
        return task


@pytest.mark.parametrize("state", [ClaimState.CONFIRMED, ClaimState.DISPLACED, ClaimState.EXPIRED])
async def test_a_decision_ends_the_wait(state: ClaimState) -> None:
    scene = Scene()
    task = await scene.wait("a")
    assert not task.done()
    scene.decide("a", state)
    assert await task
    assert scene.decisions.waiting == 0


async def test_what_was_decided_before_is_not_waited_for() -> None:
    scene = Scene()
    decided = scene.index.tell("a", ClaimState.CONFIRMED)
    assert await scene.decisions.decided([decided.claim.id], 5.0)


async def test_all_claims_are_waited_for() -> None:
    scene = Scene()
    task = await scene.wait("a", "b")
    scene.decide("a", ClaimState.CONFIRMED)
    await asyncio.sleep(0)
    assert not task.done()
    scene.decide("b", ClaimState.DISPLACED)
    assert await task


async def test_time_runs_out() -> None:
    scene = Scene()
    assert not await (await scene.wait("a", timeout_s=0.01))
    assert scene.decisions.waiting == 0


async def test_beyond_the_limit_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 1)
    scene = Scene()
    first = await scene.wait("a")
    assert not await (await scene.wait("b"))
    scene.decide("a", ClaimState.CONFIRMED)
    assert await first


async def test_a_client_that_left_is_forgotten() -> None:
    scene = Scene()
    task = await scene.wait("a")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert scene.decisions.waiting == 0
    scene.decide("a", ClaimState.CONFIRMED)
