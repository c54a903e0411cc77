"""One connection, which runs one call at a time and can be told to stop it from any thread.

Purpose: time limits and cancellation for statements. ``sqlite3_interrupt`` does nothing if the statement
has not begun or has just ended, so one interrupt is a race. Here it is repeated until the call has ended.

States of a call as its runner sees it: not here -> current -> not here.

Guarantees: an interrupt reaches only the call it is meant for, because it is sent under the lock while
that call is current, and a call that was told to stop passes through the lock when it ends; SQLite itself
forgets an interrupt when a new statement begins. A call that was told to stop before it became current
never runs.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from holdfast.errors import CallTimeout, Failed, UnderPressure
from holdfast.pools._timer import TIMER
from holdfast.track._sqlite.connect import Connection, is_interrupt

__all__ = ("Run", "Runner", "Stopped")

R = TypeVar("R")

_FIRST_AGAIN: Final = 0.005
_LAST_AGAIN: Final = 0.1


class Run:
    """What a runner knows of one call.

    Attributes:
        limit: Most seconds that it may run, or None.
        stopped: Why it was told to stop, or None.
        runner: Who runs it now, or None.
    """

    # Defaults live on the class: a call that nobody stops sets none of them.
    limit: float | None = None
    stopped: str | None = None
    runner: "Runner | None" = None

    def __init__(self, limit: float | None = None) -> None:
        if limit is not None:
            self.limit = limit

    def work(self, db: Connection) -> Any:
        """Do it; for what is more than a function to be called."""
        raise NotImplementedError

    def stop(self, why: str) -> None:
        """Stop it if it runs, and never let it run if it doesn't yet; from any thread."""
        if self.stopped is None:
            self.stopped = why
        runner = self.runner  # set before the flag is looked at, so one of the two is seen
        if runner is not None:
            runner.interrupt(self, _FIRST_AGAIN)


class Stopped(Exception):
    """The call was told to stop before it ran."""


class Runner:
    """Runs calls on a connection that it owns."""

    __slots__ = ("__weakref__", "_current", "_lock", "closed", "connection", "name")

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.closed = False
        self._lock = threading.Lock()
        self._current: Run | None = None

    def run(self, call: Run, fn: Callable[..., R], *args: Any) -> R:
        """Call ``fn(connection, *args)``; one at a time.

        Raises:
            CallTimeout: It ran longer than its limit and was stopped.
            Stopped: It was told to stop before it ran.
        """
        call.runner = self
        # Current first, looked second: who stops it sets the flag first and looks second.
        self._current = call
        told = call.stopped
        if told is not None:
            self._left(call)
            raise Stopped(told)
        watch = None if call.limit is None else self._watch(call, call.limit)
        try:
            return fn(self.connection, *args)
        except sqlite3.OperationalError as error:
            if call.stopped is None or not is_interrupt(error):
                raise
            raise _stopped(self.name, call) from None
        finally:
            self._current = None
            if call.stopped is not None or self.closed:
                self._left(call)
            if watch is not None:
                watch.end()

    def work(self, job: Run) -> Any:
        """Do a job, as ``run(job, job.work)`` does; here too, because that way is felt by each write."""
        if job.limit is not None:
            return self.run(job, job.work)
        job.runner = self
        self._current = job
        told = job.stopped
        if told is not None:
            self._left(job)
            raise Stopped(told)
        try:
            return job.work(self.connection)
        except sqlite3.OperationalError as error:
            if job.stopped is None or not is_interrupt(error):
                raise
            raise _stopped(self.name, job) from None
        finally:
            self._current = None
            if job.stopped is not None or self.closed:
                self._left(job)

    def _left(self, call: Run) -> None:
        """A call that was told to stop is over: an interrupt that is being sent has to be waited for."""
        self._current = None
        call.runner = None
        with self._lock:
            if self.closed:
                self._close()

    def _watch(self, call: Run, limit: float) -> "_Overdue":
        watch = _Overdue(call)
        try:
            watch.due = TIMER.watch(watch, limit)
        except RuntimeError as error:
            self._left(call)
            msg = (
                f"database {self.name!r}: the system refused the thread that watches time limits ({error}); "
                "raise the limit on threads (ulimit -u, pids.max), or run fewer"
            )
            raise UnderPressure(msg) from error
        return watch

    def interrupt(self, call: Run, again: float) -> None:
        """Interrupt ``call`` if it is the one that runs, and again until it has ended."""
        with self._lock:
            if self._current is not call:
                return
            self.connection.interrupt()
        try:
            TIMER.watch(_Again(self, call, again), again)
        except RuntimeError:  # no thread to be had: then this one interrupt has to do
            return

    def close(self) -> None:
        """Close the connection, when what it runs has been stopped.

        A connection that is closed while another thread is inside of SQLite takes the process with it;
        so what runs is interrupted here, and whoever ran it closes the connection.
        """
        self.closed = (
            True  # first, and looked second: whoever runs a call does it the other way round
        )
        with self._lock:
            running = self._current
            if running is None:
                self._close()
        if running is not None:
            running.stop("closed")

    def interrupt_now(self) -> None:
        """Stop what runs here, whatever it is."""
        running = self._current
        if running is not None:
            running.stop("closed")

    def _close(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.common.close()  # a statement that is left open would keep the file open
        with suppress(sqlite3.Error):
            # An interrupt lasts until the next statement begins; it would hit the last checkpoint.
            self.connection.execute("SELECT 1").fetchall()
        with suppress(sqlite3.Error):
            self.connection.close()


class _Overdue:
    """A time limit under watch."""

    __slots__ = ("_call", "due")

    def __init__(self, call: Run) -> None:
        self._call = call
        self.due = 0.0

    def expire(self) -> None:
        """On the timer's thread."""
        self._call.stop("timeout")

    def end(self) -> None:
        """The call has ended."""
        TIMER.unwatch(self, self.due)


class _Again:
    """An interrupt that may have come too early."""

    __slots__ = ("_again", "_call", "_runner")

    def __init__(self, runner: Runner, call: Run, again: float) -> None:
        self._runner, self._call, self._again = runner, call, again

    def expire(self) -> None:
        """On the timer's thread."""
        self._runner.interrupt(self._call, min(2 * self._again, _LAST_AGAIN))


def _stopped(name: str, call: Run) -> Failed:
    if call.stopped == "timeout":
        msg = (
            f"database {name!r}: the statement ran longer than its limit of {call.limit:g} s and was stopped; "
            "nothing of it remains. Give it more time, or an index"
        )
        return CallTimeout(msg, stopped=True)
    msg = f"database {name!r}: the statement was stopped ({call.stopped}); nothing of it remains"
    return Failed(msg)
