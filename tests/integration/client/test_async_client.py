"""The async twin: the same core, another shell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from integration.client.serving import Served
from konkordat.client import AsyncClient, CaughtUp, Change, Conflict, Gap, StreamItem
from konkordat.schedule.sample import sample_programme

pytestmark = pytest.mark.anyio
New = Callable[..., AsyncClient]


async def test_records_lists_history_and_changes(new_async: New) -> None:
    async with new_async() as client:
        since = client.token
        made = await client.speakers.create({"name": "Mila"})
        await client.speakers.update(made["id"], {"name": "Mila K."})
        assert (await client.speakers.get(made["id"]))["name"] == "Mila K."
        assert [one["id"] async for one in client.speakers.list()] == [made["id"]]
        assert len((await client.speakers.history(made["id"]))["data"]) == 2
        assert (await client.speakers.changes(since or client.token)).has_more is False
        with pytest.raises(Conflict) as caught:
            await client.speakers.create({"id": made["id"], "name": "Noch eine"})
        assert caught.value.code == "already_exists"
        await client.speakers.delete(made["id"])


async def test_many_requests_at_once_share_one_client_and_lose_no_token(new_async: New) -> None:
    async with new_async() as client:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(client.speakers.create({"name": f"S{number}"}))
                for number in range(40)
            ]
        made = {task.result()["id"] for task in running}
        async with new_async("geneva") as geneva:
            geneva.token = client.token
            assert {one["id"] async for one in geneva.speakers.list()} == made


@pytest.mark.row("S0-32")
async def test_a_stream_goes_on_at_another_node(served: Served, new_async: New) -> None:
    async with new_async() as watcher, new_async("geneva") as writer:
        async with aclosing(watcher.stream(types=["speakers"])) as stream:
            assert isinstance(await anext(stream), CaughtUp)
            await asyncio.to_thread(served.stop, "zurich")
            made = (await writer.speakers.create({"name": "Mila"}))["id"]
            seen: list[StreamItem] = []
            while not any(isinstance(one, Change) for one in seen):
                seen.append(await anext(stream))
        assert [one.id for one in seen if isinstance(one, Change)] == [made]
        assert any(isinstance(one, Gap) for one in seen)


async def test_a_stream_that_nobody_reads_any_more_is_closed(
    served: Served, new_async: New
) -> None:
    async with new_async("zurich") as client:
        for _ in range(3):
            async with aclosing(client.stream()) as stream:
                assert isinstance(await anext(stream), CaughtUp)
        told = await _told_within(0.2, client)
        assert [type(one) for one in told] == [CaughtUp]
        await client.speakers.create({"name": "Still here"})


async def test_closing_a_client_ends_what_another_task_reads(
    served: Served, new_async: New
) -> None:
    client = new_async("zurich")
    stream = client.stream()
    assert isinstance(await anext(stream), CaughtUp)

    async def read_on() -> list[StreamItem]:
        return [one async for one in stream]

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(read_on())
        await asyncio.sleep(0.05)
        await client.close()
    assert reader.result() == []


async def test_an_import_while_others_watch(new_async: New) -> None:
    async with new_async("zurich") as writer, new_async("geneva") as watcher:
        result = await writer.import_programme(sample_programme(), name="sample.xml")
        assert result.failed == []
        assert result.slots_refused
        assert result.speaker_clashes
        watcher.token = writer.token
        count = len([one async for one in watcher.sessions.list(event=result.event, limit="200")])
        assert count == result.sessions
        assert b"BEGIN:VCALENDAR" in await watcher.export(result.event, "ics")
        mine = b"".join([piece async for piece in writer.audit()])
        theirs = b"".join([piece async for piece in watcher.audit()])
        assert mine == theirs


async def _told_within(seconds: float, client: AsyncClient) -> list[StreamItem]:
    """What a stream tells until its reader has had enough."""
    told: list[StreamItem] = []
    try:
        async with asyncio.timeout(seconds), aclosing(client.stream()) as stream:
            async for one in stream:
                told += [one]
    except TimeoutError:
        return told
    raise AssertionError("a stream does not end by itself")
