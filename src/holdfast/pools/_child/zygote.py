"""The zygote: a small process with one thread that forks a pool's workers, and ends and reaps them.

Purpose: fork where forking is safe. The pool's own process has threads; this one has none, and imports
next to nothing, so that a worker is there in milliseconds. It is the parent of all workers, so nothing
of the pool's process is reaped or signalled by mistake.

Guarantees
- every worker that was asked for is reported: forked, or refused with the system's reason;
- every worker's end is reported once, when it and everything that it had started have ended, or when
  they don't, whatever is sent to them;
- when the pool's process is gone, whatever became of it, all workers and what they started are ended.

How what a worker has started is found: a worker is in a session of its own, and *subreaper* of what it
starts, so that nothing can leave it while it lives. When it has ended, all that is left of it becomes
a child of the zygote, which is a subreaper too: a child that is no worker is such a rest. Without
subreapers (not on Linux) it is found as far as :mod:`holdfast._core.process_tree` can.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from _pickle import loads

from holdfast.pools._child import wire
from holdfast.pools._child.reaper import Reaper
from holdfast.pools._child.worker import Setup, serve

TYPE_CHECKING = False  # the module typing takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from holdfast.pools._child.monitor import Monitor

__all__ = ("main",)

_LINUX = sys.platform == "linux"


def main(control_fd: int) -> None:
    """Serve the pool at the other end of ``control_fd`` until it is gone."""
    control = socket.socket(fileno=control_fd)
    config = loads(_read_config(control))
    Zygote(control, config).run()


def _read_config(control: socket.socket) -> bytes:
    size = int.from_bytes(control.recv(8, socket.MSG_WAITALL), "little")
    data = bytearray()
    while len(data) < size:
        part = control.recv(size - len(data))
        if not part:
            os._exit(0)
        data += part
    return bytes(data)


class Zygote:
    """Its state: which workers there are, and which of them are being ended."""

    def __init__(self, control: socket.socket, config: dict[str, Any]) -> None:
        self.control = control
        self.config = config
        self.workers: dict[int, int] = {}  # by process number
        self.pids: dict[int, int] = {}  # by worker
        self.setup = Setup()
        self.setup.main = config["main"]
        self.setup.needs_main = config["needs_main"]
        self.setup.initializer = config["initializer"]
        self.setup.inline = config["inline"]
        self.prctl = _prctl()
        self.reaper = Reaper(self, config["grace"])
        self.monitor: Monitor | None = None
        if config["max_memory"]:
            from holdfast.pools._child.monitor import Monitor  # noqa: PLC0415 - where it is wanted

            self.monitor = Monitor(self, config["max_memory"])
        self.wake_fds = (-1, -1)
        self.gone = False  # the pool's process

    def run(self) -> None:
        """Serve until the pool is gone and everything has ended."""
        self._prepare()
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if _LINUX else _pipe()
        signal.signal(signal.SIGCHLD, _heard)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self.wake_fds = wake_read, wake_write
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        wait: float | None = None
        while True:
            ready = poll.poll(None if wait is None else max(0.0, wait * 1000.0))
            if not ready and self.workers:
                self.reaper.prepare()  # a quiet moment
            for fd, _ in ready:
                if fd == wake_read:
                    _drain(wake_read)
                elif not self._hear():
                    poll.unregister(self.control)
                    self._orphaned()
            wait = self.reaper.step()
            if self.monitor is not None and self.workers:
                wait = _sooner(wait, self.monitor.step())
            if self.workers and not self.reaper.prepared:
                wait = _sooner(wait, _QUIET)
            if self.gone and not self.workers and self.reaper.idle:
                os._exit(0)

    def _prepare(self) -> None:
        """Become what workers are to be made from."""
        config = self.config
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is for the pool's process
        sys.path[:] = config["path"]
        sys.argv[:] = config["argv"]
        for warning in config["warnings"]:
            sys.warnoptions.append(warning)
        if self.prctl is not None:
            self.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            self.prctl(_PR_SET_NAME, f"{config['name']}/zygote".encode()[:15], 0, 0, 0)
        if config["authkey"] is not None:
            from multiprocessing.process import current_process  # noqa: PLC0415 - where it is in use

            current_process().authkey = config["authkey"]
        self._preload(config["preload"])

    def _preload(self, names: tuple[str, ...]) -> None:
        """Import here what workers will need, so long as it starts no thread; else they do it."""
        if not names:
            return
        read_fd, write_fd = os.pipe()
        pid = os.fork()
        if pid == 0:  # a trial: what was imported can't be taken back
            code = 1
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                for name in names:
                    __import__(name)
                code = 0 if _threads() == 1 else 2
            except BaseException as error:  # noqa: BLE001 - workers will say it
                os.write(write_fd, repr(error).encode()[:4000])
            os._exit(code)
        os.close(write_fd)
        os.read(read_fd, 4096)
        os.close(read_fd)
        _, status = os.waitpid(pid, 0)
        if status == 0:
            for name in names:
                __import__(name)
        else:
            self.setup.modules = tuple(names)

    # ------------------------------------------------------------ the pool

    def tell(self, kind: int, worker: int, *numbers: int) -> None:
        """Send a record to the pool."""
        if self.gone:
            return
        first, second, third = (*numbers, 0, 0, 0)[:3]
        try:  # noqa: SIM105 - contextlib takes longer to import than all of this
            self.control.sendall(wire.RECORD.pack(kind, worker, first, second, third))
        except OSError:
            pass  # it has gone: the next reading says so

    def _hear(self) -> bool:
        """Read one record; False if the pool is gone."""
        try:
            data, fds, _, _ = socket.recv_fds(self.control, wire.RECORD_SIZE, 3)
        except OSError:
            return False
        if not data:
            return False
        while len(data) < wire.RECORD_SIZE:
            part = self.control.recv(wire.RECORD_SIZE - len(data))
            if not part:
                return False
            data += part
        kind, worker, first, second, _ = wire.RECORD.unpack(data)
        if kind == wire.SPAWN:
            if second:
                self.setup.needs_main = True
            self._fork(worker, fds)
        elif kind == wire.END and worker in self.pids:
            self.reaper.end(self.pids[worker], first / 1e9)
        return True

    def _orphaned(self) -> None:
        self.gone = True
        for pid in tuple(self.workers):
            self.reaper.end(pid, min(1.0, self.config["grace"]))

    # ------------------------------------------------------------ workers

    def _fork(self, worker: int, fds: list[int]) -> None:
        try:
            if len(fds) < 2:  # noqa: PLR2004 - a pipe there and one back
                raise OSError(_EMFILE, "descriptors were lost on the way")  # noqa: TRY301 - one way out
            pid = os.fork()
        except OSError as error:
            self.tell(wire.REFUSED, worker, error.errno or 0)
        else:
            if pid == 0:
                _become_worker(self, worker, fds)
            self.workers[pid] = worker
            self.pids[worker] = pid
            self.tell(wire.FORKED, worker, pid)
        for fd in fds:
            os.close(fd)

    def forget(self, pid: int) -> None:
        """The worker has ended and was reaped."""
        self.pids.pop(self.workers.pop(pid), None)


_EMFILE = 24

_QUIET = 0.05
"""Seconds without a word after the first worker, until what ending takes is imported."""


def _become_worker(zygote: Zygote, worker: int, fds: list[int]) -> None:
    """In the child: leave everything of the zygote behind, and never return."""
    code = 1
    try:
        parent = os.getppid()
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        zygote.control.close()
        for fd in zygote.wake_fds:
            os.close(fd)
        if zygote.prctl is not None:
            zygote.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            zygote.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            name = f"{zygote.config['name']}/{worker}"
            zygote.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
            if os.getppid() != parent:
                os._exit(0)  # the zygote ended before it could be watched
        for name in [name for name in sys.modules if name.partition(".")[0] == "holdfast"]:
            del sys.modules[name]
        read_fd, write_fd, *arena = fds
        serve(read_fd, write_fd, arena[0] if arena else -1, zygote.setup)
        code = 0
    except BaseException as error:  # noqa: BLE001 - there is nobody above
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:  # noqa: SIM105 - see above
                stream.flush()
            except BaseException:  # noqa: BLE001, S110 - nothing is left to be done
                pass
        os._exit(code)


# ---------------------------------------------------------------- the system

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36


def _prctl() -> Any:
    if not _LINUX:
        return None
    try:
        import ctypes  # noqa: PLC0415 - some builds have none

        function = ctypes.CDLL(None).prctl
    except Exception:  # noqa: BLE001 - then it is done without
        return None
    return function


def _heard(number: int, frame: Any) -> None:
    """Nothing to do: the signal has written to the pipe that is polled."""


def _threads() -> int:
    if _LINUX:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - no pathlib in here
    import threading  # noqa: PLC0415 - only where the system does not tell

    return threading.active_count()


def _pipe() -> tuple[int, int]:
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    return read_fd, write_fd


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass


def _sooner(first: float | None, second: float | None) -> float | None:
    if first is None:
        return second
    return first if second is None else min(first, second)
