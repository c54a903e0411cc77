"""``Runtime``: opens what a program runs on, in order, and ends it in order, whatever happens in between.

Opening: the settings are read; the limit of descriptors is raised; the budget is set by what the machine
leaves; the bound for retries is set; the monitor starts, then the governor; the share among processes is
taken; SIGTERM is taken over. If a step fails, the ones before it are undone.

Ending: what the runtime owns is ended (``_estate.py``: pools first, callers before what they call, then
the rest, the youngest first), within the grace; SIGTERM is put back, the share given back, the governor
and the monitor closed; bounds for retries and budget are again what they were. Descriptors keep their
limit.

States: new -> open -> ending -> closed, once each. SIGTERM sets ``ending`` while the block still runs.
There is one open runtime in a process. In a child after a fork it is closed, and the child may open one.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from holdfast._core import check, clock
from holdfast.config import Config, load
from holdfast.errors import Leaked
from holdfast.pools._forked import forks
from holdfast.pools.budget import Budget
from holdfast.runtime._belongings import Belongings
from holdfast.runtime._block_end import is_by_the_end, still_open, told_of
from holdfast.runtime._foundation import Foundation
from holdfast.runtime._sigterm import EXIT, Sigterm
from holdfast.sense.fd_limit import FdLimit
from holdfast.track._site import NOWHERE, Site, caller
from holdfast.watch.governor import Governor
from holdfast.watch.monitor import Monitor
from holdfast.watch.snapshot import Snapshot, snapshot

__all__ = ("Runtime",)

log = logging.getLogger("holdfast.runtime")


class _Place:
    """Where the one runtime of the process is."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.taken: Runtime | None = None


_PLACE: Final = _Place()


