"""Where a program that serves its snapshot, and who asks for it, meet: a socket in a folder of the user's.

The folder is ``holdfast-UID/served`` in ``XDG_RUNTIME_DIR``, or in the folder for temporary files; it is
the user's own, and closed to all others. The socket has the number of the process as its name.
"""

import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdfast.watch.machine_share import share_folder

__all__ = ("LONGEST_REQUEST", "meeting_folder", "peer_of", "places_of", "socket_name")

LONGEST_REQUEST: Final = 64
"""Bytes of a request, its newline included."""

_FOLDER: Final = "served"
_SUFFIX: Final = ".sock"
_CREDENTIALS: Final = struct.Struct("iII")


def meeting_folder() -> Path:
    """Return this user's folder, which is made, and closed to others, where need be.

    Raises:
        OSError: It can't be made, or belongs to somebody else.
    """
    folder = share_folder(_FOLDER)
    for each in (folder.parent, folder):
        if each.stat().st_mode & 0o077:
            each.chmod(0o700)
    return folder


def socket_name(pid: int) -> str:
    """Return the name of a process's socket in the folder."""
    return f"{pid}{_SUFFIX}"


def places_of(pid: int, uid: int) -> Iterator[Path]:
    """Yield where the socket of a process of user ``uid`` may be."""
    bases = [os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{uid}", tempfile.gettempdir(), "/tmp"]  # noqa: S108 - whose it is is looked at
    for base in dict.fromkeys(base for base in bases if base):
        yield Path(base) / f"holdfast-{uid}" / _FOLDER / socket_name(pid)


def peer_of(connection: socket.socket) -> tuple[int, int] | None:
    """Return the process and the user at the other end; None where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    raw = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid
