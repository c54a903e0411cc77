"""Take lines out of an OUTPUT without ever leaving half a file behind.

Purpose: an item that is run again must not stand in OUTPUT twice, so its old line goes first.
Guarantees: at any moment the path names either the old file, whole, or the new one, whole and on
the disk. Memory does not depend on the size of the file.
Assumptions: the caller holds the lock of the old file; the new one is locked before it gets the
name.
"""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from holdfast.cli.map.record import OldLine, parse_line

__all__ = ("rewrite_without", "sync_folder")


def rewrite_without(fd: int, path: Path, unwanted: Callable[[OldLine], bool]) -> int:
    """Put a copy of the file without its unwanted lines in the file's place.

    Args:
        fd: The file, open for reading, holding whole lines only.
        path: Its real path (no symbolic link): the copy is made beside it.
        unwanted: Says of each line whether it goes.

    Returns:
        The descriptor of the new file, locked and open for appending. The old one is closed.

    Raises:
        OSError: The copy could not be made; the old file stands as it was.
    """
    copy = path.with_name(f".{path.name}.rewrite")
    with suppress(FileNotFoundError):
        copy.unlink()  # a run that was killed here left it; the lock says that nobody uses it
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    new = os.open(copy, flags, 0o600)
    try:
        os.fchmod(new, os.fstat(fd).st_mode & 0o7777)
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _copy_wanted(fd, new, unwanted)
        os.fsync(new)
        copy.replace(path)
        sync_folder(path.parent)
    except BaseException:
        os.close(new)
        with suppress(OSError):
            copy.unlink()
        raise
    os.close(fd)
    return new


def _copy_wanted(fd: int, new: int, unwanted: Callable[[OldLine], bool]) -> None:
    with (
        open(fd, "rb", closefd=False) as old_file,
        open(new, "wb", closefd=False) as new_file,
    ):
        old_file.seek(0)
        for line in old_file:
            old = parse_line(line)
            if old is None or not unwanted(old):
                new_file.write(line)


def sync_folder(folder: Path) -> None:
    """Force to the disk which names ``folder`` holds, where the system can do that."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
