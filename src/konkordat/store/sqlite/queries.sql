-- Every statement that the store executes, but for pragmas, transactions and views. A query begins at its
-- `-- name:` line. A line that ends in `-- row` is the template of one row: it is repeated as often as there are
-- rows in one step. `?...` is a list of parameters, as long as wanted.

-- name: put_records
-- New records, and new states of records whose life and parent are what they were: then only the table is written,
-- and neither index is touched.
INSERT INTO records (number, scope, id, parent, life, touched, actor, latest, print, checksum, stamps, fields)
VALUES
(?,?,?,?,?,?,?,?,?,?,?,CAST(? AS TEXT)) -- row
ON CONFLICT (number) DO UPDATE SET
    touched = excluded.touched, actor = excluded.actor, latest = excluded.latest, print = excluded.print,
    checksum = excluded.checksum, stamps = excluded.stamps, fields = excluded.fields

-- name: move_records
-- New states of records that were deleted, made anew or moved to another parent.
INSERT INTO records (number, scope, id, parent, life, touched, actor, latest, print, checksum, stamps, fields)
VALUES
(?,?,?,?,?,?,?,?,?,?,?,CAST(? AS TEXT)) -- row
ON CONFLICT (number) DO UPDATE SET
    parent = excluded.parent, life = excluded.life,
    touched = excluded.touched, actor = excluded.actor, latest = excluded.latest, print = excluded.print,
    checksum = excluded.checksum, stamps = excluded.stamps, fields = excluded.fields

-- name: put_log
INSERT INTO log (position, hash, first_hlc, last_hlc, arrived_ms, body)
VALUES
(?,?,?,?,?,?) -- row

-- name: put_latest
-- For a record that a change was booked for and that it did not change.
UPDATE records SET latest = ? WHERE number = ?

-- name: put_history
INSERT INTO history (number, previous, hlc, origin, seq, position, bound)
VALUES
(?,?,?,?,?,?,?) -- row

-- name: put_answers
INSERT OR REPLACE INTO answers (key_hash, body_hash, origin, seq, position, at_ms)
VALUES
(?,?,?,?,?,?) -- row

-- name: forget_answers
DELETE FROM answers WHERE at_ms < ?

-- name: put_claims
INSERT INTO claims (scope, id, part, tenant, resource, reach, start_ms, until_ms, quantity, hlc, origin, state, against, expires_ms, checksum)
VALUES
(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) -- row
ON CONFLICT (scope, id, part) DO UPDATE SET
    tenant = excluded.tenant, resource = excluded.resource, reach = excluded.reach,
    start_ms = excluded.start_ms, until_ms = excluded.until_ms, quantity = excluded.quantity,
    hlc = excluded.hlc, origin = excluded.origin, state = excluded.state, against = excluded.against,
    expires_ms = excluded.expires_ms, checksum = excluded.checksum

-- name: drop_claim
DELETE FROM claims WHERE scope = ? AND id = ? AND part = ?

-- name: put_origins
INSERT INTO origins (number, origin, seq, head, clock)
VALUES
(?,?,?,?,?) -- row
ON CONFLICT (number) DO UPDATE SET seq = excluded.seq, head = excluded.head, clock = excluded.clock

-- name: put_scopes
INSERT INTO scopes (number, tenant, collection)
VALUES
(?,?,?) -- row

-- name: put_segments
INSERT INTO segments (number, tenant, collection, id, live, live_sum, dead, dead_sum)
VALUES
(?,?,?,?,?,?,?,?) -- row
ON CONFLICT (number) DO UPDATE SET
    live = excluded.live, live_sum = excluded.live_sum, dead = excluded.dead, dead_sum = excluded.dead_sum

-- name: put_meta
INSERT OR REPLACE INTO meta (key, value)
VALUES
(?,?) -- row

-- name: meta
SELECT key, value FROM meta

-- name: origins
SELECT number, origin, seq, head, clock FROM origins

