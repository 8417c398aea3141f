"""An audit export is believed only when every hash and chain in it is computed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from konkordat.cli.verifying import FAULTS_MAX, verify
from konkordat.kernel.change import NO_HASH, Batch, Change, SealedBatch, Transaction
from konkordat.kernel.hlc import hlc_at
from konkordat.kernel.ids import Group, NodeName, Origin, make_origin, record_key
from konkordat.wire.batches import seal

ZURICH = make_origin(NodeName("zurich"), 1_800_000_000_000, bytes(5))
GENEVA = make_origin(NodeName("geneva"), 1_800_000_000_000, bytes(5))
Lines = list[dict[str, object]]


def sealed(origin: Origin, seq: int, previous: bytes) -> SealedBatch:
    key = record_key("forum", "speakers", f"s{seq}")
    change = Change(key, 1, {Group("name"): b'"Noa"'})
    at = hlc_at(1_800_000_000_000 + seq)
    return seal(Batch(origin, seq, previous, (Transaction(at, (change,), actor="key"),)))


def line(batch: SealedBatch) -> dict[str, object]:
    return {
        "origin": batch.batch.origin,
        "seq": batch.batch.seq,
        "hash": batch.hash.hex(),
        "body": base64.b64encode(batch.body).decode(),
    }


@pytest.fixture
def log() -> Lines:
    """Three batches of each of two nodes, in the order of an export."""
    made: Lines = []
    heads = {GENEVA: NO_HASH, ZURICH: NO_HASH}
    for seq in (1, 2, 3):
        for origin, head in list(heads.items()):
            batch = sealed(origin, seq, head)
            heads[origin] = batch.hash
            made.append(line(batch))
    return made


def faults(lines: Lines) -> list[str]:
    return verify([json.dumps(entry).encode() for entry in lines]).faults


def altered(entry: dict[str, object]) -> dict[str, object]:
    body = base64.b64decode(str(entry["body"])).replace(b"Noa", b"Eve")
    return entry | {"body": base64.b64encode(body).decode()}


def rehashed(entry: dict[str, object]) -> dict[str, object]:
    """Altered, with the hash that fits: the chain must tell."""
    from konkordat.kernel.change import batch_hash

    forged = altered(entry)
    return forged | {"hash": batch_hash(base64.b64decode(str(forged["body"]))).hex()}


def test_a_whole_log_verifies(log: Lines) -> None:
    verdict = verify([json.dumps(entry).encode() for entry in log])
    assert verdict.faults == []
    assert (verdict.form, verdict.lines, verdict.changes) == ("log", 6, 6)
    assert (verdict.batches, verdict.origins) == (6, 2)


@pytest.mark.row("S0-16")
@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (lambda log: log[1:], "comes after batch 0"),
        (lambda log: [*log[:2], *log[3:]], "comes after batch 1"),
        (lambda log: [log[2], *log[:2], *log[3:]], "comes after batch 0"),
        (lambda log: [*log, log[-1]], "comes after batch 3"),
        (lambda log: [log[1], log[0], *log[2:]], "out of order"),
        (lambda log: [altered(log[0]), *log[1:]], "was altered"),
        (lambda log: [rehashed(log[0]), *log[1:]], "does not continue the chain"),
        (lambda log: [log[0] | {"hash": "0" * 64}, *log[1:]], "was altered"),
        (lambda log: [log[0] | {"seq": 7}, *log[1:]], "in truth batch 1"),
        (lambda log: [log[0] | {"origin": ZURICH}, *log[1:]], "in truth"),
        (lambda log: [log[0] | {"body": "%"}, *log[1:]], "cannot be read"),
        (lambda log: [log[0] | {"body": "AAAA"}, *log[1:]], "cannot be read"),
        (lambda log: [*log, {"nonsense": 1}], "no line of an export"),
    ],
)
def test_whatever_is_done_to_a_log_shows(
    tamper: Callable[[Lines], Lines], says: str, log: Lines
) -> None:
    assert says in " ".join(faults(tamper(log)))


def test_no_more_faults_are_told_than_anybody_reads(log: Lines) -> None:
    assert len(faults([log[0]] * 100)) == FAULTS_MAX


def change(hlc: int, origin: str, seq: int, batch: str) -> dict[str, object]:
    return {"hlc": f"{hlc:016x}", "origin": origin, "seq": seq, "batch": batch, "fields": {}}


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([change(1, "a.0", 1, "x"), change(1, "a.0", 1, "x"), change(2, "b.0", 4, "y")], ""),
        ([change(2, "a.0", 1, "x"), change(1, "b.0", 1, "y")], "out of order"),
        ([change(1, "a.0", 1, "x"), change(2, "a.0", 1, "y")], "two hashes"),
        ([change(1, "a.0", 2, "x"), change(2, "a.0", 1, "y")], "after a later one"),
    ],
)
def test_of_a_trail_the_order_is_checked(lines: Lines, fault: str) -> None:
    found = verify([json.dumps(entry).encode() for entry in lines])
    assert found.form == "trail"
    assert fault in " ".join(found.faults)
    assert bool(found.faults) == bool(fault)


def test_an_empty_export_has_no_faults() -> None:
    assert verify([]).faults == []
