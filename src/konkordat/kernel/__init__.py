"""Values and laws. No I/O, no clock, no randomness: every function here is a function of its arguments."""
