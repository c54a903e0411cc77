"""One limit of the machine, divided among the processes that share it.

Purpose: several instances of a program on one machine, each of which alone could use all the threads
that the user, or the container, may have. Each keeps to a fair share, so that none meets the limit.

How: a folder with a file for each process, locked for as long as the process lives. In it stands what
the process has been granted and what it wants. Under one more lock a process reads all of them, and
writes its own. A lock ends with its process, however that ends, so what a killed process had is
divided among the others at their next look.

Guarantees
- the grants of all living members together never exceed the total, but for what one of them already
  used when it came, or when the total was lowered;
- all members agree on the shares, also on who has what does not divide;
- what a member uses is never more than its grant: it has stopped taking more when it says what it uses;
- a member that wants less leaves the rest to the others; a newcomer has its share as soon as the
  others' work has come free.

Assumes: a local file system with ``flock``; members that look several times a second.
"""

import contextlib
import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from holdfast._core import check
from holdfast.limits.fair_share import fair_shares, granted
from holdfast.pools._forked import forks

__all__ = ("MachineShare", "Member", "share_folder")

_GATE = "gate"
_SUFFIX = ".member"
_LENGTH = 128
_LONGEST = 4096
"""Bytes of a member's file that are read; one has a tenth of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One process that shares.

    Attributes:
        pid: Its process id.
        granted: What it may hold.
        wanted: What it would use if it were alone.
        beside: What it has of the same beside that, such as threads that are no worker threads.
    """

    pid: int
    granted: int
    wanted: int
    beside: int = 0


def share_folder(name: str) -> Path:
    """Return the folder for the limit called ``name``, which only this user may look into.

    It is below ``XDG_RUNTIME_DIR`` where that is set, or in the folder for temporary files.

    Raises:
        ValueError: ``name`` can't be that of a folder.
        PermissionError: Somebody else owns the folder.
    """
    if (
        not name
        or name.startswith(".")
        or not name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    ):
        msg = f"the name of a share must be letters, digits, '-', '_' and '.', not {name!r}"
        raise ValueError(msg)
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(base) / f"holdfast-{os.getuid()}" / name
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    owner = folder.parent.lstat().st_uid
    if owner != os.getuid() or folder.parent.is_symlink():
        msg = f"{folder.parent} belongs to user {owner}, or is a link; set XDG_RUNTIME_DIR to a folder of your own"
        raise PermissionError(errno.EACCES, msg)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


class MachineShare:
    """This process's share of one limit that several processes keep to. Not safe from several threads.

    Args:
        folder: Where the members meet, as from :func:`share_folder`; the same for all of them.

    Attributes:
        fair: What would be fair, as of the last look: who uses more has to give way, who has been granted
            less waits for others to.

    Raises:
        OSError: The folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gate = os.open(folder / _GATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pid = os.getpid()
        self.fair = 0
        try:
            self._file, self._path = self._join()
        except BaseException:
            os.close(self._gate)
            raise
        forks(self)

    def look(self, *, total: int, wanted: int, held: Callable[[int], int], beside: int = 0) -> int:
        """Say what this process wants and uses; returns what it may hold until the next look.

        Args:
            total: What all members together may hold, 0 or more.
            wanted: What this process would use if it were alone, 0 or more.
            held: Told what there is for this process now; returns what it uses, and takes no more than the
                larger of the two from then on. Called while nobody else can look.
            beside: What it has of the same beside that; told to the others, and no more.

        Raises:
            OSError: The folder is gone, or can't be written.
        """
        check.count("total", total)
        check.count("wanted", wanted)
        with self._locked():
            others = self._others()
            # In one order for all members, so that all agree who has what does not divide.
            wants = sorted([(self._path, wanted), *((path, who.wanted) for path, who in others)])
            shares = fair_shares(total, [each for _, each in wants])
            self.fair = shares[wants.index((self._path, wanted))]
            others_hold = sum(other.granted for _, other in others)
            there_is = granted(self.fair, held=0, others_hold=others_hold, total=total)
            grant = max(there_is, held(there_is))
            _write(
                self._file,
                Member(pid=self._pid, granted=grant, wanted=wanted, beside=beside),
            )
        return grant

    def members(self) -> list[Member]:
        """Return the other processes that share the limit now."""
        with self._locked():
            return [other for _, other in self._others()]

    def close(self) -> None:
        """Give the share back. May be called again."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._let_go()

    def after_fork(self) -> None:
        """In a child: the share is the parent's, and must end with it."""
        if self._file >= 0:
            self._let_go()

    def _let_go(self) -> None:
        os.close(self._file)
        os.close(self._gate)
        self._file = -1

    # ------------------------------------------------------------ files

    def _join(self) -> tuple[int, Path]:
        """Make this process's file and lock it, before anybody else may look."""
        with self._locked():
            handle, name = tempfile.mkstemp(f"-{self._pid}{_SUFFIX}", "", self._folder)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                _write(handle, Member(pid=self._pid, granted=0, wanted=0))
            except BaseException:
                os.close(handle)
                raise
        return handle, Path(name)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _others(self) -> list[tuple[Path, Member]]:
        found: list[tuple[Path, Member]] = []
        for path in sorted(self._folder.iterdir()):
            if path.suffix == _SUFFIX and path != self._path:
                member = _read(path)
                if member is not None:
                    found.append((path, member))
        return found


def _write(handle: int, member: Member) -> None:
    said = {"granted": member.granted, "wanted": member.wanted, "beside": member.beside}
    os.pwrite(handle, json.dumps(said).encode().ljust(_LENGTH), 0)


def _read(path: Path) -> Member | None:
    """Return the living member whose file this is; the file of a dead one is taken away."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # it has just gone
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            said = json.loads(os.read(handle, _LONGEST))
            pid = int(path.stem.rpartition("-")[2])
            return Member(
                pid=pid,
                granted=int(said["granted"]),
                wanted=int(said["wanted"]),
                beside=int(said.get("beside", 0)),
            )
        path.unlink(missing_ok=True)  # nobody holds its lock any more
    except (ValueError, KeyError, TypeError):
        pass  # not one of ours
    finally:
        os.close(handle)
    return None
