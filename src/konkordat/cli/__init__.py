"""The command line. It talks to nodes through the client only; `serve` alone starts one.

main       the entry, and what becomes of an error      options      what commands share
exits      exit codes                                   output       text for people, JSON for scripts
serve  status  watch  importing  exporting  audit  keys              one command each
*_commands one group of commands each: their flags and help; what they do stands beside them:
booking  holding  repeating  registering  attending  free            places and seats, for people at a terminal
naming  slots  wall  deciding      what people call things, places and times; waiting for a decision
seats  forcing  cluster            who decides, and who may
data       backup, restore and check of a node's files, without the node
demo       five nodes before your eyes                  processes    nodes as child processes

Every command imports what it needs when it runs, so that `--help` is quick.
"""
