"""Asking another process for what it serves: its snapshot, its stacks."""

import json
import os
import socket
from pathlib import Path
from typing import Any, Final, Literal

from holdfast.watch._meeting import peer_of, places_of

__all__ = ("NotServed", "ask")

_PATIENCE: Final = 3.0
_MOST_BYTES: Final = 64 << 20


class NotServed(LookupError):
    """A process shows nothing, or not to this user; the message says which."""


def ask(pid: int, what: Literal["snapshot", "stacks"]) -> dict[str, Any]:
    """Return what a process serves, with :func:`holdfast.watch.serve`.

    Blocks for a few milliseconds, and three seconds at most for each part of an answer. That it is this
    process that answers, and its user, is looked at where the system tells.

    Args:
        pid: The process.
        what: What is asked for.

    Raises:
        NotServed: It serves nothing, or gives no answer.
    """
    try:
        owner = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        owner = None
    reason = f"process {pid} does not serve its snapshot"
    for path in places_of(pid, os.getuid() if owner is None else owner):
        try:
            return _asked(path, pid, owner, what)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            reason = f"process {pid} gives no answer at {path}: {error}"
    raise NotServed(reason)


def _asked(path: Path, pid: int, owner: int | None, what: str) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(str(path))
        peer = peer_of(connection)
        if peer is not None and (peer[0] != pid or peer[1] not in {owner, 0}):
            msg = f"process {peer[0]} of user {peer[1]} answers there"
            raise PermissionError(msg)
        connection.sendall(f"{what}\n".encode())
        parts: list[bytes] = []
        size = 0
        while part := connection.recv(1 << 16):
            parts.append(part)
            size += len(part)
            if size > _MOST_BYTES:
                msg = f"more than {_MOST_BYTES:,} bytes"
                raise ValueError(msg)
    found: dict[str, Any] = json.loads(b"".join(parts))
    if "error" in found:
        raise PermissionError(found["error"])
    return found
