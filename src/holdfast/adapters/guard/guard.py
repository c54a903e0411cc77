"""A program under guard: everything is put in place before its first line, and reports at its end.

States of a guard: made -> started -> over, in one process; in a child after a fork it is started anew if
children are guarded, and is silent else. What goes wrong in it never reaches the program: a report that
can't be made is one line on standard error.
"""

import atexit
import faulthandler
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, Final

from holdfast._core import clock
from holdfast.adapters._anyio_workers import share_anyio_workers
from holdfast.adapters._asyncio_executor import bound_default_executors
from holdfast.adapters._patches import Patches
from holdfast.adapters._shared_pool import LoopExecutor, shared_pool
from holdfast.adapters.guard.asked import Asked
from holdfast.adapters.guard.callers import carry, follow_callers
from holdfast.adapters.guard.children import Children
from holdfast.adapters.guard.killed import Killed
from holdfast.adapters.guard.lines import Lines
from holdfast.adapters.guard.openers import note_openers
from holdfast.adapters.guard.options import GuardOptions
from holdfast.adapters.guard.parked import ParkedWorkers
from holdfast.adapters.guard.reports import default_base, make_report, write_report
from holdfast.adapters.guard.select_users import SelectUsers
from holdfast.adapters.guard.shortage import Shortage
from holdfast.adapters.guard.tasks import Tasks
from holdfast.adapters.guard.threads import ThreadGuard
from holdfast.adapters.guard.tracebacks import show_no_frames_of_ours
from holdfast.adapters.guard.trim import Trimmer
from holdfast.pools.budget import Budget, current_budget, set_budget
from holdfast.sense.fd_limit import FdLimit, raise_fd_limit
from holdfast.watch.monitor import Change, Monitor
from holdfast.watch.report_text import in_brief

__all__ = ("Guard",)

_LOG: Final = logging.getLogger("holdfast")


