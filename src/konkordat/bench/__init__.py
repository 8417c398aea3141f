"""Measurements: five real nodes on this machine, and figures beside what they should be.

run        which ones, and the report      machine   what was measured on
cluster    five processes, one tenant      load      the generator of load, a process of its own
delay  throughput  restart  catchup  memory  start  size  store      one measurement each
"""
