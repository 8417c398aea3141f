"""`konkordat demo`: five nodes keep one conference programme in agreement, before your eyes.

story      the scenes, in order         stage      what the audience sees, and what was promised
scenes     what happens in each         summary    the end: a checklist, or JSON
cast       nodes, clients, streams      choices    which sessions take part
"""

from konkordat.cli.demo.story import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
