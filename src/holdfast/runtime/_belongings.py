"""What belongs to a runtime: its pools, made when they are first asked for, and whatever is opened through it."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

from holdfast.config.settings import Config
from holdfast.errors import PoolClosed
from holdfast.runtime._default_pools import make_cpu, make_db, make_io, make_llm, make_programs
from holdfast.runtime._estate import PROGRAMS, Estate
from holdfast.runtime._foundation import Foundation

if TYPE_CHECKING:
    import asyncio
    import os

    from holdfast.pools.async_pool import AsyncPool
    from holdfast.pools.process_pool import ProcessPool
    from holdfast.pools.thread_pool import ThreadPool
    from holdfast.track.http import Http
    from holdfast.track.process.result import ProcessResult
    from holdfast.track.process.spec import Command
    from holdfast.track.sqlite import SQLite

__all__ = ("Belongings",)

T = TypeVar("T")

_DESCRIPTORS_OF_A_PROGRAM: Final = 6
"""Three pipes, the descriptor of the process, and two more while it starts."""


class Belongings:
    """The part of a runtime that hands things out. May be used from any thread while it is open."""

    _config: Config

    def __init__(self) -> None:
        self._state: Literal["new", "open", "ending", "closed"] = "new"
        self._lock = threading.RLock()
        self._pools: dict[str, Any] = {}
        self._estate = Estate()
        self._foundation: Foundation | None = None
        self._task: asyncio.Task[Any] | None = None

    def __repr__(self) -> str:
        return f"<Runtime: {self._state}, pools {', '.join(self._pools) or 'none yet'}>"

    # ------------------------------------------------------------ pools

    @property
    def llm(self) -> "AsyncPool":
        """The pool for coroutines that call models; from any thread.

        Raises:
            PoolClosed: The runtime is closed.
        """
        return cast("AsyncPool", self._pool("llm", make_llm))

    @property
    def db(self) -> "ThreadPool":
        """The pool of threads for a database; see :attr:`llm`."""
        return cast("ThreadPool", self._pool("db", make_db))

    @property
    def io(self) -> "ThreadPool":
        """The pool of threads for files, and for whatever else blocks; see :attr:`llm`."""
        return cast("ThreadPool", self._pool("io", make_io))

    @property
    def cpu(self) -> "ProcessPool":
        """The pool of processes that compute; see :attr:`llm`."""
        return cast("ProcessPool", self._pool("cpu", make_cpu))

    def _pool(self, name: str, make_one: Callable[..., Any]) -> Any:
        with self._lock:
            self._check_open()
            if name not in self._pools:
                pool = make_one(getattr(self._config.pools, name), self._ground.machine())
                self._pools[name] = self._keep(pool)
            return self._pools[name]

    def _programs(self) -> "AsyncPool":
        with self._lock:
            self._check_open()
            if "subprocess" not in self._pools:
                budget = self._ground.budget
                most = min(budget.processes, budget.descriptors // _DESCRIPTORS_OF_A_PROGRAM)
                pool = make_programs(max(1, most))
                self._estate.own(pool, PROGRAMS)
                self._pools["subprocess"] = pool
            return cast("AsyncPool", self._pools["subprocess"])

    # ------------------------------------------------------------ everything else that it owns

    def own(self, thing: T) -> T:
        """Close ``thing`` with the runtime: a pool of your own, a client, a file.

        Pools are drained first, callers before what they call; everything else is closed after them, the
        youngest first. May be called from any thread.

        Args:
            thing: Anything with ``close`` or ``aclose``.

        Returns:
            ``thing``.

        Raises:
            TypeError: It has neither.
            PoolClosed: The runtime is closed.
        """
        with self._lock:
            self._check_open()
            return self._keep(thing)

    def _keep(self, thing: T) -> T:
        self._estate.own(thing)
        if self._ground.share is not None:
            self._ground.share.tick()  # what is wanted has changed
        return thing

    def sqlite(self, path: "str | os.PathLike[str]", **options: Any) -> "SQLite":
        """Open a SQLite file, and close it with the runtime.

        Args:
            path: The file.
            options: Those of :func:`holdfast.sqlite`.
        """
        from holdfast.track.sqlite import sqlite  # noqa: PLC0415 - not every program has a database

        return self.own(sqlite(path, **options))

    @property
    def http(self) -> "Http":
        """Shared HTTP clients of the running loop, as :data:`holdfast.http`: ``rt.http()``, ``rt.http.openai()``.

        Those of the runtime's own loop are closed with it, those of another loop with that. The blocking
        ones, ``rt.http.blocking.httpx2()``, are closed with it.
        """
        from holdfast.track.http import http  # noqa: PLC0415 - not every program calls anybody

        with self._lock:
            self._check_open()
            if self._task is not None:
                self._estate.own(http)
            self._estate.own(http.blocking)
        return http

    async def subprocess(self, cmd: "Command", **options: Any) -> "ProcessResult":
        """Run a program to its end, in a pool that ends with the runtime.

        Args:
            cmd: The program and its arguments.
            options: Those of :func:`holdfast.run_process`.

        Returns:
            Exit status, output, and figures.

        Raises:
            Exception: See :func:`holdfast.run_process`.
        """
        from holdfast.flow.process import run_process  # noqa: PLC0415 - not every program runs others

        options.setdefault("pool", self._programs())
        return await run_process(cmd, **options)

    # ------------------------------------------------------------ inside

    @property
    def _ground(self) -> Foundation:
        if self._foundation is None:
            msg = "the Runtime is not open yet: use it as `async with holdfast.Runtime() as rt`"
            raise RuntimeError(msg)
        return self._foundation

    def _check_open(self) -> None:
        _ = self._ground  # raises before the block
        if self._state == "closed":
            msg = "the Runtime is closed: its pools end with its block"
            raise PoolClosed(msg)

    def _leave_behind(self) -> None:
        """In a child after a fork: all of it is the parent's."""
        self._lock = threading.RLock()
        self._state = "closed"
        self._pools = {}
        self._estate = Estate()
        self._ground.forget()
