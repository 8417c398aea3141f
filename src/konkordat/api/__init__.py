"""The HTTP and WebSocket API of a node. It asks the node through `gate` alone.

a request       front (the door) · call (what was asked) · auth, keys, ratelimit · consistency · idempotency
                answers (bytes to send) · problems, refusals (all of them) · settings, counts
records         resources · bodies, decoding (in) · views (out) · writing (commands and outcomes) · batch · history
places          placed, ends (what became of a slot, and when) · free, alternatives, instead (what is free) · overbooked
                occurrences (of a series) · registrations · seats · releases
following       notes (a change, encoded once) · changes (from the log) · hub, outbox (to all who follow)
                stream, stream_messages, handshake (WebSocket) · events (SSE) · following, since (pages)
                frames, tokens (how it is written)
the whole       programmes · audit, proof · cluster · key_admin
its documents   docs (of a route) · schemas · openapi · docs_page · errors_page
app             all of it, put together
"""
