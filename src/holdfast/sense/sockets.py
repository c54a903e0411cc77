"""The sockets of a network namespace, as ``/proc/PID/net`` lists them.

The tables hold the sockets of all processes in the namespace; a socket is found in them by its
inode. Source: proc_net_tcp in the kernel's documentation, proc(5), unix(7).
"""

import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from holdfast.sense._process import Process
from holdfast.sense._words import hexadecimal, nth, whole

__all__ = ("Socket", "parse_inet", "parse_unix", "socket_tables")


@dataclass(frozen=True, slots=True)
class Socket:
    """One socket.

    Attributes:
        family: ``"tcp"``, ``"tcp6"``, ``"udp"``, ``"udp6"`` or ``"unix"``; ``"other"`` for what
            stands in none of these tables.
        state: The kernel's word: ``"ESTABLISHED"``, ``"CLOSE_WAIT"``, ``"LISTEN"``, ...; empty
            where it isn't told.
        local: Its own address; for a unix socket the path, ``@`` before an abstract one.
        peer: The address at the other end; empty where there is none, and for unix sockets.
    """

    family: str
    state: str = ""
    local: str = ""
    peer: str = ""


_TCP_STATES = (
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
)
_UNIX_STATES = ("UNCONNECTED", "CONNECTING", "CONNECTED", "DISCONNECTING")
# In a unix socket's flags: it accepts connections.
_ACCEPTS = 0x10000
# Hexadecimal digits of an address.
_VERSION_4, _VERSION_6 = 8, 32
# The first costs what it lists; the kernel walks through a large table for each of the others.
_TABLES = ("unix", "tcp", "tcp6", "udp", "udp6")


def socket_tables(process: Process, wanted: Collection[int | None]) -> dict[int | None, Socket]:
    """Return the sockets with the ``wanted`` inodes that the process's tables list.

    Args:
        process: Whose network namespace is read.
        wanted: Inodes; reading ends when all have been found.

    Returns:
        The sockets by inode. One that is in no table, or whose table can't be read, is left out.
    """
    missing = set(wanted)
    found: dict[int | None, Socket] = {}
    for family in _TABLES:
        if not missing:
            break
        try:
            text = process.read(f"net/{family}")
        except OSError:
            continue  # without IPv6 there are no such tables
        found.update(
            parse_unix(text, missing) if family == "unix" else parse_inet(text, family, missing)
        )
        missing -= found.keys()
    return found


def parse_inet(
    text: str, family: str, wanted: Collection[int | None]
) -> Iterator[tuple[int, Socket]]:
    """Yield the inode and the socket of each line of ``tcp``, ``tcp6``, ``udp`` or ``udp6``.

    Args:
        text: The table; the heading and lines of another form are left out.
        family: Its name.
        wanted: Other inodes are left out: a busy server's table has many that nobody holds.
    """
    for line in text.splitlines():
        words = line.split()
        inode = whole(nth(words, 9))
        if inode is None or inode not in wanted:
            continue
        local, peer, state = _address(words[1]), _address(words[2]), hexadecimal(words[3])
        if local is None or peer is None or state is None:
            continue
        yield inode, Socket(family, _state(family, state), local, _peer(peer))


def parse_unix(text: str, wanted: Collection[int | None]) -> Iterator[tuple[int, Socket]]:
    """Yield the same of ``unix``."""
    # There are few states and few paths, and perhaps many thousand sockets.
    nameless: dict[tuple[str, str], Socket | None] = {}
    for line in text.splitlines():
        words = line.split(maxsplit=7)
        inode = whole(nth(words, 6))
        if inode is None or inode not in wanted:
            continue
        state = (words[3], words[5])
        if state not in nameless:
            nameless[state] = _unix(*state)
        told = nameless[state]
        if told is not None:
            path = nth(words, 7)
            yield inode, replace(told, local=path) if path else told


def _unix(flags: str, state: str) -> Socket | None:
    """A socket without a path, by the words for its flags and its state."""
    bits, number = hexadecimal(flags), hexadecimal(state)
    if bits is None or number is None:
        return None
    return Socket("unix", "LISTEN" if bits & _ACCEPTS else _nth(_UNIX_STATES, number))


def _state(family: str, state: int) -> str:
    if family.startswith("udp"):
        # A datagram socket borrows two of TCP's words: connected to a peer, or not.
        return "CONNECTED" if state == 1 else "UNCONNECTED"
    return _nth(_TCP_STATES, state)


def _nth(states: tuple[str, ...], number: int) -> str:
    return states[number - 1] if 1 <= number <= len(states) else f"state {number}"


def _peer(address: str) -> str:
    return "" if address.endswith(":0") else address


def _address(text: str) -> str | None:
    """``0100007F:1F90`` is 127.0.0.1:8080: words of 32 bits in the machine's own order."""
    host, _, port = text.partition(":")
    number = hexadecimal(port)
    if number is None or len(host) not in {_VERSION_4, _VERSION_6}:
        return None
    words = [hexadecimal(host[start : start + 8]) for start in range(0, len(host), 8)]
    known = [word for word in words if word is not None]
    if len(known) != len(words):
        return None
    packed = struct.pack(f"={len(known)}I", *known)
    if len(host) == _VERSION_4:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}:{number}"
    return _version_6(packed, number)


# An IPv4 peer of an IPv6 socket.
_MAPPED = b"\0" * 10 + b"\xff\xff"


def _version_6(packed: bytes, port: int) -> str:
    if packed.startswith(_MAPPED):
        return f"{socket.inet_ntop(socket.AF_INET, packed[12:])}:{port}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{port}"
