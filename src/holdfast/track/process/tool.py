"""One running program on its event loop: from its start to the moment when nothing of it is left.

States: RUNS -> (its process ends by itself) -> its output is read to the end, what it left behind is
ended -> OVER; or RUNS -> (:meth:`Tool.end`: timeout, cancellation, an error) -> ended as a tree -> OVER.

Guarantees: after :meth:`finish` or :meth:`end` has come back, however it did, nothing that the program
started runs any more, unless :attr:`left` says so; it is reaped; its pipes are closed.

A process that has left the program behind, and holds its pipe open, does not hold anything up: its
output is waited for ``linger`` seconds, then it is ended.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from holdfast._core import clock
from holdfast._core.process_tree.keeper import KEEPER
from holdfast._core.process_tree.waiting import end_tree_async, end_trees
from holdfast.track.process.capture import Capture
from holdfast.track.process.exit_watch import ExitWatch
from holdfast.track.process.feeder import Feeder
from holdfast.track.process.reader import Reader
from holdfast.track.process.reaping import Status, reap
from holdfast.track.process.result import ProcessResult
from holdfast.track.process.spec import Spec
from holdfast.track.process.start import Started

if TYPE_CHECKING:
    from holdfast._core.process_tree.course import Left

__all__ = ("Tool",)

_AFTERMATH: Final = (0.001, 0.004, 0.0)
"""Seconds between looks for what is left: who has closed its pipe may just be about to end."""


class Tool:
    """A program that has been started. For its loop's thread.

    Args:
        spec: What it is.
        started: Its process and our ends of its pipes, which it takes over.
        sink: Takes its standard output in place of the capture; returns whether it wants more now.
    """

    def __init__(
        self, spec: Spec, started: Started, sink: Callable[[bytes], bool] | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.spec = spec
        self.left: tuple[Left, ...] = ()
        self._started = started
        self._status = Status()
        self._seconds = 0.0
        self._children = 0
        self._over = False
        self._out = Capture(spec.max_output_bytes)
        self._err = Capture(spec.max_output_bytes)
        self._feeding: asyncio.Task[None] | None = None
        self._loop = loop
        self._watch = ExitWatch(started.tree, loop)
        self._readers: list[Reader] = []
        self.reader: Reader | None = None
        if started.stdout >= 0:
            self.reader = Reader(started.stdout, loop, sink or _keep_in(self._out))
            self._readers.append(self.reader)
        if started.stderr >= 0:
            self._readers.append(Reader(started.stderr, loop, _keep_in(self._err)))
        self._feeder = Feeder(started.stdin, loop) if started.stdin >= 0 else None

    def attend(self) -> None:
        """Begin to read, to write, and to watch. If it raises, :meth:`kill_now` is the way out."""
        self._watch.start()
        for reader in self._readers:
            reader.start()
        if self._feeder is None:
            return
        rest = self._feeder.feed_at_once(self.spec.input)  # what is short is in the pipe at once
        if rest is not None:
            self._feeding = self._loop.create_task(self._feeder.feed(rest))
            self._feeding.add_done_callback(_no_complaint)

    async def finish(self) -> None:
        """Wait until the program has ended by itself, and nothing of it is left.

        Raises:
            Exception: Whatever its input raised; the program still runs.
        """
        ended = self._watch.ended
        if self._feeding is not None:
            await asyncio.wait((ended, self._feeding), return_when=asyncio.FIRST_COMPLETED)
            if self._feeding.done():
                await self._feeding
        await ended
        self._seconds = clock.now() - self._started.at
        if open_ends := [one.ended for one in self._readers if not one.ended.done()]:
            await asyncio.wait(open_ends, timeout=self.spec.linger)
        for pause in _AFTERMATH:
            self._children = self._left_running()
            if not self._children:
                break
            await asyncio.sleep(pause)
        else:
            tree = self._started.tree
            self._seconds = 0.0
            self.left = await end_tree_async(tree, grace=self.spec.kill_grace)
            if tree.started < 0:  # there is no /proc to count them
                self._children = 0
        await self._release()

    def _left_running(self) -> int:
        """How many of the tree still run."""
        try:
            return self._started.tree.left_running(clock.now() - self._started.at)
        except OSError:  # no descriptor left for a look: whatever there is is told to end
            return 1

    async def end(self) -> None:
        """End the program with all that it started: ask, and kill after ``kill_grace``."""
        if self._over:
            return
        self._seconds = 0.0
        try:
            self.left = await end_tree_async(self._started.tree, grace=self.spec.kill_grace)
        finally:
            await self._release()

    def kill_now(self) -> None:
        """Do the same at once and blocking, for a coroutine that may not await any more."""
        if self._over:
            return
        (self.left,) = end_trees([self._started.tree], grace=0).values()
        if self._feeding is not None:
            self._feeding.cancel()
        self._settle()

    async def _release(self) -> None:
        feeding, self._feeding = self._feeding, None
        self._settle()
        if feeding is not None:
            feeding.cancel()
            await asyncio.wait((feeding,))  # it ends at once

    def _settle(self) -> None:
        self._over = True
        self._watch.close()
        if self._feeder is not None:
            self._feeder.close()
        for reader in self._readers:
            reader.last_call()
        self._started.draw.keep(sum(reader.is_open for reader in self._readers))
        self._status = reap(self._started.process, self._started.tree)
        self._seconds = self._seconds or clock.now() - self._started.at
        KEEPER.ended(self._started.mark)

    def close_output(self) -> None:
        """Close the pipes, whatever is still in them."""
        for reader in self._readers:
            reader.close()
        self._started.draw.give_back()

    def result(self, stdout_bytes: int | None = None) -> ProcessResult:
        """Return what became of it."""
        status = self._status
        return ProcessResult(
            args=self.spec.shown,
            pid=self._started.process.pid,
            returncode=status.returncode,
            stdout=self._out.value(),
            stderr=self._err.value(),
            stdout_bytes=self._out.total if stdout_bytes is None else stdout_bytes,
            stderr_bytes=self._err.total,
            truncated=self._out.truncated or self._err.truncated,
            seconds=self._seconds,
            cpu_s=status.cpu_s,
            peak_rss_bytes=status.peak_rss_bytes,
            ended_children=self._children,
        )


def _no_complaint(feeding: "asyncio.Task[None]") -> None:
    """What the input raises after the program's end comes too late to matter."""
    if not feeding.cancelled():
        feeding.exception()


def _keep_in(capture: Capture) -> Callable[[bytes], bool]:
    def keep(data: bytes) -> bool:
        capture.feed(data)
        return True

    return keep
