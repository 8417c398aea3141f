"""Programmes in and out: frab XML, frab JSON, iCalendar.

programme    neutral values, limits, findings       errors     why a file could not be read
read         one door for all formats                plan       what to write for an import, the report
frab_xml     frab_json     icalendar_                 readers and writers
collect      records of the API to a programme       extras     what frab has no place for
raw, assemble, frab_times, notes, texts, zones       from texts in a file to a programme
layout                                               from a programme to days, rooms and numbers
"""
