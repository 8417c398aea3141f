"""Why a node does not start, or stops. Each ends as one line on stderr and an exit code.

NodeError
├── ConfigError         a setting is wrong or missing                        78
├── AddressInUseError   another program listens there                        69
├── LinksError          the links between nodes could not be opened          69
├── NameTakenError      another living node has our name                     76
├── OldCopyError        this disk is an old copy of ours                     76
├── ClosedOutNodeError  a roster was forced without us                       76
├── DataDirError        the data directory cannot be used                    73
├── StoreFailedError    a commit could not be made durable                   74
├── DamagedError        what is stored does not match its checksum           74
└── DefectError         what this program should never do               70
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says when it ends; the numbers are those of BSD's sysexits.h."""

    OK = 0
    UNAVAILABLE = 69  # an address is in use or cannot be opened
    SOFTWARE = 70  # a defect of this program
    DATA_DIR = 73  # the data directory is another node's, in use, or of a newer release
    STORE_FAILED = 74  # a disk error or a full disk: nothing more can be promised
    IDENTITY = (
        76  # another node has this node's name, or this disk is an old copy, or was closed out
    )
    CONFIG = 78


class NodeError(Exception):
    """{reason}. The node is not running."""

    exit_code = ExitCode.SOFTWARE


class ConfigError(NodeError):
    """The configuration is wrong: {reason}. Nothing was opened or written."""

    exit_code = ExitCode.CONFIG


class AddressInUseError(NodeError):
    """Another program listens on {address}. No data was changed. Stop it, or choose another address."""

    exit_code = ExitCode.UNAVAILABLE


class LinksError(NodeError):
    """The links between nodes cannot be opened: {reason}. Data on disk is unharmed."""

    exit_code = ExitCode.UNAVAILABLE


class NameTakenError(NodeError):
    """Another living node has our name: {reason}. Data is unharmed; every node needs a name of its own."""

    exit_code = ExitCode.IDENTITY


class DataDirError(NodeError):
    """The data directory cannot be used: {reason}. It was not changed."""

    exit_code = ExitCode.DATA_DIR


class StoreFailedError(NodeError):
    """A commit could not be made durable: {reason}. What was acknowledged is safe; what waited was not acknowledged."""

    exit_code = ExitCode.STORE_FAILED


class OldCopyError(NodeError):
    """This disk lacks batches of our own that peers have: {reason}. See: konkordat restore --in-place --help

    Nothing was written. It is an old copy, or it lost what it had made durable. Going on as the same incarnation would
    use sequence numbers twice; as a new one the node keeps what it has and fetches the rest from its peers.
    """

    exit_code = ExitCode.IDENTITY


class ClosedOutNodeError(NodeError):
    """Our log was closed: {reason}. Start on an empty directory, then: konkordat roster join NODE

    Nothing was written. Somebody took the majority for lost and went on with one survivor, so what this node decides
    would be decided twice. Keep the directory: what was confirmed here and nowhere else is only in it.
    """

    exit_code = ExitCode.IDENTITY


class DamagedError(NodeError):
    """What is stored is damaged: {reason}. Start on an empty directory: peers have it all. Or restore a backup.

    Nothing damaged was used or sent. `konkordat check --data DIR` names all that is wrong.
    """

    exit_code = ExitCode.STORE_FAILED


class DefectError(NodeError):
    """A defect stopped the node: {reason}. What was acknowledged is safe; what waited was not acknowledged."""

    exit_code = ExitCode.SOFTWARE
