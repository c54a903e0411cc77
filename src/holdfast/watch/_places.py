"""In words for a person, what a descriptor or a thread is for: the place by which trends count it.

Where the line that opened a descriptor is known, that is its place. Otherwise it is what the kernel
tells: for a connection the other end that was connected to, or the own port that accepted it, as the
peers of a server are different each time; for a file its folder; else its kind.
"""

import os
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from holdfast.sense.descriptor_kinds import Descriptor
from holdfast.sense.sockets import Socket
from holdfast.watch._ages import Living

__all__ = ("living_descriptors", "living_threads", "threads_of")

_LISTENS: Final = "LISTEN"
_DIGITS: Final = re.compile(r"\d+")


def living_descriptors(found: Collection[Descriptor], known: Mapping[int, str]) -> Iterator[Living]:
    """Yield what is open.

    Args:
        found: All descriptors.
        known: The places that are known otherwise, by descriptor number.
    """
    ports = {
        _port(each.socket.local)
        for each in found
        if each.socket is not None and each.socket.state == _LISTENS
    }
    for each in found:
        state = each.socket.state if each.socket is not None else ""
        place = known.get(each.fd) or _place(each, ports)
        yield Living((each.fd, each.target), place, state)


def living_threads() -> Iterator[Living]:
    """Yield the threads that Python knows of; those with names that differ in numbers are of one place."""
    for thread in threading.enumerate():
        name = _DIGITS.sub("#", thread.name)
        yield Living((thread.ident, id(thread)), f"threads {name}")


def threads_of(pid: int) -> Iterator[Living]:
    """Yield the threads of another process, by the names that the system knows of them.

    What begins or ends meanwhile is told or not. Nothing where there is no ``/proc``.
    """
    folder = Path(f"/proc/{pid}/task")
    for tid in os.listdir(folder) if folder.is_dir() else ():  # noqa: PTH208 - names alone
        try:
            before, _, after = (folder / tid / "stat").read_text().rpartition(")")
        except (OSError, UnicodeDecodeError):
            continue
        name = _DIGITS.sub("#", before.partition("(")[2])
        yield Living((tid, after.split()[19]), f"threads {name}")


def _place(each: Descriptor, ports: Collection[str]) -> str:
    if each.socket is not None:
        return _of_socket(each.socket, ports)
    if each.kind in {"file", "deleted file", "directory"}:
        folder = each.target.rpartition("/")[0] or "/"
        return f"{each.kind} in {folder}"
    return f"device {each.target}" if each.kind == "device" else each.kind


def _of_socket(found: Socket, ports: Collection[str]) -> str:
    kind = found.family.removesuffix("6").upper() if found.family.startswith(("tcp", "udp")) else ""
    if not kind:
        return f"{found.family} socket {found.local}".rstrip()
    if found.state == _LISTENS:
        return f"{kind} listening at {found.local}"
    if _port(found.local) in ports:
        return f"{kind} accepted at port {_port(found.local)}"
    return f"{kind} to {found.peer}" if found.peer else f"{kind}, not connected"


def _port(address: str) -> str:
    return address.rpartition(":")[2]
