"""Keys, scopes, tenants: who may do what, and that nobody sees what is another's."""

from __future__ import annotations

from typing import Any

import pytest

from konkordat.api import keys
from konkordat.kernel.ids import Tenant
from support.api import OPERATOR_KEY, Caller, Node, Programme, Table, serving

CANARY = "kanarienvogel-8b1f"


def test_without_a_key_nothing_is_shown(node: Node) -> None:
    for path in ("/v2/speakers", "/v2/cluster", "/v2/audit", "/v2/changes", "/v2/keys"):
        answer = node.nobody.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kk_acme_x_y",
        "Basic abc",
        keys.mint(Tenant("acme"), bytes(42)).text,
        keys.mint(Tenant("_system"), bytes(42)).text,
        OPERATOR_KEY.text[:-1] + "0",
        "x" * 10_000,
        "kk_ä",
    ],
)
def test_a_key_that_is_none_is_refused(node: Node, text: str) -> None:
    answer = node.client.get("/v2/speakers", headers={"Authorization": f"Bearer {text}".encode()})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_a_key_with_a_wrong_secret_or_tenant_is_refused(node: Node, acme: Caller) -> None:
    prefix, tenant, id, secret = acme.key.split("_")
    other = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    for wrong in (
        f"{prefix}_{tenant}_{id}_{other}",
        f"{prefix}_bolt_{id}_{secret}",
        f"{prefix}__system_{id}_{secret}",
    ):
        assert Caller(node.client, wrong).get("/v2/speakers").json()["code"] == "unauthenticated"


def test_a_key_is_shown_once_and_stored_nowhere(node: Node) -> None:
    made = node.operator.post("/v2/keys", {"name": "CRM", "tenant": "acme", "scopes": ["read"]})
    text = made.json()["key"]
    assert text.startswith("kk_acme_")
    secret = text.rpartition("_")[2]
    shown = [
        node.operator.get(made.headers["location"]).text,
        node.operator.get("/v2/keys").text,
        node.operator.get("/v2/audit").text,
        str(node.gate.logged),
    ]
    assert not any(secret in page for page in shown)
    assert node.operator.get(made.headers["location"]).json()["scopes"] == ["read"]


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [(["read"], {"read"}), (["write"], {"read", "write"}), (["admin"], {"read", "write", "admin"})],
)
def test_a_scope_allows_what_it_says(node: Node, scopes: list[str], allowed: set[str]) -> None:
    caller = node.key("acme", tuple(scopes))
    asked = {
        "read": caller.get("/v2/speakers"),
        "write": caller.post("/v2/speakers", {"name": "Mila"}),
        "admin": caller.get("/v2/keys"),
    }
    for scope, answer in asked.items():
        if scope in allowed:
            assert answer.status_code < 300
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


def test_a_revoked_key_is_refused_at_once_here_and_soon_everywhere(
    table: Table, node: Node, geneva: Node
) -> None:
    caller = node.key("acme")
    table.deliver()
    there = geneva.caller(caller)
    assert there.get("/v2/speakers").status_code == 200
    id = caller.key.split("_")[2]
    assert node.operator.delete(f"/v2/keys/{id}").status_code == 204
    refused = caller.get("/v2/speakers")
    assert (refused.status_code, refused.json()["code"]) == (401, "key_revoked")
    table.deliver()
    geneva.settle()
    assert there.get("/v2/speakers").json()["code"] == "key_revoked"
    # Who does not have the whole key does not learn that there was one.
    wrong = Caller(node.client, caller.key[:-1] + ("0" if caller.key[-1] != "0" else "1"))
    assert wrong.get("/v2/speakers").json()["code"] == "unauthenticated"


def test_a_revoked_key_stays_revoked(node: Node) -> None:
    caller = node.key("acme")
    id = caller.key.split("_")[2]
    for _ in range(2):
        assert node.operator.delete(f"/v2/keys/{id}").status_code == 204
    assert node.operator.get(f"/v2/keys/{id}").json()["revoked"] is True


