"""Threads that hand calls over and nothing else: what the machine and the interpreter ask for it.

No permits, no bound on what waits, no context variables, no cancellation, no timeouts, no statistics, no
way to end: a floor to measure pools against, not something to use. Each call goes through a ``deque``;
the thread that was busy last is woken first; one wake-up serves all calls that wait by then.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ("BareFuture", "BareLoopThreads", "BareThreads")


class _Pipe:
    """A latch over a pipe, as ``holdfast._core.latch`` explains it."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()

    def acquire(self) -> None:
        os.read(self.read_fd, 1)

    def release(self) -> None:
        os.write(self.write_fd, b"\0")

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


class BareFuture:
    """Where a value will be; for one waiter."""

    done = False
    value: Any = None
    waiter: "_Pipe | None" = None

    def __init__(self, home: "BareThreads", fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.home = home
        self.fn = fn
        self.args = args

    def work(self) -> None:
        self.value = self.fn(*self.args)
        self.done = True
        if self.waiter is not None:
            self.waiter.release()

    def result(self) -> Any:
        if not self.done:
            self.waiter = self.home.pipe
            while not self.done:  # the pipe may be open from a wait that was not necessary
                self.home.pipe.acquire()
        return self.value


class _Threads:
    """So many threads at most, and a line of calls."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line: deque[Any] = deque()
        self._idle: list[threading.Lock] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._searching = False
        self._ended = False

    def send(self) -> None:
        """Wake or start one thread for what waits, unless one is on its way."""
        with self._lock:
            if self._searching or not self._line:
                return
            self._searching = True
            lock = self._idle.pop() if self._idle else None
            if lock is None and len(self._threads) >= self._limit:
                self._searching = False
                return
        if lock is not None:
            lock.release()
            return
        thread = threading.Thread(target=self._work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        line, searching = self._line, True
        while not self._ended:
            try:
                call = line.popleft()
            except IndexError:
                with self._lock:
                    if searching:
                        self._searching = searching = False
                    if line:
                        continue
                    self._idle.append(lock)
                lock.acquire()
                searching = True
                continue
            if searching:
                self._searching = searching = False
                if line:
                    self.send()
            self.run(call)
            call = None

    def run(self, call: Any) -> None:
        """Run one call and tell whoever waits for it."""
        raise NotImplementedError

    def close(self) -> None:
        self._ended = True
        for lock in self._idle:
            lock.release()
        for thread in self._threads:
            thread.join()


class BareThreads(_Threads):
    """For blocking code: ``submit`` and ``result``, by one thread."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.pipe = _Pipe()

    def submit(self, fn: Callable[..., Any], *args: Any) -> BareFuture:
        call = BareFuture(self, fn, args)
        self._line.append(call)
        if not self._searching:
            self.send()
        return call

    def run(self, call: BareFuture) -> None:
        call.work()

    def close(self) -> None:
        super().close()
        self.pipe.close()


class BareLoopThreads(_Threads):
    """For one loop: ``run``."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._loop = asyncio.get_running_loop()
        self._pipe = _Pipe()
        self._done: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._armed = self._deferred = False
        self._loop.add_reader(self._pipe.read_fd, self._deliver)

    async def run_call(self, fn: Callable[[], Any]) -> Any:
        future = self._loop.create_future()
        self._line.append((future, fn))
        if not self._deferred:
            self._deferred = True
            self._loop.call_soon(self._end_pass)
        return await future

    def _end_pass(self) -> None:
        self._deferred = False
        self.send()

    def run(self, call: tuple["asyncio.Future[Any]", Callable[[], Any]]) -> None:
        future, fn = call
        self._done.append((future, fn()))
        if not self._armed:
            self._armed = True
            self._pipe.release()

    def _deliver(self) -> None:
        self._pipe.acquire()
        self._armed = False
        for _ in range(len(self._done)):
            future, value = self._done.popleft()
            future.set_result(value)

    def close(self) -> None:
        self._loop.remove_reader(self._pipe.read_fd)
        super().close()
        self._pipe.close()
