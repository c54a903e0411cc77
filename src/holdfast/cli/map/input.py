"""Open INPUT, and say in one sentence why it can't be."""

import os
import stat
from dataclasses import dataclass

from holdfast.cli.map.user_error import UserError

__all__ = ("Input", "open_input")


@dataclass(frozen=True, slots=True)
class Input:
    """An open INPUT.

    Attributes:
        fd: Open for reading; whoever called closes it.
        name: What it is called in messages.
        waits: Whether a read may have to wait for somebody: true of all but regular files.
    """

    fd: int
    name: str
    waits: bool


def open_input(path: str, *, stdin_fd: int) -> Input:
    """Open the file ``path``; ``-`` is standard input.

    A named pipe is opened when somebody writes to it, so this may wait.

    Args:
        path: What the user wrote.
        stdin_fd: Where ``-`` leads.

    Raises:
        UserError: There is no such file, it is a folder, or it may not be read.
    """
    name = "standard input" if path == "-" else path
    try:
        fd = os.dup(stdin_fd) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        mode = os.fstat(fd).st_mode
    except FileNotFoundError as error:
        msg = f"there is no file {name}"
        raise UserError(msg) from error
    except OSError as error:
        msg = f"{name} can't be read: {error.strerror or error}"
        raise UserError(msg) from error
    if stat.S_ISDIR(mode):
        os.close(fd)
        msg = f"{name} can't be read: it is a folder"
        raise UserError(msg)
    return Input(fd, name, waits=not stat.S_ISREG(mode))