class Guard:
    """Guards the process that it is made in.

    Args:
        options: How.
    """

    def __init__(self, options: GuardOptions) -> None:
        self.options = options
        self.began = clock.now()
        act = not options.observe
        self.fd_limit = FdLimit(None, None, None, "left as it was")
        self.patches = Patches()
        self.lines = Lines() if options.lines else None
        self.children = Children()
        self.tasks = Tasks()
        self.select_users = SelectUsers()
        self.trimmer = Trimmer()
        self.shortage = Shortage(
            lambda error: self._alarm(f"no descriptor is left ({error})"),
            act=act,
            connected=self.lines.connected if self.lines is not None else lambda _: None,
        )
        self.threads = ThreadGuard(
            lines=options.lines,
            act=act,
            tell=lambda error: self._alarm(f"a thread was refused ({error})"),
        )
        self.parked = ParkedWorkers(lambda: list(self.threads.executors), act=act)
        self.monitor = self._new_monitor()
        self._asked = Asked(self._answer, self._tick, options.interval / 2)
        self._killed = Killed(self._ended_by)
        self._pid = os.getpid()
        self._over = False
        self._writing = threading.Lock()
        self._exit = os._exit

    def start(self) -> None:
        """Put everything in place; called once, before the program's first line."""
        self._log_to()
        if not self.options.observe:
            self._bound()
        self._note()
        show_no_frames_of_ours(self.patches)
        atexit.register(self.finish)
        self.patches.set(os, "_exit", self._exit_with_report)
        os.register_at_fork(after_in_child=self._in_child)
        self._watch()

    def _bound(self) -> None:
        if not self.options.keep_fd_limit:
            self.fd_limit = raise_fd_limit()
        if self.options.threads:
            found = current_budget()
            set_budget(
                Budget(
                    threads=self.options.threads,
                    processes=found.processes,
                    descriptors=found.descriptors,
                    memory_bytes=found.memory_bytes,
                )
            )
        if self.options.lines:
            bound_default_executors(self.patches, lambda: LoopExecutor(carry))
            share_anyio_workers(self.patches, lambda call: shared_pool().submit(carry(call)))
        else:
            bound_default_executors(self.patches)
            share_anyio_workers(self.patches)

    def _note(self) -> None:
        if self.lines is not None:
            follow_callers(self.patches, self.tasks.created)
            self.children.install(self.patches)
        if self.lines is not None or not self.options.observe:
            note_openers(self.patches, self.lines, self.shortage)
        self.threads.install(self.patches)
        self.select_users.install(self.patches, self.shortage)
        if not self.options.observe:
            self._killed.install(self.patches, self.shortage)
            _show_crashes()

    def _watch(self) -> None:
        # Threads inherit the mask: signals are for the program's own threads, which may wait for them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.monitor.start()
            self._wait_for_signals()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _wait_for_signals(self) -> None:
        try:
            if not self.options.observe:
                self._killed.start()
        except (OSError, NotImplementedError) as error:  # no descriptor; not with this C library
            _LOG.warning("no report where SIGTERM or SIGHUP ends the program: %s", error)
        try:
            self._asked.start(tuple(self._killed.pipes.values()), self._killed.die)
        except (OSError, RuntimeError, ValueError, AttributeError) as error:
            self._killed.close()
            _LOG.warning("no report on signals, and no look at pools that stand still: %s", error)

    def _new_monitor(self) -> Monitor:
        places = self.lines.places if self.lines is not None else None
        return Monitor(interval=self.options.interval, on_change=self._changed, places=places)

    def _log_to(self) -> None:
        if self.options.log:
            handler: logging.Handler = logging.FileHandler(self.options.log, delay=True)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        else:
            handler = logging.StreamHandler(sys.__stderr__)
            handler.setFormatter(logging.Formatter("holdfast: %(message)s"))
        _LOG.addHandler(handler)
        _LOG.propagate = False

    # ------------------------------------------------------------ while it runs

    def _changed(self, change: Change) -> None:
        if change.name in {"memory", "memory pressure"}:
            self.trimmer.short = change.now != "ok"

    def _tick(self) -> None:
        try:
            for parked in self.parked.look():
                _LOG.warning("%s", parked)
            if not self.options.observe:
                self.trimmer.trim_if_short()
        except Exception as error:  # noqa: BLE001 - the next tick may do better, and the thread is needed
            _LOG.warning("a look at the pools failed: %r", error)

    def _answer(self, stacks: str) -> None:
        path = self._report("SIGUSR1", at_exit=False, stacks=stacks)
        _LOG.warning("asked by SIGUSR1: %s", path)

    def _alarm(self, why: str) -> None:
        """A report in the middle of a failure, on the thread that met it."""
        path = self._report(why, at_exit=False, ending="-alarm")
        _LOG.error("%s: %s", why, path)

    # ------------------------------------------------------------ reports

    def _base(self, ending: str) -> str:
        base = self.options.report.replace("%p", str(os.getpid())) or default_base()
        if self.options.children and "%p" not in self.options.report and self.options.report:
            base = f"{base}-{os.getpid()}"
        return base + ending

    def _report(self, reason: str, *, at_exit: bool, stacks: str = "", ending: str = "") -> str:
        try:
            with self._writing:
                report = make_report(self, reason, at_exit=at_exit, stacks=stacks)
                return write_report(report, self._base(ending), data=bool(self.options.report))
        except Exception as error:  # noqa: BLE001 - nothing of the guard may reach the program
            return f"the report failed: {error!r}"

    def finish(self) -> None:
        """The program ends: report what it leaves; of no effect after the first time."""
        if os.getpid() != self._pid:
            return
        self._killed.settle()
        if self._over:
            return
        with self._writing:
            self._last_report("exit", f"what {os.getpid()} leaves behind")
        self._killed.settle()
        self._asked.close()
        self._killed.close()
        self.monitor.close(1.0)

    def _ended_by(self, name: str, stacks: str) -> None:
        """A signal ends the program, which has had no chance to give anything back."""
        with self._writing:
            if not self._over:
                self._last_report(name, f"{os.getpid()} is ended by {name}", stacks=stacks)

    def _last_report(self, reason: str, headline: str, *, stacks: str | None = None) -> None:
        self._over = True
        self.shortage.let_go()
        try:
            report = make_report(self, reason, at_exit=stacks is None, stacks=stacks or "")
            told = in_brief(report)
            if told or self.options.report:
                path = write_report(report, self._base(""), data=bool(self.options.report))
                if told:
                    _say(f"holdfast: {headline}\n{told}\n  the whole report: {path}\n")
        except Exception as error:  # noqa: BLE001 - the exit code must stand
            _say(f"holdfast: no report at the end: {error!r}\n")

    def _exit_with_report(self, status: int) -> Any:
        self.finish()
        self._exit(status)

    def _in_child(self) -> None:
        self._asked.forget()
        self._killed.forget()
        self.threads.forget()
        if self._over or not self.options.children:
            self._over = True
            return
        self._pid, self.began = os.getpid(), clock.now()
        self._writing = threading.Lock()
        self.tasks.peaks.clear()
        self.parked.found.clear()
        self.threads.full.clear()
        self.shortage.met = self.shortage.relieved = self.threads.refused = 0
        self._watch()


def _show_crashes() -> None:
    """A crash in C code leaves no report: all that can be had of it are the stacks."""
    with suppress(OSError, ValueError, RuntimeError, AttributeError):
        if not faulthandler.is_enabled():
            faulthandler.enable(sys.__stderr__.fileno())  # type: ignore[union-attr] # suppressed


def _say(text: str) -> None:
    """On standard error as the process got it; a program that has closed it hears nothing."""
    with suppress(OSError, ValueError, AttributeError):
        sys.__stderr__.write(text)  # type: ignore[union-attr] # suppressed
        sys.__stderr__.flush()  # type: ignore[union-attr] # likewise