-- name: scopes
SELECT number, tenant, collection FROM scopes

-- name: scopes_between
SELECT number, tenant, collection FROM scopes
WHERE (tenant, collection) >= (?, ?) AND (tenant, collection) <= (?, ?) ORDER BY tenant, collection

-- name: segments
SELECT number, tenant, collection, id, live, live_sum, dead, dead_sum FROM segments ORDER BY tenant, collection, id

-- name: last_numbers
SELECT
    coalesce((SELECT max(number) FROM records), 0), coalesce((SELECT max(number) FROM segments), 0),
    coalesce((SELECT max(number) FROM history), 0),
    coalesce((SELECT bound FROM history ORDER BY number DESC LIMIT 1), 0)

-- name: load
SELECT id, number, parent, life, touched, actor, latest, print, checksum, stamps, CAST(fields AS BLOB)
FROM records WHERE scope = ? AND id IN (?...)

-- name: known
SELECT id, number, parent, life, latest FROM records WHERE scope = ? AND id IN (?...)

-- name: scan
SELECT id, number, parent, life, touched, actor, latest, print, checksum, stamps, CAST(fields AS BLOB)
FROM records INDEXED BY records_by_key
WHERE scope = ? AND id > ? AND (life % 2 = 1 OR ?)
ORDER BY id LIMIT ?

-- name: scan_parent
SELECT id, number, parent, life, touched, actor, latest, print, checksum, stamps, CAST(fields AS BLOB)
FROM records INDEXED BY records_by_parent
WHERE scope = ? AND parent = ? AND id > ? AND (life % 2 = 1 OR ?)
ORDER BY id LIMIT ?

-- name: count
SELECT count(*) FROM records INDEXED BY records_by_parent WHERE scope = ? AND life % 2 = 1

-- name: count_parent
SELECT count(*) FROM records INDEXED BY records_by_parent WHERE scope = ? AND parent = ? AND life % 2 = 1

-- name: prints
-- The upper bound is a blob for "no bound": every text sorts before every blob.
SELECT id, life, print FROM records INDEXED BY records_by_key
WHERE scope = ? AND id >= ? AND id < ?
ORDER BY id LIMIT ?

-- name: batches
-- At least one, then while the bodies before this one fit into the limit. octet_length reads no body.
SELECT position, hash, first_hlc, last_hlc, arrived_ms, body
FROM log
WHERE position > :after AND position <= coalesce((
    SELECT max(position) FROM (
        SELECT position, row_number() OVER running AS row, sum(bytes) OVER running AS size
        FROM (SELECT position, octet_length(body) AS bytes FROM log WHERE position > :after AND position <= :last ORDER BY position LIMIT :limit)
        WINDOW running AS (ORDER BY position ROWS UNBOUNDED PRECEDING)
    ) WHERE row = 1 OR size <= :bytes_max
), :after)
ORDER BY position

-- name: latest
SELECT latest FROM records WHERE scope = ? AND id = ?

-- name: history
-- So many rows of one chain, from a number on.
WITH RECURSIVE chain (number, previous, hlc, origin, seq, position, bound) AS (
    SELECT number, previous, hlc, origin, seq, position, bound FROM history WHERE number = ?
    UNION ALL
    SELECT h.number, h.previous, h.hlc, h.origin, h.seq, h.position, h.bound
    FROM chain AS c CROSS JOIN history AS h ON h.number = c.previous AND h.number < c.number
    LIMIT ?
)
SELECT c.number, c.previous, c.bound, c.hlc, o.origin, c.seq, c.position
FROM chain AS c CROSS JOIN origins AS o ON o.number = c.origin
ORDER BY c.number DESC

-- name: answers
SELECT a.key_hash, a.body_hash, o.origin, a.seq, a.position, a.at_ms
FROM answers AS a JOIN origins AS o ON o.number = a.origin
WHERE a.key_hash IN (?...)

