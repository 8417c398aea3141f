"""Tools for proving: a clock, a network and a disk under a test's control, a simulated cluster, and its judges."""
