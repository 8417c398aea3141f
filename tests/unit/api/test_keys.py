from __future__ import annotations

import pytest

from konkordat.api.keys import (
    ENTROPY_BYTES,
    KEY_CHARS_MAX,
    NO_HASH,
    SECRET_BYTES,
    allows,
    hash_of,
    matches,
    mint,
    parse,
)
from konkordat.kernel.ids import Tenant

ENTROPY = bytes(range(ENTROPY_BYTES))
KEY = mint(Tenant("acme"), ENTROPY)


def test_a_key_names_its_tenant_and_record_and_nothing_stored_gives_it_away() -> None:
    assert KEY.text.startswith("kk_acme_")
    assert parse(KEY.text) == KEY.name
    assert KEY.text.rpartition("_")[2] not in (KEY.hash, repr(KEY), KEY.name.id)
    assert KEY.text not in repr(KEY)


def test_a_secret_has_256_bits_and_each_of_them_counts() -> None:
    assert SECRET_BYTES * 8 >= 256
    keys = {KEY.text}
    for bit in range(ENTROPY_BYTES * 8):
        turned = bytearray(ENTROPY)
        turned[bit // 8] ^= 1 << bit % 8
        keys.add(mint(Tenant("acme"), bytes(turned)).text)
    assert len(keys) == ENTROPY_BYTES * 8 + 1


@pytest.mark.parametrize(
    "tenant", ["a", "my_fest-2027", "x" * 40, "_system", "a_0123456789abcdef_b"]
)
def test_any_tenant_can_be_read_back(tenant: str) -> None:
    assert parse(mint(Tenant(tenant), ENTROPY).text) == (tenant, KEY.name.id)


def test_only_the_key_itself_matches_its_hash() -> None:
    assert matches(KEY.text, KEY.hash)
    assert not matches(KEY.text, NO_HASH)
    assert not matches(KEY.text[:-1] + "0", KEY.hash)
    assert not matches(KEY.text + " ", KEY.hash)
    assert not matches("", KEY.hash)
    assert not matches(KEY.text, "é\ud800")


def test_the_hash_is_what_b2sum_prints() -> None:
    assert hash_of("abc") == "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kk_",
        "Bearer kk_acme_x_y",
        KEY.text.upper(),
        KEY.text + "\n",
        KEY.text.replace("acme", "Acme"),
        KEY.text.replace("acme", ""),
        "kk_" + "a" * KEY_CHARS_MAX,
        "\ud800",
    ],
)
def test_what_is_no_key_is_not_read(text: str) -> None:
    assert parse(text) is None
    assert not matches(text, KEY.hash)


@pytest.mark.parametrize(
    ("scopes", "needed", "may"),
    [
        (["read"], "read", True),
        (["read"], "write", False),
        (["write"], "read", True),
        (["write"], "admin", False),
        (["admin"], "write", True),
        ([], "read", False),
        (["owner"], "read", False),
        (["owner", "read"], "read", True),
    ],
)
def test_a_scope_includes_the_smaller_ones(scopes: list[str], needed: str, may: bool) -> None:
    assert allows(scopes, needed) is may  # type: ignore[arg-type]
