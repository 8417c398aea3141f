"""Seats, terms, votes and cut-offs: a sans-I/O machine that is told what stands in the logs and says what to write.

The safety argument is `rules`; what the logs say is `history`; who has what is `acknowledgements`; which places are
taken is `ledger` and `places`; what the holder rules is `deliberation`; when to stand is `patience`; `machine` is the
only mutator.
"""