def test_a_key_expires(node: Node) -> None:
    caller = node.key("acme", expires_at="2027-06-01T00:00:00+02:00")
    assert caller.get("/v2/speakers").status_code == 200
    node.gate.clock_ms = 1_811_800_800_000  # 2027-05-31T22:00:00Z
    assert caller.get("/v2/speakers").json()["code"] == "key_expired"


def test_an_expiry_in_the_past_is_refused(node: Node) -> None:
    wish = {"name": "x", "tenant": "acme", "expires_at": "2020-01-01T00:00:00Z"}
    assert node.operator.post("/v2/keys", wish).json()["errors"][0]["pointer"] == "/expires_at"


def test_administrators_keep_the_keys_of_their_own_tenant(node: Node) -> None:
    admin, other = node.key("acme", ("admin",)), node.key("bolt", ("admin",))
    made = admin.post("/v2/keys", {"name": "CRM"})
    assert made.json()["tenant"] == "acme"
    assert made.json()["created_by"] == admin.key.split("_")[2]
    assert admin.post("/v2/keys", {"name": "CRM", "tenant": "bolt"}).status_code == 403
    path = made.headers["location"]
    for answer in (other.get(path), other.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert {key["tenant"] for key in other.get("/v2/keys").json()["data"]} == {"bolt"}
    assert {key["tenant"] for key in node.operator.get("/v2/keys").json()["data"]} == {
        "acme",
        "bolt",
    }


def test_keys_come_in_pages(node: Node) -> None:
    for number in range(5):
        node.operator.post("/v2/keys", {"name": f"K{number}", "tenant": "acme"})
    found, query = [], "?limit=2"
    while True:
        page = node.operator.get(f"/v2/keys{query}").json()
        found += [key["id"] for key in page["data"]]
        if not page["has_more"]:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert len(found) == len(set(found)) == 5


def test_the_operator_has_no_schedule_and_no_tenant_reads_keys(node: Node, acme: Caller) -> None:
    batch = {"operations": [{"op": "create", "type": "speakers", "data": {"name": "Mila"}}]}
    for answer in (
        node.operator.get("/v2/speakers"),
        node.operator.get("/v2/changes?since=kA"),
        node.operator.post("/v2/speakers", {"name": "Mila"}),
        node.operator.post("/v2/batch", batch),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert acme.get("/v2/api_keys").status_code == 404


def test_a_key_in_the_address_is_refused_with_a_reason(node: Node, acme: Caller) -> None:
    for name in ("api_key", "access_token", "key", "Authorization"):
        answer = node.nobody.get(f"/v2/speakers?{name}={acme.key}")
        assert (answer.status_code, answer.json()["code"]) == (400, "credential_in_query")
        assert acme.key not in answer.text


@pytest.mark.row("S0-19")
def test_one_tenant_sees_nothing_of_another(node: Node) -> None:
    """I6: a canary in every place where a tenant can leave something, and every way of reading tried by another."""
    acme, bolt = node.key("acme"), node.key("bolt")
    forum = Programme(acme)
    session = acme.post(
        "/v2/sessions",
        forum.session(CANARY, slot=forum.slot(), speakers=[forum.speaker], track=CANARY),
        headers={"Idempotency-Key": CANARY},
    ).json()
    acme.patch(f"/v2/sessions/{session['id']}", {"track": CANARY + "-2"})
    token = acme.get("/v2/sessions").json()["sync_token"]
    seen: list[Any] = []
    for type_, id in (
        ("sessions", session["id"]), ("rooms", forum.room), ("events", forum.event), ("speakers", forum.speaker),
    ):  # fmt: skip
        tries = [
            bolt.get(f"/v2/{type_}/{id}"),
            bolt.get(f"/v2/{type_}/{id}/history"),
            bolt.patch(f"/v2/{type_}/{id}", {}),
            bolt.delete(f"/v2/{type_}/{id}"),
        ]
        assert {(a.status_code, a.json()["code"]) for a in tries} == {(404, "not_found")}
        seen += tries
    zero = "kA"  # the token of having seen nothing
    seen += [
        bolt.get("/v2/sessions"),
        bolt.get(f"/v2/sessions?event={forum.event}"),
        bolt.get(f"/v2/changes?since={zero}"),
        bolt.get(f"/v2/sessions/changes?since={token}"),
        bolt.get(f"/v2/events/{forum.event}/schedule.xml"),
        bolt.get(f"/v2/events/{forum.event}/clashes"),
        bolt.get("/v2/audit"),
        bolt.get("/v2/cluster"),
        node.nobody.get("/metrics"),
        # The same body under the same key, and a slot in the other's room.
        bolt.post(
            "/v2/sessions", forum.session(slot=forum.slot()), headers={"Idempotency-Key": CANARY}
        ),
        bolt.put(f"/v2/speakers/{forum.speaker}", {"name": "Eve"}),
    ]
    pages = [answer.text for answer in seen]
    assert not any(CANARY in page or "Kursaal" in page or "Mila" in page for page in pages)
    # What the other made under the same id is its own.
    assert acme.get(f"/v2/speakers/{forum.speaker}").json()["name"] == "Mila"
    assert CANARY in acme.get(f"/v2/changes?since={zero}").text


def test_every_answer_carries_the_security_headers(node: Node, acme: Caller) -> None:
    for answer in (
        acme.get("/v2/speakers"),
        node.nobody.get("/nowhere"),
        node.nobody.get("/livez"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert (
            answer.headers["content-security-policy"]
            == "default-src 'none'; frame-ancestors 'none'"
        )
        assert "no-store" in answer.headers["cache-control"]
        assert "access-control-allow-origin" not in answer.headers


def test_a_callers_request_id_is_kept_if_it_is_fit(acme: Caller) -> None:
    made = acme.post("/v2/speakers", {"name": "Mila"}, headers={"X-Request-Id": "crm-17"})
    assert made.headers["x-request-id"] == "crm-17"
    assert '"cause_id":"crm-17"' in acme.get("/v2/audit").text
    unfit = acme.get("/v2/speakers", headers={"X-Request-Id": "a b"})
    assert unfit.headers["x-request-id"] != "a b"


def test_the_trace_of_a_request_stays_with_its_change(acme: Caller) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    path = acme.post("/v2/speakers", {"name": "Mila"}, headers={"traceparent": trace}).headers[
        "location"
    ]
    assert acme.get(f"{path}/history").json()["data"][0]["trace"] == trace


def test_too_many_requests_are_told_when_to_come_back(table: Table) -> None:
    with serving(table["zurich"], rate_per_s=0.5, rate_burst=4) as node:
        caller = node.key("acme")
        answers = [caller.get("/v2/speakers") for _ in range(6)]
        assert [a.status_code for a in answers] == [200] * 4 + [429] * 2
        assert answers[0].headers["ratelimit-policy"] == '"default";q=4;w=8'
        assert answers[0].headers["ratelimit"].startswith('"default";r=3;')
        assert answers[4].json()["code"] == "rate_limited"
        assert answers[4].headers["retry-after"] == "2"
        node.gate.clock_ms += 2_100
        assert caller.get("/v2/speakers").status_code == 200
        assert node.key("bolt").get("/v2/speakers").status_code == 200  # others have their own


def test_browsers_may_call_from_the_pages_that_the_operator_named(table: Table) -> None:
    with serving(table["zurich"], cors_origins=("https://planner.example",)) as node:
        ask = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        allowed = node.client.options(
            "/v2/speakers", headers={"Origin": "https://planner.example", **ask}
        )
        assert allowed.headers["access-control-allow-origin"] == "https://planner.example"
        refused = node.client.options(
            "/v2/speakers", headers={"Origin": "https://evil.example", **ask}
        )
        assert "access-control-allow-origin" not in refused.headers