-- name: claims_on
-- Of each length class, only starts within its longest length before a span are read. The classes are those of
-- claims.py, where a test compares them.
WITH
    span (tenant, resource, start_ms, until_ms) AS (VALUES
(?,?,?,?) -- row
    ),
    class (reach, longest_ms) AS (VALUES (0, 1 << 20), (1, 1 << 24), (2, 1 << 28), (3, 1 << 32), (4, 1 << 61))
SELECT DISTINCT c.scope, c.id, c.part, c.tenant, c.resource, c.start_ms, c.until_ms, c.quantity, c.hlc, c.origin, c.state, c.against, c.expires_ms, c.checksum
FROM span CROSS JOIN class CROSS JOIN claims AS c INDEXED BY claims_by_time
    ON c.tenant = span.tenant AND c.resource = span.resource AND c.reach = class.reach
    AND c.start_ms > span.start_ms - class.longest_ms AND c.start_ms < span.until_ms
WHERE c.until_ms > span.start_ms

-- name: taken
-- What overlaps one span, as in claims_on: of each record that claims the largest quantity, added up.
WITH
    span (tenant, resource, start_ms, until_ms) AS (VALUES (?,?,?,?)),
    class (reach, longest_ms) AS (VALUES (0, 1 << 20), (1, 1 << 24), (2, 1 << 28), (3, 1 << 32), (4, 1 << 61))
SELECT coalesce(sum(largest), 0) FROM (
    SELECT max(c.quantity) AS largest
    FROM span CROSS JOIN class CROSS JOIN claims AS c INDEXED BY claims_by_time
        ON c.tenant = span.tenant AND c.resource = span.resource AND c.reach = class.reach
        AND c.start_ms > span.start_ms - class.longest_ms AND c.start_ms < span.until_ms
    WHERE c.until_ms > span.start_ms AND c.state IN (?...)
    GROUP BY c.scope, c.id
)

-- name: claims_of
SELECT scope, id, part, tenant, resource, start_ms, until_ms, quantity, hlc, origin, state, against, expires_ms, checksum
FROM claims INDEXED BY claims_by_owner WHERE scope = ? AND id IN (?...)
ORDER BY id, part

-- name: frontier
SELECT origin, seq FROM origins WHERE seq > 0

-- name: views
SELECT name, sql FROM sqlite_schema WHERE type = 'view'

-- name: every_batch
-- For check, which wants damaged rows too: no body is verified by reading it.
SELECT position, hash, first_hlc, last_hlc, arrived_ms, body FROM log WHERE position > ? ORDER BY position LIMIT ?

-- name: every_record
SELECT number, scope, id, parent, life, touched, actor, latest, print, checksum, stamps, CAST(fields AS BLOB)
FROM records WHERE number > ? ORDER BY number LIMIT ?

-- name: every_history
-- All chains from all records. A number that does not fall ends a chain: a damaged one may run in a circle.
WITH RECURSIVE chain (scope, id, number, previous, hlc, origin, seq, position) AS (
    SELECT r.scope, r.id, h.number, h.previous, h.hlc, h.origin, h.seq, h.position
    FROM records AS r CROSS JOIN history AS h ON h.number = r.latest
    UNION ALL
    SELECT c.scope, c.id, h.number, h.previous, h.hlc, h.origin, h.seq, h.position
    FROM chain AS c CROSS JOIN history AS h ON h.number = c.previous AND h.number < c.number
)
SELECT scope, id, hlc, origin, seq, position FROM chain

-- name: count_history
SELECT count(*), coalesce(sum(bound < hlc), 0), coalesce(sum(previous >= number), 0) FROM history

-- name: every_answer
SELECT key_hash, body_hash, origin, seq, position FROM answers

-- name: every_claim
SELECT scope, id, part, tenant, resource, start_ms, until_ms, quantity, hlc, origin, state, against, expires_ms, checksum FROM claims
