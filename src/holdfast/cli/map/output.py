"""Open OUTPUT: refuse what would lose something, lock it, mend it, and see what it holds.

Guarantees: nothing that stands in OUTPUT is touched before it is sure that this run may write
there: that no other run does, that it is not the input, and that the user asked for it.
"""

import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from holdfast.cli.map.options import MapOptions
from holdfast.cli.map.record import OldLine, parse_line
from holdfast.cli.map.resume import Past, read_past
from holdfast.cli.map.rewrite import rewrite_without, sync_folder
from holdfast.cli.map.sink import Sink
from holdfast.cli.map.user_error import UserError

__all__ = ("Output", "open_output")


@dataclass(frozen=True, slots=True)
class Output:
    """An OUTPUT that is ready to be appended to.

    Attributes:
        sink: Takes the lines.
        past: What earlier runs have settled; None unless this one resumes.
    """

    sink: Sink
    past: Past | None = None


def open_output(
    options: MapOptions, *, input_fd: int, stdout_fd: int, tell: Callable[[str], None]
) -> Output:
    """Open what ``options.output`` names.

    Args:
        options: What the user asked for.
        input_fd: The open input, which must not be the same file; -1 if it is not open yet.
        stdout_fd: Where ``-`` leads.
        tell: Takes sentences for the user: what was mended, what was found.

    Raises:
        UserError: This run may not, or can't, write there.
    """
    if options.output == "-":
        _check_other_file(stdout_fd, input_fd, "standard output")
        return Output(Sink(os.dup(stdout_fd), "standard output", size=None))
    path = Path(os.path.realpath(options.output))
    try:
        fd = _open_locked(path, options)
    except OSError as error:
        raise UserError(_cannot_open(path, options.output, error)) from error
    try:
        return _prepare(fd, path, options, input_fd, tell)
    except OSError as error:
        os.close(fd)
        msg = f"{options.output} can't be made ready: {error.strerror or error}"
        raise UserError(msg) from error
    except BaseException:
        os.close(fd)
        raise


def _open_locked(path: Path, options: MapOptions) -> int:
    flags = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    flags |= os.O_RDWR if options.resume else os.O_WRONLY
    while True:
        fd = os.open(path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return fd
            _lock(fd, options.output)
            # A run that rewrote OUTPUT may have given the name to another file in between.
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _lock(fd: int, name: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        msg = f"another run is writing {name}; wait for it, or name another OUTPUT"
        raise UserError(msg) from None
    except OSError:  # a network file system without locks: then it is up to the user
        return


def _prepare(
    fd: int, path: Path, options: MapOptions, input_fd: int, tell: Callable[[str], None]
) -> Output:
    name = options.output
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        if options.resume:
            msg = f"--resume needs an OUTPUT that can be read again, and {name} is no regular file"
            raise UserError(msg)
        return Output(Sink(fd, name, size=None))
    _check_other_file(fd, input_fd, name)
    if options.fsync:
        sync_folder(path.parent)
    if options.resume:
        return _resume(fd, path, options, tell)
    if found.st_size and not options.overwrite:
        msg = (
            f"{name} holds {found.st_size:,} bytes already: --resume goes on from there, "
            "--overwrite begins anew"
        )
        raise UserError(msg)
    os.ftruncate(fd, 0)
    return Output(Sink(fd, name, size=0, fsync=options.fsync))


def _resume(fd: int, path: Path, options: MapOptions, tell: Callable[[str], None]) -> Output:
    past = read_past(fd, options.output, keyed=options.key is not None)
    _mend(fd, past, options.output, tell)
    if past.unread or (past.failed and options.retry_failed):
        fd = rewrite_without(fd, path, _unwanted(retry_failed=options.retry_failed))
        if options.retry_failed:
            past.forget_failed()
    size = os.fstat(fd).st_size
    return Output(Sink(fd, options.output, size=size, fsync=options.fsync), past)


def _unwanted(*, retry_failed: bool) -> Callable[[OldLine], bool]:
    return lambda line: line.unread or (retry_failed and line.failed)


def _mend(fd: int, past: Past, name: str, tell: Callable[[str], None]) -> None:
    """Make OUTPUT end with a whole line again."""
    if not past.torn:
        return
    old = parse_line(past.torn)
    if old is not None:  # only its end is missing; what is in it may have cost money
        os.write(fd, b"\n")
        past.add(old)
        tell(f"{name}: the last line had no end; it is whole otherwise, and was given one")
        return
    os.ftruncate(fd, past.whole_bytes)
    tell(f"{name}: the last line was torn ({len(past.torn):,} bytes) and was taken off")


def _check_other_file(fd: int, input_fd: int, name: str) -> None:
    if input_fd < 0:
        return
    with suppress(OSError):
        here, there = os.fstat(fd), os.fstat(input_fd)
        if stat.S_ISREG(here.st_mode) and os.path.samestat(here, there):
            msg = f"OUTPUT ({name}) is the same file as INPUT"
            raise UserError(msg)


def _cannot_open(path: Path, name: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name} can't be written: there is no folder {path.parent}"
    if isinstance(error, IsADirectoryError):
        return f"{name} can't be written: it is a folder"
    return f"{name} can't be written: {error.strerror or error}"
