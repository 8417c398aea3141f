"""What can be wrong with bytes of a peer. In every case the frame is dropped whole and our state is as before.

WireError
├── MalformedError     the bytes are not what the specification says
├── TooLargeError      a limit of clause W5 is exceeded
└── ForeignFrameError  well-formed, but of another cluster or from somebody else than the link says
"""

from __future__ import annotations


class WireError(ValueError):
    """A frame could not be taken: {reason}. It was dropped; nothing was changed."""


class MalformedError(WireError):
    """The frame is malformed: {reason}. It was dropped; nothing was changed."""


class TooLargeError(WireError):
    """The frame is over a limit: {reason}. It was dropped; nothing was changed."""


class ForeignFrameError(WireError):
    """The frame is not for us: {reason}. It was dropped; nothing was changed."""
