"""The command line. It talks to nodes through the client only; `serve` alone starts one.

main       the entry, and what becomes of an error      options      what commands share
exits      exit codes                                   output       text for people, JSON for scripts
serve  status  watch  importing  exporting  audit  keys              one command each
data       backup, restore and check of a node's files, without the node
demo       five nodes before your eyes                  processes    nodes as child processes

Every command imports what it needs when it runs, so that `--help` is quick.
"""
