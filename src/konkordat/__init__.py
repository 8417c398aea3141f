"""Konkordat: several copies, every one writable, no coordinator, and rules that hold anyway.

Start reading at `ARCHITECTURE.md`. The packages, from the bottom up: `kernel` values and laws ·
`wire` bytes between nodes · `store` what lasts · `protocol` conversations · `replica` one whole
node without time or sockets · `schedule` the event domain · `node` the shell · `api` what clients
see · `client` and `cli` those clients · `testing` the simulated world that ships with it.
"""

__version__ = "0.1.0"
