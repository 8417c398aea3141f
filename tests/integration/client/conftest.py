"""Two nodes behind real sockets, and clients of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integration.client.serving import Served, nodes
from konkordat.client import AsyncClient, Client, RetryPolicy
from support.api import OPERATOR_KEY

QUICK = RetryPolicy(base_s=0.02, cap_s=0.1, attempts_max=60, elapsed_max_s=15)


@pytest.fixture
def served() -> Iterator[Served]:
    with nodes("zurich", "geneva") as running:
        yield running


@pytest.fixture
def key(served: Served) -> str:
    with Client(served.urls["zurich"], key=OPERATOR_KEY.text) as operator:
        made = operator.create_key(name="trial", tenant="acme", scopes=["read", "write"])
    return str(made["key"])


@pytest.fixture
def client(served: Served, key: str) -> Iterator[Client]:
    """Prefers zurich, knows geneva."""
    with Client(*served.urls.values(), key=key, retry=QUICK) as made:
        yield made


@pytest.fixture
def at(served: Served, key: str) -> Iterator[Callable[[str], Client]]:
    """A client of one node alone."""
    made: list[Client] = []

    def client_of(name: str) -> Client:
        made.append(Client(served.urls[name], key=key, retry=QUICK))
        return made[-1]

    yield client_of
    for client in made:
        client.close()


@pytest.fixture
def new_async(served: Served, key: str) -> Callable[..., AsyncClient]:
    """Makes an async client of the named nodes; the test closes it."""

    def make(*names: str, **options: Any) -> AsyncClient:
        urls = [served.urls[name] for name in names or tuple(served.urls)]
        return AsyncClient(*urls, key=key, retry=QUICK, **options)

    return make


@pytest.fixture
def forum(client: Client) -> dict[str, str]:
    """An event, a room and a speaker; ids by name."""
    venue = client.venues.create({"name": {"de": "Kursaal"}, "time_zone": "Europe/Zurich"})
    event = client.events.create(
        {
            "slug": "forum",
            "name": {"de": "Forum"},
            "time_zone": "Europe/Zurich",
            "start_date": "2027-06-01",
            "end_date": "2027-06-03",
        }
    )
    room = client.rooms.create({"venue": venue["id"], "name": {"de": "Saal"}})
    speaker = client.speakers.create({"name": "Mila"})
    return {"event": event["id"], "room": room["id"], "speaker": speaker["id"]}
