"""The event domain: what a programme is, when it happens, what clashes, how it is carried in and out.

Everything here is pure: values in, values out. Nothing knows of nodes, networks, stores or clocks.

fields       constrained scalars that the bodies are made of (ids, slugs, translations)
model        the bodies of each collection
patches      merge-patch twins of the bodies
registry     the collections as data, and the way between a body and the groups of a record
times        wall time to UTC and back, event days, intervals
clashes      soft clashes and room overlaps
commands     what a client asks for, and what it is told besides the records
claims       what a record claims: a place, and speakers' time
rules        references, days, hours, places
free         what is left of a time beside what is booked; alternatives: what is free instead of one place
domain       the port of the replica: commands in, writes or refusals out. Its parts: drafts (records in the making),
             slots_sent, places, registrations, series, people, needed, and afterwards (all records as it leaves them)
keys         the service's own collections
interchange  reading and writing frab XML, frab JSON and iCalendar; planning an import
sample       the programme that ships with the project
"""
