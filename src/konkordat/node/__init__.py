"""The shell of a node: it performs effects and decides nothing. The only place that names a store or a transport.

config    what an operator may choose, from TOML and flags     endpoints  addresses of links, and which need TLS
clock     Unix ms that never go back                           inbox      what waits for the owner, bounded
owner     the thread that owns the replica                     links      the shell over Zenoh
lanes     bounded sending to one peer each                     book       peers' addresses, kept over restarts
gate      the node as the API sees it                          feed, lag  its parts
health    whether clients should come here                     drain      what an owner hands to the loop
logs      one JSON line per event                              metrics    numbers for Prometheus
run       all of it, put together and taken down               errors     why a node does not start or stops
forcing   a roster forced at a stopped node

Threads: the *loop* thread (asyncio: API, gate, timers), the *owner* thread (replica and store), Zenoh's threads (they
decode and put into the inbox) and one *lane* thread per peer that is being sent something large. What crosses
between them is immutable; the inbox and the clock have the only locks.
"""
