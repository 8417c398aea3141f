"""Where real nodes live, and how their lines are cut.

On loopback a node is cut off by its own drill. In network namespaces every node has an address of its own behind a
bridge, speaks TLS with a certificate that names it, and packets are dropped on their way from one node to another: one
way too, without a word to anybody, and without the node's doing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

NETWORK: Final = "10.77.0"  # exists in namespaces of our own only
OUR_HOST: Final = 254
LINK_PORT: Final = 7447
API_PORT: Final = 8080
INSIDE: Final = (
    "KONKORDAT_TESTING_INSIDE"  # set in the process that was started in a network of its own
)
TOOLS: Final = ("ip", "unshare", "nsenter")
# Rules are looked at in this order. What the kernel has first, the addresses of the host itself, comes after the drops.
DROPS_FIRST: Final = 10
OWN_ADDRESSES_THEN: Final = 100


class Lines(Protocol):
    """The lines between nodes, by their numbers from 0."""

    @property
    def can_cut(self) -> bool:
        """True if a single direction between two nodes can be cut."""

    def settings(self, number: int) -> Mapping[str, Mapping[str, Any]]:
        """What a node's configuration says about addresses."""

    def peers(self, number: int) -> Sequence[str]:
        """The addresses of all other nodes."""

    def url(self, number: int) -> str:
        """Of a node's API."""

    def prefix(self, number: int, /) -> list[str]:
        """What a node's command line begins with."""

    def cut(self, sender: int, receiver: int) -> None:
        """From now on nothing arrives."""

    def mend(self, sender: int, receiver: int) -> None:
        """It arrives again."""

    def close(self) -> None:
        """Leave nothing behind."""


class Loopback:
    """All nodes on one address, told apart by their ports."""

    can_cut = False

    def __init__(self, ports: Sequence[tuple[int, int]]) -> None:
        """`ports` are of the links and the API of each node."""
        self._ports = ports

    def settings(self, number: int) -> Mapping[str, Mapping[str, Any]]:
        link, api = self._ports[number]
        return {"link": {"listen": f"127.0.0.1:{link}"}, "api": {"port": api}}

    def peers(self, number: int) -> Sequence[str]:
        return [f"127.0.0.1:{link}" for n, (link, _) in enumerate(self._ports) if n != number]

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self._ports[number][1]}"

    def prefix(self, _number: int, /) -> list[str]:
        return []

    def cut(self, sender: int, receiver: int) -> None:
        raise AssertionError(f"{sender} to {receiver}: on loopback only a node can cut itself off")

    def mend(self, sender: int, receiver: int) -> None:
        raise AssertionError(f"{sender} to {receiver}: on loopback nothing is cut")

    def close(self) -> None:
        """There is nothing to leave behind."""


def missing() -> str:
    """Why there can be no namespaces here; "" if there can."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"no {', '.join(absent)} (Debian: iproute2, util-linux)"
    try:
        import trustme  # noqa: F401 -- only whether it is there
    except ImportError:
        return "no trustme, which makes the nodes' certificates"
    tried = subprocess.run([*_unshare(), "true"], capture_output=True, check=False)  # noqa: S603 - fixed words
    return (
        "" if tried.returncode == 0 else f"no right to make them: {tried.stderr.decode().strip()}"
    )


def _unshare() -> list[str]:
    """A command in a network of its own; who is not root becomes so in there."""
    return (
        ["unshare", "--net"]
        if os.geteuid() == 0
        else ["unshare", "--user", "--map-root-user", "--net"]
    )


def go_inside(module: str, arguments: Sequence[str]) -> int:
    """Run a module in a network of its own, which ends with it; its exit status."""
    command = [*with_us(), *_unshare(), sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env={**os.environ, INSIDE: "1"}, check=False).returncode  # noqa: S603 - our own program


def with_us() -> list[str]:
    """What a command begins with that must not outlive this process, however it ends."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def is_inside() -> bool:
    """True in a process that `go_inside` started."""
    return bool(os.environ.get(INSIDE))


class Namespaces:
    """A bridge, and a host for each node at it. Only for a process in a network of its own."""

    can_cut = True

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        assert is_inside(), "this would change the machine's own network"
        self._folder = folder
        self._names = names
        self._holders: list[subprocess.Popen[bytes]] = []
        self._cuts: Counter[tuple[int, int]] = Counter()  # faults that cut this direction now
        self._certify()
        _ip("link set lo up")
        _ip("link add bridge type bridge")
        _ip(f"addr add {NETWORK}.{OUR_HOST}/24 dev bridge")
        _ip("link set bridge up")
        for number in range(len(names)):
            self._add_host(number)

    def _add_host(self, number: int) -> None:
        # It lives as long as its standard input: until we end, however that happens. Once it answers, it is inside.
        holder = subprocess.Popen(
            ["unshare", "--net", "cat"],  # noqa: S607 -- looked up in `missing`
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._holders.append(holder)
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        holder.stdout.read(1)
        _ip(f"link add line{number} type veth peer name line netns {holder.pid}")
        _ip(f"link set line{number} master bridge up")
        for words in (
            "link set lo up",
            f"addr add {_address(number)}/24 dev line",
            "link set line up",
            f"rule add pref {OWN_ADDRESSES_THEN} lookup local",
            "rule del pref 0",
        ):
            self._ip_at(number, words)

    def _certify(self) -> None:
        import trustme

        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self._folder / "ca.pem"))
        for number, name in enumerate(self._names):
            made = authority.issue_cert(_address(number), common_name=name)
            made.private_key_pem.write_to_path(str(self._folder / f"{name}.key"))
            chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
            (self._folder / f"{name}.pem").write_bytes(chain)

    def settings(self, number: int) -> Mapping[str, Mapping[str, Any]]:
        name = self._names[number]
        link = {
            "listen": f"tls/{_address(number)}:{LINK_PORT}",
            "tls_ca": str(self._folder / "ca.pem"),
            "tls_certificate": str(self._folder / f"{name}.pem"),
            "tls_key": str(self._folder / f"{name}.key"),
            "members": list(self._names),
        }
        # Clients are on a line of their own, which is never cut; what protects it is not looked at here.
        api = {"host": _address(number), "port": API_PORT, "behind_proxy": True}
        return {"link": link, "api": api}

    def peers(self, number: int) -> Sequence[str]:
        return [f"tls/{_address(n)}:{LINK_PORT}" for n in range(len(self._names)) if n != number]

    def url(self, number: int) -> str:
        return f"http://{_address(number)}:{API_PORT}"

    def prefix(self, number: int, /) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._holders[number].pid}/ns/net"]

    def cut(self, sender: int, receiver: int) -> None:
        self._cuts[sender, receiver] += 1
        if self._cuts[sender, receiver] == 1:
            self._ip_at(receiver, f"rule add {_drop(sender)}")

    def mend(self, sender: int, receiver: int) -> None:
        self._cuts[sender, receiver] -= 1
        if not self._cuts[sender, receiver]:
            self._ip_at(receiver, f"rule del {_drop(sender)}")

    def _ip_at(self, number: int, words: str) -> None:
        _run([*self.prefix(number), "ip", *words.split()])

    def close(self) -> None:
        for holder in self._holders:
            holder.kill()
            holder.communicate()


def _drop(sender: int) -> str:
    return f"pref {DROPS_FIRST} from {_address(sender)} blackhole"


def _address(number: int) -> str:
    return f"{NETWORK}.{number + 1}"


def _ip(words: str) -> None:
    _run(["ip", *words.split()])


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - words of this module only
