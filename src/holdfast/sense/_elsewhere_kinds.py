"""What descriptors are where there is no ``/proc``: by ``fstat``, and by psutil for sockets."""

import os
import socket
import stat
from typing import Any

from holdfast.sense._descriptor import Descriptor
from holdfast.sense._elsewhere import DEV_FD
from holdfast.sense._process import Process
from holdfast.sense._psutil import ask
from holdfast.sense.sockets import Socket

__all__ = ("descriptors_elsewhere",)

_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


def descriptors_elsewhere(process: Process) -> tuple[Descriptor, ...]:
    """Return the descriptors that can be told apart here.

    Of this process all are, by their type; paths, and the addresses of sockets, take psutil. Of
    another process psutil tells files and sockets, and nothing else.

    Raises:
        ProcessLookupError: There is no such process.
        PermissionError: It belongs to somebody else.
        NotImplementedError: The process is another one, and psutil is not installed.
    """
    try:
        known = {**_files(process), **_sockets(process)}
    except NotImplementedError:
        if not process.own:
            raise
        known = {}
    if not process.own:
        return tuple(known[fd] for fd in sorted(known))
    return tuple(_own(known))


def _own(known: dict[int, Descriptor]) -> list[Descriptor]:
    found: list[Descriptor] = []
    for name in os.listdir(DEV_FD):  # noqa: PTH208 - the names alone
        fd = int(name)
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            continue  # the one that listed, or closed meanwhile
        kind = next((kind for fits, kind in _KINDS if fits(mode)), "other")
        told = known.get(fd)
        if told is None or told.kind != kind:
            told = Descriptor(fd, kind, "", Socket("other") if kind == "socket" else None)
        found.append(told)
    return sorted(found, key=lambda each: each.fd)


def _files(process: Process) -> dict[int, Descriptor]:
    opened = ask(process, lambda it: it.open_files())
    return {each.fd: Descriptor(each.fd, "file", each.path) for each in opened if each.fd >= 0}


def _sockets(process: Process) -> dict[int, Descriptor]:
    connections = ask(process, lambda it: it.net_connections("all"))
    return {each.fd: _socket(each) for each in connections if each.fd >= 0}


def _socket(each: Any) -> Descriptor:
    """A connection as psutil tells it; addresses are pairs, or a path for a unix socket."""
    unix = each.family == getattr(socket, "AF_UNIX", None)
    kind = "tcp" if each.type == socket.SOCK_STREAM else "udp"
    family = "unix" if unix else f"{kind}{'6' if each.family == socket.AF_INET6 else ''}"
    state = "" if each.status == "NONE" else str(each.status)
    return Descriptor(
        each.fd, "socket", "", Socket(family, state, _address(each.laddr), _address(each.raddr))
    )


def _address(address: Any) -> str:
    if not address or isinstance(address, str):
        return address or ""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
