"""The course of a watch: a sample each interval until the process, the time, or the patience ends."""

from contextlib import suppress
from dataclasses import dataclass

from holdfast._core import clock
from holdfast.cli.watch.child import Child
from holdfast.cli.watch.looks import Looks
from holdfast.cli.watch.signals import Signals
from holdfast.cli.watch.summary import Summary
from holdfast.cli.watch.voice import Voice
from holdfast.watch.process_watch import ProcessWatch

__all__ = ("Course", "Ended")


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended.

    Attributes:
        why: In words.
        early: Whether the process ended before the time that was asked for.
        code: The exit code of the command, if one was started.
    """

    why: str
    early: bool = False
    code: int | None = None


@dataclass(slots=True)
class Course:
    """One watch.

    Attributes:
        watch: The process.
        child: The command, if it was started here.
        signals: What may end it.
        voice: Who is told.
        summary: What is kept.
        looks: What an audit would find.
        interval: Seconds between samples.
        seconds: How long; None is as long as the process lives.
    """

    watch: ProcessWatch
    child: Child | None
    signals: Signals
    voice: Voice
    summary: Summary
    looks: Looks
    interval: float
    seconds: float | None

    def run(self) -> Ended:
        """Sample until it ends, and tell the report."""
        begun = clock.now()
        try:
            ended = self._run(begun)
        except BrokenPipeError:
            return Ended("nobody reads any more")
        self.summary.seen = self.looks.seen(clock.now() - begun)
        with suppress(BrokenPipeError):
            self.voice.report(self.summary, ended.why)
        return ended

    def _run(self, begun: float) -> Ended:
        time = clock.current()
        due = begun
        while True:
            code = None if self.child is None else self.child.code()
            if code is not None:
                return Ended(f"the command ended with exit code {code}", code=code)
            try:
                self._take(time.now() - begun)
            except ProcessLookupError:
                if self.child is None:
                    return self._gone()
                time.acquire(self.signals.latch, self.interval)  # it waits for being reaped
                continue
            due = max(due + self.interval, time.now())
            ended = self._rest(time, begun, due)
            if ended is not None:
                return ended

    def _take(self, second: float) -> None:
        reading = self.watch.take()
        self.summary.add(second, reading)
        self.looks.now_and_then(second)
        with suppress(*self._forgiven):
            self.voice.reading(second, reading)

    @property
    def _forgiven(self) -> tuple[type[BaseException], ...]:
        """With a command, that nobody reads is no reason to end."""
        return () if self.child is None else (BrokenPipeError,)

    def _rest(self, time: clock.Clock, begun: float, due: float) -> Ended | None:
        """Wait for the next sample; None if there is to be one."""
        while True:
            over = None if self.seconds is None else begun + self.seconds
            now = time.now()
            ended = self._left_alive(over=over is not None and now >= over)
            if ended is not None:
                self.looks.take_last(now - begun)
                if self.child is not None:
                    self.child.end()
                return ended
            if now >= due or (self.child is not None and self.child.code() is not None):
                return None
            time.acquire(self.signals.latch, min(due, over or due) - now)

    def _gone(self) -> Ended:
        if self.seconds is None:
            return Ended("the process has ended")
        return Ended(f"the process ended before the {self.seconds:g} s were over", early=True)

    def _left_alive(self, *, over: bool) -> Ended | None:
        """Whether the watch ends here, while the process lives."""
        if self.signals.stopped:
            return Ended("interrupted")
        if self.child is None and self.summary.failed:
            return Ended("it has failed")
        if not over:
            return None
        if self.child is None:
            return Ended("the time is over")
        return Ended("the time is over, and the command was ended", code=0)
