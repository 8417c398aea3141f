"""The programme that ships with Konkordat: three days, five venues, two hundred sessions.

``programme.txt`` is what was written, ``programme.xml`` what ``build`` makes of it. All people and
houses in it are made up. It holds one clash of rooms and two of speakers, for reports to show.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

SAMPLE_NAME: Final = "programme.xml"


def sample_programme() -> bytes:
    """The shipped programme as a frab XML file."""
    return resources.files(__name__).joinpath(SAMPLE_NAME).read_bytes()