class Runtime(Belongings):
    """Everything that a program runs on, opened together and ended together.

    Use it as ``async with holdfast.Runtime() as rt`` or ``with holdfast.Runtime() as rt``, once. It reads the
    settings and the machine, raises the limit of descriptors, sets the budget, and starts monitor and
    governor. The pools ``llm``, ``db``, ``io`` and ``cpu`` are made when they are first asked for, as large as
    :func:`holdfast.watch.recommend.recommend` says or as the settings do.

    When the block ends, what was accepted is finished, within the grace (``grace`` seconds, 30 if nobody has
    set it), and everything is closed. After an error in the block, what waits is refused, and only what runs is
    finished.

    On SIGTERM, in the main thread: ``ending`` is true; the pools finish what they have accepted and refuse what
    comes, callers before what they call; when that is done, or the grace is over, the block is cancelled
    (``async with``) or interrupted (``with``), and ends with ``SystemExit(143)``, as it does if it ends by itself
    meanwhile. A second SIGTERM ends the process at once.

    Args:
        config: The settings; None reads them, see :func:`holdfast.config.load`.
        sigterm: Whether SIGTERM drains. It is left alone in any case outside of the main thread, and where it
            is ignored. A handler that is there already is called, too.

    Raises:
        ValueError, FileNotFoundError: As the block begins: a setting can't be.
        RuntimeError: As the block begins: another runtime is open in this process, or this one was.
        Leaked: At the end of a block without an error: something could not be closed, or still runs.
            ``held`` has a line for each. With an error it is a note of that.

    Example:
        >>> with Runtime() as rt:
        ...     rt.io.submit(pow, 2, 10).result()
        1024
    """

    def __init__(self, config: Config | None = None, *, sigterm: bool = True) -> None:
        if config is not None:
            check.kind("config", config, Config, "a Config, or None to read the settings")
        self._given = config
        self._takes_sigterm = sigterm
        super().__init__()
        self._undo = contextlib.ExitStack()
        self._sigterm: Sigterm | None = None
        self._told: asyncio.Event | None = None
        self._site: Site = NOWHERE
        forks(self)

    # ------------------------------------------------------------ what it knows

    @property
    def config(self) -> Config:
        """The settings, once the block has begun."""
        return self._config

    @property
    def budget(self) -> Budget:
        """What the process may use, were it alone; with ``share`` the pools have a part of its threads."""
        return self._ground.budget

    @property
    def fd_limit(self) -> FdLimit | None:
        """What became of raising the limit of descriptors; None if ``fd_target`` is 0."""
        return self._ground.fd_limit

    @property
    def monitor(self) -> Monitor:
        """The monitor; it does not run if the settings turn it off."""
        return self._ground.monitor

    @property
    def governor(self) -> Governor | None:
        """The governor; None if the settings turn it off."""
        return self._ground.governor

    def snapshot(self) -> Snapshot:
        """Return everything as it is now; see :func:`holdfast.snapshot`. The governor's decisions are in it."""
        return snapshot()

    @property
    def ending(self) -> bool:
        """Whether the program has been told to end, or the block has ended."""
        return self._state in {"ending", "closed"} or bool(self._sigterm and self._sigterm.told)

    async def wait_ending(self) -> None:
        """Wait until the program is told to end; for servers, which then stop accepting by themselves.

        Raises:
            RuntimeError: The block is none of ``async with``, or of another loop.
        """
        if self._told is None or self._task is None:
            msg = "wait_ending needs `async with Runtime()`; in blocking code look at `ending`"
            raise RuntimeError(msg)
        await self._told.wait()

    # ------------------------------------------------------------ the block

    def __enter__(self) -> Self:
        self._open()
        return self

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._open()
        self.monitor.watch_loop()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._begin_end()
        orderly = error is None or self._is_told
        refused: list[str] = []
        interrupt: BaseException | None = None
        try:
            while not self._is_over():
                more, stop = self._estate.end(orderly=orderly and interrupt is None)
                refused += more
                interrupt = interrupt or stop
        finally:
            self._undo.close()
        self._finish(refused, interrupt or error)
        if interrupt is not None:
            raise interrupt

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._begin_end()
        orderly = error is None or self._is_told
        refused: list[str] = []
        interrupt: BaseException | None = None
        try:
            while not self._is_over():
                more, stop = await self._estate.aend(orderly=orderly and interrupt is None)
                refused += more
                interrupt = interrupt or stop
        finally:
            self.monitor.unwatch_loop()
            self._undo.close()
        self._finish(refused, interrupt or error)
        if interrupt is not None:
            raise interrupt

    def after_fork(self) -> None:
        """Leave everything to the parent; called by the interpreter in a child."""
        _PLACE.lock = threading.Lock()
        if _PLACE.taken is self:
            _PLACE.taken = None
            self._leave_behind()
            self._undo.pop_all()
            if self._sigterm is not None:
                self._sigterm.after_fork()

    # ------------------------------------------------------------ inside: the beginning

    def _open(self) -> None:
        self._config = self._given or load()
        self._site = caller()
        self._opened_at = clock.now()
        with _PLACE.lock:
            if self._state != "new":
                msg = f"this Runtime is {self._state} already: make a new one for each block"
                raise RuntimeError(msg)
            if _PLACE.taken is not None:
                msg = (
                    f"a Runtime is open in this process already, since {_PLACE.taken._site}: there is one budget, "  # noqa: SLF001 - this very class's
                    "so there is one owner of it; hand that one on, or end it first"
                )
                raise RuntimeError(msg)
            _PLACE.taken = self
            self._state = "open"
        self._undo.callback(self._give_place_back)
        try:
            self._foundation = Foundation(self._config)
            self._undo.callback(self._foundation.close)
            if self._takes_sigterm:
                self._arm()
        except BaseException:
            self._state = "closed"
            self._undo.close()
            raise

    def _arm(self) -> None:
        sigterm = Sigterm(self._drain, None if self._task is None else self._leave)
        self._undo.callback(sigterm.disarm)
        self._sigterm = sigterm
        try:
            sigterm.arm()
        except RuntimeError as error:
            log.warning("SIGTERM will not drain, as there is no thread for it: %s", error)

    # ------------------------------------------------------------ inside: the end

    @property
    def _is_told(self) -> bool:
        return self._sigterm is not None and self._sigterm.told

    def _drain(self) -> None:
        """After SIGTERM, on its thread: have what was accepted end, callers before what they call."""
        self._estate.give_time(self._config.grace)
        log.warning(
            "SIGTERM: the pools finish what they have accepted, for up to %.0f s",
            self._config.grace,
        )
        if self._told is not None:
            self._from_outside(self._told.set)
        done: list[Any] = []
        while left := [pool for pool in self._estate.pools() if not _among(pool, done)]:
            done.append(left[0])
            try:
                left[0].drain(self._estate.left())
            except Exception:  # the others are drained all the same, and the block ends
                log.exception("%r could not be drained", left[0])

    def _leave(self) -> None:
        self._from_outside(self._cancel_block)

    def _from_outside(self, fn: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(fn)

    def _cancel_block(self) -> None:
        if self._sigterm is not None and self._sigterm.inside and self._task is not None:
            self._task.cancel("SIGTERM")

    def _begin_end(self) -> None:
        if self._sigterm is not None:
            self._sigterm.inside = False
        self._state = "ending"
        self._estate.give_time(self._config.grace)

    def _is_over(self) -> bool:
        """Whether all has ended; from then on nothing is opened any more."""
        with self._lock:
            if not self._estate.is_empty:
                return False
            self._state = "closed"
            return True

    def _give_place_back(self) -> None:
        with _PLACE.lock:
            if _PLACE.taken is self:
                _PLACE.taken = None

    def _finish(self, refused: list[str], error: BaseException | None) -> None:
        """Everything is closed: say what is not, and how the block ended."""
        left = still_open(clock.now() - self._opened_at)
        if left:
            log.warning("%s", left)
        msg = told_of(refused)
        if refused and (error is not None or self._is_told):
            log.warning("%s", msg)
        if self._is_told and (error is None or is_by_the_end(error)):
            if self._task is not None and isinstance(error, asyncio.CancelledError):
                self._task.uncancel()
            raise SystemExit(EXIT) from error
        if refused and error is not None:
            error.add_note(msg)
        elif refused:
            raise Leaked(msg, held=tuple(refused))


def _among(thing: object, things: list[Any]) -> bool:
    return any(each is thing for each in things)
