"""What comes due in a resource pool: idle times, lives, loans that last, the next attempt to open.

How: a look at all slots, on the process's timer, each eighth of the shortest of these times (20 ms to
30 s); so each is noticed late by at most an eighth. None while the pool has no slot. While somebody
waits, what finalizers have left is looked for after 50 ms to 1 s. A pool that was forgotten is not kept
alive by its looks.
"""

import contextlib
import threading
import weakref
from typing import Any, Final

from holdfast.pools._timer import TIMER
from holdfast.track._pool_core import PoolCore
from holdfast.track._pool_home import Home
from holdfast.track._pool_reports import Loan, tell_late
from holdfast.track._pool_slot import LEAKED, LENT, SLOW

__all__ = ("PoolWatch",)

_PARTS: Final = 8
_SHORTEST: Final = 0.02
_LONGEST: Final = 30.0
_SOON: Final = 0.05
_LATE: Final = 1.0


class PoolWatch:
    """Looks at one pool now and then. Every method may be called from any thread."""

    def __init__(self, core: PoolCore[Any]) -> None:
        self._core = weakref.ref(core)
        self._lock = threading.Lock()
        self._due: float | None = None
        self._ended = False
        options = core.options
        times = (options.idle_timeout, options.max_lifetime, options.slow_after, options.leak_after)
        known = [seconds for seconds in times if seconds is not None]
        self._period = min(max(min(known, default=_LONGEST) / _PARTS, _SHORTEST), _LONGEST)
        self._retry = _Retry(self)
        self._retry_due: float | None = None
        self._line = _Line(self)
        self._line_due: float | None = None
        self._pause = _SOON

    def start(self) -> None:
        """There is something to look at."""
        with (
            self._lock,
            contextlib.suppress(RuntimeError),
        ):  # no thread for the timer: perhaps next time
            if self._due is None and not self._ended:
                self._due = TIMER.watch(self, self._period)

    def end(self) -> None:
        """The pool is closed and empty."""
        with self._lock:
            self._ended = True
            due, self._due = self._due, None
            retry_due, self._retry_due = self._retry_due, None
            line_due, self._line_due = self._line_due, None
        if due is not None:
            TIMER.unwatch(self, due)
        if retry_due is not None:
            TIMER.unwatch(self._retry, retry_due)
        if line_due is not None:
            TIMER.unwatch(self._line, line_due)

    def somebody_waits(self) -> None:
        """Look at the pool soon: what is lent may come back without anybody's doing."""
        with self._lock, contextlib.suppress(RuntimeError):
            if self._line_due is None and not self._ended:
                self._line_due = TIMER.watch(self._line, self._pause)

    def look_at_line(self) -> None:
        """On the timer's thread: do what finalizers have left, and come again while somebody waits."""
        with self._lock:
            self._line_due = None
            self._pause = min(2 * self._pause, _LATE)
        core = self._core()
        if core is None:
            return
        core.pump()
        if core.line:
            self.somebody_waits()
        else:
            self._pause = _SOON

    def retry(self, seconds: float) -> None:
        """Let the pool try to open something again after a pause."""
        with self._lock, contextlib.suppress(RuntimeError):
            if self._retry_due is None and not self._ended:
                self._retry_due = TIMER.watch(self._retry, seconds)

    def retry_now(self) -> None:
        """On the timer's thread: the pause is over."""
        with self._lock:
            self._retry_due = None
        core = self._core()
        if core is not None:
            core.pump()

    def expire(self) -> None:
        """On the timer's thread: look."""
        with self._lock:
            self._due = None
        core = self._core()
        if core is None:
            return
        look(core)
        if core.slots:
            self.start()


class _Retry:
    """Comes due when a pause is over."""

    __slots__ = ("_watch",)

    def __init__(self, watch: PoolWatch) -> None:
        self._watch = watch

    def expire(self) -> None:
        """On the timer's thread."""
        self._watch.retry_now()


class _Line:
    """Comes due while somebody waits."""

    __slots__ = ("_watch",)

    def __init__(self, watch: PoolWatch) -> None:
        self._watch = watch

    def expire(self) -> None:
        """On the timer's thread."""
        self._watch.look_at_line()


def look(core: PoolCore[Any]) -> None:
    """Close what has been idle for too long or has lived for too long; report loans that last."""
    with core:
        now = core.clock.now()
        for home in list(core.homes):
            _look_at_idle(core, home, now)
        late = _late_loans(core, now)
    core.pump()
    for loan in late:
        tell_late(loan)


def _look_at_idle(core: PoolCore[Any], home: Home[Any], now: float) -> None:
    idle_timeout = core.options.idle_timeout
    for slot in tuple(home.idle):  # the longest idle first
        if home.is_over:
            reason = "loop_ended"
        elif now >= slot.expires_at:
            reason = "expired"
        elif (
            idle_timeout is not None
            and now - slot.idle_since >= idle_timeout
            and core.open_count() > core.options.min_size
        ):
            reason = "idle"
        else:
            continue
        home.idle.remove(slot)
        core.idle_count -= 1
        core.close_slot(slot, reason)
    if home.is_over and all(slot.home is not home for slot in core.slots):
        core.forget_home(home)


def _late_loans(core: PoolCore[Any], now: float) -> list[Loan]:
    slow, leaked = core.options.slow_after, core.options.leak_after
    late: list[Loan] = []
    for slot in core.slots:
        if slot.state != LENT or slot.stage == LEAKED:
            continue
        held_s = now - slot.lent_at
        if leaked is not None and held_s >= leaked:
            slot.stage = LEAKED
            core.counters.leaked += 1
        elif slow is not None and held_s >= slow and slot.stage != SLOW:
            slot.stage = SLOW
            core.counters.slow += 1
        else:
            continue
        late.append(Loan.of(core, slot, now))
    return late
