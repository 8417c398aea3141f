"""`docs/errors.md`, made from the table of problems: `python -m konkordat.api.errors_page > docs/errors.md`."""

from __future__ import annotations

import sys
from http import HTTPStatus

from konkordat.api.problems import TABLE

INTRODUCTION = """\
# Errors

<!-- Made by `python -m konkordat.api.errors_page`; a test keeps it equal to the table in the code. -->

Every error, over HTTP and WebSocket, is a problem document (RFC 9457, `application/problem+json`):

```json
{
  "type": "/problems/slot_taken",
  "title": "The place is taken at that time",
  "status": 409,
  "detail": "…",
  "code": "slot_taken",
  "retryable": false,
  "request_id": "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e",
  "errors": [{"code": "slot_taken", "pointer": "/slot", "detail": "…"}],
  "conflicts": [{"type": "sessions", "id": "…", "title": {"de": "…"}, "resource": "room/…", "start": "…", "end": "…"}],
  "alternatives": [{"room": "…", "local_start": "2027-06-01T09:45", "time_zone": "…", "duration_minutes": 45}]
}
```

- Branch on `code`. It never changes its meaning; new codes may come. Never parse `detail`.
- `errors[].pointer` is a JSON pointer into the body, or `?name` for a query parameter.
- `retryable` says that the same request may succeed later or at another node. Repeat writes with the same
  `Idempotency-Key`. `Retry-After` (and `retry_after_ms`) say when.
- `request_id` is in the node's log, in the audit trail as `cause_id`, and in the header `X-Request-Id`.
- A refused request wrote nothing. The exceptions are `internal_error`, `store_failed` and `stopping`, where that is not
  known: repeat with the same `Idempotency-Key`.

| code | status | what happened | what to do | retry |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = [
        f"| `{code}` | {entry.status} {HTTPStatus(entry.status).phrase} | {entry.title} | {entry.remedy} |"
        f" {'yes' if entry.retryable else ''} |"
        for code, entry in sorted(TABLE.items(), key=lambda item: (item[1].status, item[0]))
    ]
    return INTRODUCTION + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
