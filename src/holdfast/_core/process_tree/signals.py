"""The only place that sends signals.

Guarantees: a signal reaches the process that is meant, or nobody: not a later one with the same
number. On Linux a descriptor of the process is opened first, then its start time is compared, then
the signal goes to the descriptor. Where no descriptor is left, the start time is compared just
before; that leaves microseconds in which the number could be given away.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterable
from enum import Enum

from holdfast._core.process_tree.table import Proc, read_process

__all__ = ("Sent", "interrupt_main", "send", "send_all", "send_group", "send_own")


class Sent(Enum):
    """What became of a signal."""

    SENT = "sent"
    GONE = "gone"
    DENIED = "denied"


def send(proc: Proc, number: int) -> Sent:
    """Send a signal to the process ``proc``, if it still is that process."""
    if not hasattr(os, "pidfd_open"):
        return _send_by_number(proc, number)
    try:
        fd = os.pidfd_open(proc.pid)
    except ProcessLookupError:
        return Sent.GONE
    except OSError:  # no descriptor left, or a kernel without them
        return _send_by_number(proc, number)
    try:
        if not _same(proc):
            return Sent.GONE
        return _try(lambda: signal.pidfd_send_signal(fd, number))
    finally:
        os.close(fd)


def send_all(procs: Iterable[Proc], *numbers: int) -> list[Proc]:
    """Send signals to each of ``procs``; returns those that this process may not signal."""
    denied: list[Proc] = []
    for proc in procs:
        for number in numbers:
            if send(proc, number) is Sent.DENIED:
                denied.append(proc)
                break
    return denied


def send_own(pid: int, number: int) -> Sent:
    """Send a signal to a child of this process that nobody has reaped: its number is its own."""
    return _try(lambda: os.kill(pid, number))


def interrupt_main(number: int) -> None:
    """Have the main thread of this very process run its handler, also out of a blocking call."""
    ident = threading.main_thread().ident
    if ident is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(ident, number)
    else:
        signal.raise_signal(number)


def send_group(group: int, number: int) -> Sent:
    """Send a signal to a process group whose first process is a child that nobody has reaped.

    The kernel does it in one step: a member that is just forking is signalled before or after, and
    its child with it.
    """
    return _try(lambda: os.killpg(group, number))


def _send_by_number(proc: Proc, number: int) -> Sent:
    return send_own(proc.pid, number) if _same(proc) else Sent.GONE


def _same(proc: Proc) -> bool:
    try:
        now = read_process(proc.pid)
    except OSError as error:
        # With no descriptor left for a look, what was seen a moment ago has to do.
        return error.errno in {errno.EMFILE, errno.ENFILE}
    return now is not None and now.started == proc.started


def _try(action: Callable[[], None]) -> Sent:
    try:
        action()
    except ProcessLookupError:
        return Sent.GONE
    except PermissionError:
        return Sent.DENIED
    return Sent.SENT
