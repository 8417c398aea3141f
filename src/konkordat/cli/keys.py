"""`konkordat key …`: the operator's key, made here; keys of tenants, made by the nodes."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from rich import box
from rich.table import Table

from konkordat.api.keys import ENTROPY_BYTES, MintedKey, mint
from konkordat.cli.connection import Connection
from konkordat.cli.exits import ExitCode
from konkordat.cli.output import console_for, emit_json
from konkordat.schedule.keys import SYSTEM_TENANT


class KeyWish(Struct, frozen=True):
    """The key that is asked for."""

    tenant: str
    name: str
    scopes: tuple[str, ...]
    days: int | None  # until it expires


def admin_key() -> MintedKey:
    """A fresh key for an operator."""
    return mint(SYSTEM_TENANT, os.urandom(ENTROPY_BYTES))


def make_admin_key(as_json: bool) -> int:
    """Show a fresh key and its hash; neither is kept."""
    made = admin_key()
    if as_json:
        emit_json({"key": made.text, "hash": made.hash})
        return ExitCode.OK
    console = console_for(as_json)
    console.print("[bold]The key[/], for you. It is shown once:")
    console.print(f"  {made.text}", soft_wrap=True)
    console.print("[bold]Its hash[/], for every node, in its environment or its file:")
    console.print(f"  KONKORDAT_ADMIN_KEY_HASH={made.hash}", soft_wrap=True)
    console.print(f'  [dim]# or:[/] \\[api] admin_key_hash = "{made.hash}"', soft_wrap=True)
    console.print(
        "[dim]The operator administers and has no schedule: konkordat key create makes a tenant's key.[/]"
    )
    return ExitCode.OK


def create_key(connection: Connection, wish: KeyWish, as_json: bool) -> int:
    """Make a tenant's key."""
    request: dict[str, Any] = {
        "tenant": wish.tenant,
        "name": wish.name,
        "scopes": list(wish.scopes),
    }
    if wish.days is not None:
        request["expires_at"] = (datetime.now(UTC) + timedelta(days=wish.days)).isoformat()
    with connection.client() as client:
        made = client.create_key(**request)
    if as_json:
        emit_json(made)
        return ExitCode.OK
    console = console_for(as_json)
    console.print(
        f"A key for tenant [bold]{wish.tenant}[/] ({', '.join(wish.scopes)}). It is shown once:"
    )
    console.print(f"  {made['key']}", soft_wrap=True)
    return ExitCode.OK


def show_keys(connection: Connection, as_json: bool) -> int:
    """List all keys."""
    keys: list[dict[str, Any]] = []
    with connection.client() as client:
        query: dict[str, str] = {}
        while True:
            page = client.keys(**query)
            keys += page["data"]
            if not page.get("next_cursor"):
                break
            query = {"cursor": page["next_cursor"]}
    if as_json:
        emit_json({"keys": keys})
        return ExitCode.OK
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for heading in ("id", "tenant", "scopes", "name", "expires", "state"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        table.add_row(
            *(key["id"], key["tenant"], " ".join(key["scopes"]), key["name"]),
            *(key.get("expires_at") or "never", "revoked" if key.get("revoked") else "valid"),
        )
    console_for(as_json).print(table)
    return ExitCode.OK


def revoke_key(connection: Connection, key_id: str, as_json: bool) -> int:
    """Revoke one key."""
    with connection.client() as client:
        client.revoke_key(key_id)
    if as_json:
        emit_json({"id": key_id, "revoked": True})
    else:
        console_for(as_json).print(
            f"{key_id} is revoked; each node refuses it once the change is there."
        )
    return ExitCode.OK
