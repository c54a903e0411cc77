"""What this process holds now, cheap enough for many times a second.

Purpose: four figures for a few system calls, whatever the number of descriptors.
Guarantees: never raises. Works also when no descriptor is left to open a file with, because three
are kept open: ``/proc/self/fd``, ``/proc/self/task``, ``/proc/self/statm``. They are in the count like
any others, :meth:`Sampler.kept` names them, no child gets them, and a program that closes all
descriptors behind our back is not harmed: whether a number is still ours is looked at each time.
States: closed (nothing kept), open (three kept). The first ``sample`` opens, ``close`` closes, and
either may follow the other. All of it happens under a lock that lets its own thread in again, for a
signal handler may take a sample too.
Assumptions: a kept ``/proc/self`` is the process that opened it. So a forked child closes what it has
inherited before anything else, and opens its own when it takes a sample.

Before Linux 6.2 the descriptors are listed, and so they are elsewhere (``/dev/fd``), which costs
more the more there are: ``benchmarks/bench_sense.py``.
"""

import os
import threading
import weakref
from dataclasses import dataclass

from holdfast.sense._counts import (
    FD,
    TASK,
    entries,
    fds_by_size,
    links_are_threads,
    size_is_fds,
    threads_by_links,
)
from holdfast.sense._elsewhere import figures
from holdfast.sense._kept import Kept
from holdfast.sense._process import LINUX
from holdfast.sense._rusage import own_cpu_s

__all__ = ("Sample", "Sampler", "release", "sample")

_STATM = "/proc/self/statm"
_STATM_BYTES = 256
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds at one moment; None is what can't be read here.

    Attributes:
        fds: Open descriptors, those included through which this was read.
        threads: Threads; off Linux without psutil those that Python knows of.
        rss_bytes: Resident memory; off Linux without psutil the peak.
        cpu_s: CPU seconds of all threads since the process began.
    """

    fds: int | None
    threads: int | None
    rss_bytes: int | None
    cpu_s: float


class Sampler:
    """Takes samples of this process, and keeps open what it reads.

    May be used from any thread. Close it, or use it in a ``with`` block.

    Example:
        >>> with Sampler() as sampler:
        ...     sampler.sample().threads >= 1
        True
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        folder = getattr(os, "O_DIRECTORY", 0)
        self._fds = Kept(FD, folder)
        self._threads = Kept(TASK, folder)
        self._memory = Kept(_STATM)
        _samplers.add(self)

    def __enter__(self) -> "Sampler":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._let_go()  # nobody else can be in here any more, so no lock is needed

    def sample(self) -> Sample:
        """Return what the process holds now; never raises. Opens what it needs, if it is closed."""
        if not LINUX:
            return Sample(*figures(), own_cpu_s())
        with self._lock:
            threads, rss_bytes = self._count_threads(), self._rss_bytes()
            # Last, so that what has been opened for the other figures is in the count.
            return Sample(self._count_fds(), threads, rss_bytes, own_cpu_s())

    def kept(self) -> tuple[int, ...]:
        """Return the descriptors that are kept open at the moment, three at most."""
        with self._lock:
            kept = (self._fds.fd, self._threads.fd, self._memory.fd)
            return tuple(fd for fd in kept if fd >= 0)

    def close(self) -> None:
        """Close what is kept open; may be repeated, and a further sample opens it again."""
        with self._lock:
            self._let_go()

    def before_fork(self) -> None:
        """Wait until nobody opens or closes anything, and keep it so."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Let others go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Close what is the parent's."""
        self._lock = threading.RLock()
        self._let_go()

    def _let_go(self) -> None:
        for kept in (self._fds, self._threads, self._memory):
            kept.close()

    def _count_fds(self) -> int | None:
        try:
            if size_is_fds():
                return fds_by_size(self._fds.stat())
        except OSError:
            return None
        listed = entries(FD)
        return None if listed is None else listed - 1  # less the one that lists

    def _count_threads(self) -> int | None:
        try:
            if links_are_threads():
                return threads_by_links(self._threads.stat())
        except OSError:
            return threading.active_count()
        return entries(TASK) or threading.active_count()

    def _rss_bytes(self) -> int | None:
        try:
            return int(self._memory.read(_STATM_BYTES).split()[1]) * _PAGE_BYTES
        except (OSError, IndexError, ValueError):
            return None


def sample() -> Sample:
    """Return what this process holds now: descriptors, threads, resident memory, CPU seconds.

    May be called from any thread, many times a second. It keeps three descriptors open, which
    :func:`release` closes.

    Returns:
        One frozen record, each figure read a moment after the other. Never raises; a figure that
        can't be read is None.

    Example:
        >>> sample().cpu_s > 0
        True
        >>> release()
    """
    return _own.sample()


def release() -> None:
    """Close what :func:`sample` keeps open; the next sample opens it again."""
    _own.close()


_samplers: "weakref.WeakSet[Sampler]" = weakref.WeakSet()
_own = Sampler()


# A fork waits for samplers that are just opening or closing: what is open and not yet noted would be
# nobody's in the child. Nobody else ever holds two of these locks, and none for longer than a sample.
_stopped: list[Sampler] = []


def _before_fork() -> None:
    for sampler in list(_samplers):
        sampler.before_fork()
        _stopped.append(sampler)


def _after_fork_in_parent() -> None:
    while _stopped:
        _stopped.pop().after_fork_in_parent()


def _after_fork_in_child() -> None:
    while _stopped:
        _stopped.pop().after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
