"""What survives: crashes, failing disks and flipped bits, tried on the real SQLite store.

tape       what a store did to its disk, one step after another     platter    what of it a crash may leave
vfs        writes the tape, and fails on order                       scenarios  what is being done when it crashes
judge      whether what is left is sound                             campaign   all of it, counted
faults     a full or failing disk at every single step               flips      bits that change by themselves

`python -m konkordat.testing.crash --images N --seed S` runs the campaign.
"""
