"""Measurements: five real nodes on this machine, and figures beside what they should be.

run        which ones, and the report      machine   what was measured on
cluster    five processes, one tenant      load      the generator of load, a process of its own
search     the highest rate that is kept up with
one measurement each: delay  throughput  restart  catchup  memory  start  size  store
                      claims  deciding, with bookings  registering
"""
