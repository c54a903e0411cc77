"""Samples of this process on a clock of their own: history, levels, trends, and a word at each change."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from holdfast._core import check, clock
from holdfast.pools._forked import forks
from holdfast.sense.loop_lag import LoopLag
from holdfast.watch._levels import merged
from holdfast.watch._readings import Places
from holdfast.watch._ticker import TICKER
from holdfast.watch._voice import Voice
from holdfast.watch._watch import Change, Watch
from holdfast.watch.history import Point
from holdfast.watch.serving import Serving, serve
from holdfast.watch.snapshot import SOURCES, MonitorStats, Snapshot
from holdfast.watch.thresholds import Level, Threshold
from holdfast.watch.verdict import Verdict

__all__ = ("Change", "Monitor")

_LONGEST_REST: Final = 60.0
_LOGGED_AS: Final[dict[str, int]] = {
    "ok": logging.INFO,
    "caution": logging.WARNING,
    "critical": logging.ERROR,
}


class Monitor:
    """Watches this process: takes samples, keeps a day of them, and says what changes.

    All monitors of a process share one thread, which exists while one of them is started. Nothing that
    goes wrong in it reaches the program: what a reading or a callback raises is counted, logged, and
    followed by a longer pause.

    A change of level (ok, caution, critical; with hysteresis), or of what a trend says, is told once: a
    record of the logger ``holdfast.monitor``, and a call of ``on_change``. Records are never a flood: ten
    at once, then one in thirty seconds, and the next says how many were held back.

    Use it as a context manager, or ``start`` and ``close`` it. With ``async with`` it watches the lag of
    the loop, too. In a child after a fork it is stopped and has forgotten everything, and can be started.

    Args:
        interval: Seconds between two samples, more than 0.
        on_change: Called on the monitor's thread with each :class:`Change`, so it must be quick, and
            thread-safe in what it touches.
        thresholds: In addition to the usual ones, or in place of those with the same name, by name:
            ``"descriptors"``, ``"threads"``, ``"processes"``, ``"memory"`` and ``"pools"`` (the part of
            the bound that is used, 1.0 for all of it; of pools, of the queue), ``"loop lag"`` (seconds),
            ``"memory pressure"``, ``"io pressure"``, and, not among the usual ones, ``"cpu pressure"``
            (per cent of the last ten seconds in which some task stood still). None turns one off.
        places: Returns the line that opened each descriptor, by number, for those of which it is known:
            then trends count by line, else by what the kernel tells (the other end of a connection, the
            folder of a file).
        serve: Whether it shows this process to ``holdfast top`` while it runs, on a socket that only the
            same user may ask (:func:`holdfast.watch.serve`). That it can't is logged, and no error.

    Example:
        >>> with Monitor(interval=10) as monitor:
        ...     monitor.sample().level
        'ok'
    """

    def __init__(
        self,
        *,
        interval: float = 1.0,
        on_change: Callable[[Change], object] | None = None,
        thresholds: Mapping[str, Threshold | None] | None = None,
        places: Places | None = None,
        serve: bool = False,
    ) -> None:
        self._serve = serve
        self._serving: Serving | None = None
        self._interval = check.seconds("interval", interval) or 1.0
        self._on_change = None if on_change is None else check.callable_("on_change", on_change)
        self._thresholds = merged(thresholds or {})
        self._places = places
        self._clock = clock.current()
        self._loops: dict[asyncio.AbstractEventLoop, LoopLag] = {}
        self._forget()
        forks(self)

    def _forget(self) -> None:
        self._lock = threading.RLock()  # the collector, or a signal handler, may come in the middle
        self._watch: Watch | None = None
        self._voice = Voice()
        self._samples = self._changes = self._failures = self._in_a_row = 0
        self._last_failure = ""

    # ------------------------------------------------------------ life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self.start()
        self.watch_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unwatch_loop()
        self.close()

    @property
    def running(self) -> bool:
        """Whether it takes samples by itself."""
        return self in TICKER

    def start(self) -> bool:
        """Take samples from now on, the first one at once, on the monitor's thread.

        May be called from any thread, and again after ``close``; of no effect if it runs.

        Returns:
            Whether it runs: False if the system refused the thread, which is logged. Then it can be tried
            again, and ``sample`` still works.
        """
        if self.running:
            return True
        try:
            TICKER.add(self, 0.0)
        except RuntimeError as error:
            self._fail(
                error, "the monitor got no thread, and takes samples only when it is asked to"
            )
            return False
        SOURCES.append(self)
        if self._serve:
            try:
                self._serving = serve()
            except (OSError, RuntimeError) as error:
                self._fail(error, "the process can't be shown to `holdfast top`")
        return True

    def close(self, timeout: float | None = 5.0) -> bool:
        """Take no more samples, and close what was kept open for them; may be repeated.

        May be called from any thread, also from ``on_change``.

        Args:
            timeout: Longest wait in seconds for a sample, or a callback, that is under way; None is no
                bound.

        Returns:
            Whether nothing of it is under way any more.
        """
        with contextlib.suppress(ValueError):
            SOURCES.remove(self)
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.close()
        ended = TICKER.remove(self, timeout)
        if ended:
            with self._lock:
                self._let_go()
        return ended

    def after_fork(self) -> None:
        """Start clean in a child; called by the interpreter."""
        with contextlib.suppress(ValueError):
            SOURCES.remove(self)
        self._loops = {}
        self._serving = None
        self._forget()

    def watch_loop(self) -> None:
        """Measure the lag of the running event loop, too; until ``unwatch_loop`` is called on it.

        Raises:
            RuntimeError: There is no running loop.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop in self._loops:
                return
            lag = self._loops[loop] = LoopLag()
            lag.start()
            if self._watch is not None:
                self._watch.readings.lags.append(lag)

    def unwatch_loop(self) -> None:
        """Measure the lag of the running event loop no more; of no effect if it is not measured.

        Raises:
            RuntimeError: There is no running loop.
        """
        with self._lock:
            lag = self._loops.pop(asyncio.get_running_loop(), None)
            if lag is not None:
                lag.stop()
                if self._watch is not None:
                    self._watch.readings.lags.remove(lag)

    # ------------------------------------------------------------ what it knows

    def sample(self) -> Snapshot:
        """Take a sample now, and return everything as it is.

        It is one more among those that are taken by themselves: it goes into the history and the
        trends, and a change is told, on this thread. May be called from any thread, whether the monitor
        runs or not.
        """
        with self._lock:
            found, changes = self._take()
            if not self.running:
                self._let_go()
        self._tell(changes)
        return found

    def history(self, name: str, *, seconds: float = 3600.0) -> tuple[Point, ...]:
        """Return what a series was lately: the lowest, mean and highest value of each slot.

        May be called from any thread. A slot is a second long for the last fifteen minutes, fifteen
        seconds for four hours, two minutes for 26 hours.

        Args:
            name: ``"descriptors"``, ``"threads"``, ``"memory"``, ``"cpus"`` (how many were busy),
                ``"in flight"``, ``"queued"``, ``"abandoned"`` (of all pools) or ``"loop lag"``.
            seconds: How far back, more than 0.

        Returns:
            The oldest first.

        Raises:
            KeyError: There is no such series.
        """
        with self._lock:
            return self._ready().history.points(name, seconds=seconds)

    @property
    def trends(self) -> tuple[Verdict, ...]:
        """Where descriptors, threads and memory are heading."""
        with self._lock:
            return tuple(trend.verdict for trend in self._ready().readings.trends)

    @property
    def level(self) -> Level:
        """The worst level of all readings at the last sample."""
        with self._lock:
            return self._ready().levels.worst

    @property
    def levels(self) -> dict[str, Level]:
        """The level of each reading at the last sample, by name; empty before the first."""
        with self._lock:
            return {} if self._watch is None else self._watch.levels.levels

    def stats(self) -> MonitorStats:
        """Return what the monitor has done since it was made."""
        with self._lock:
            return MonitorStats(
                samples=self._samples,
                scans=0 if self._watch is None else self._watch.readings.scans,
                changes=self._changes,
                held_back=self._voice.held_back,
                failures=self._failures,
                last_failure=self._last_failure,
            )

    # ------------------------------------------------------------ inside

    def tick(self) -> float:
        """Take a sample; called by the ticker, never raises, returns when to come again in seconds."""
        failed = self._failures
        try:
            with self._lock:
                _, changes = self._take()
            self._tell(changes, BaseException)
        except BaseException as error:  # noqa: BLE001 - a SystemExit would end the thread of all monitors
            self._fail(error, "a sample failed")
        self._in_a_row = self._in_a_row + 1 if self._failures > failed else 0
        return min(self._interval * 2.0**self._in_a_row, max(self._interval, _LONGEST_REST))

    def _take(self) -> tuple[Snapshot, list[Change]]:
        watch = self._ready()
        self._samples += 1
        found, changes = watch.take(self.stats())
        self._changes += len(changes)
        return found, changes

    def _ready(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(
                self._clock,
                self._thresholds,
                self._places,
                lambda error: self._fail(error, "a reading failed"),
            )
            self._watch.readings.lags += self._loops.values()
        return self._watch

    def _let_go(self) -> None:
        if self._watch is not None:
            self._watch.readings.close()

    def _tell(self, changes: list[Change], caught: type[BaseException] = Exception) -> None:
        """Without the lock: a callback may take as long as it likes, and ask what it likes."""
        for change in changes:
            self._voice.say(self._clock.now(), _level_of(change), change.text)
            if self._on_change is not None:
                try:
                    self._on_change(change)
                except caught as error:
                    self._fail(error, f"on_change failed with the change of {change.name}")

    def _fail(self, error: BaseException, what: str) -> None:
        text = f"{what}: {type(error).__name__}: {error}"
        with self._lock:
            self._failures += 1
            self._last_failure = text
        self._voice.say(self._clock.now(), logging.WARNING, text, error=error)


def _level_of(change: Change) -> int:
    if change.kind == "trend":
        return logging.INFO if change.now == "none" else logging.WARNING
    return _LOGGED_AS[change.now]
