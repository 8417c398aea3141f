"""Requests per credential: a token bucket each, told in the headers RateLimit and RateLimit-Policy.

(draft-ietf-httpapi-ratelimit-headers: `RateLimit: "default";r=remaining;t=seconds`.)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from konkordat.api.answers import Header
from konkordat.api.problems import Problem

BUCKETS_MAX: Final = (
    10_000  # credentials of one node; the longest unused is forgotten, that is: full
)
OPERATIONS_PER_REQUEST: Final = 10  # of a batch: what many operations save in overhead they may use


class Bucket:
    """How many requests somebody may still make."""

    __slots__ = ("at_ms", "tokens")

    def __init__(self, tokens: float, at_ms: int) -> None:
        self.tokens = tokens
        self.at_ms = at_ms


class RateLimit:
    """Buckets by name."""

    def __init__(self, per_s: float, burst: int) -> None:
        assert per_s > 0
        assert burst >= 1
        self._per_ms = per_s / 1_000
        self._burst = burst
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        window = max(1, round(burst / per_s))
        self.policy: Header = (b"ratelimit-policy", b'"default";q=%d;w=%d' % (burst, window))

    def take(self, name: str, now_ms: int, cost: float = 1.0) -> Header:
        """Use up a request; the header says what is left. Raises Problem rate_limited.

        A cost beyond the whole bucket empties it and passes, so nothing is impossible for ever.
        """
        bucket = self._bucket(name, now_ms)
        passed_ms = max(0, now_ms - bucket.at_ms)
        bucket.tokens = min(self._burst, bucket.tokens + passed_ms * self._per_ms)
        bucket.at_ms = now_ms
        cost = min(cost, self._burst)
        if bucket.tokens < cost:
            wait_ms = int((cost - bucket.tokens) / self._per_ms) + 1
            raise self._refusal(wait_ms)
        bucket.tokens -= cost
        return self._header(bucket.tokens)

    def refund(self, name: str, now_ms: int, cost: float = 1.0) -> None:
        """Give back what `take` took."""
        bucket = self._bucket(name, now_ms)
        bucket.tokens = min(self._burst, bucket.tokens + cost)

    def _bucket(self, name: str, now_ms: int) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._burst, now_ms)
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
        return bucket

    def _header(self, tokens: float) -> Header:
        full_in_s = int((self._burst - tokens) / self._per_ms / 1_000) + 1
        return (b"ratelimit", b'"default";r=%d;t=%d' % (tokens, full_in_s))

    def _refusal(self, wait_ms: int) -> Problem:
        headers = {"RateLimit": f'"default";r=0;t={max(1, -(-wait_ms // 1_000))}'}
        detail = f"This key may make its next request in {wait_ms} ms."
        return Problem("rate_limited", detail, retry_after_ms=wait_ms, headers=headers)
