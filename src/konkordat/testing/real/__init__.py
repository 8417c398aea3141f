"""The same judges on real processes: nodes with sockets and files, killed, stopped and cut off under load.

python -m konkordat.testing.real --seed 1 --faults 20
"""
