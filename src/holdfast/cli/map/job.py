"""One run: pull, call, write; and stop in good order.

Purpose: join the source, the stream and the sink, and bring them to an end whatever happens.
Guarantees: after :meth:`Job.stop` nothing new begins, and :meth:`Job.run` returns within the grace
and a second, whatever still runs. What became of the items is in the books (``books.py``).
Assumptions: one run, on one loop.
"""

import asyncio
import math
from typing import TYPE_CHECKING, Any

from holdfast._core import clock
from holdfast.cli.map.books import Books
from holdfast.cli.map.calls import Calls
from holdfast.cli.map.journal import Journal
from holdfast.cli.map.options import MapOptions
from holdfast.cli.map.sink import Sink
from holdfast.cli.map.source import Source
from holdfast.cli.map.stall import all_stuck
from holdfast.cli.map.tally import Tally
from holdfast.cli.map.target import Target
from holdfast.cli.map.user_error import FAILED, UserError
from holdfast.flow.stream import stream
from holdfast.limits.retry import Retry

if TYPE_CHECKING:
    from holdfast._core.outcome import Outcome
    from holdfast.pools.stream import Stream

__all__ = ("Job",)

# How often a stopping run looks whether it may end, and how long it lets coroutines be cancelled.
_LOOK_S = 0.05
_CANCEL_S = 1.0
_CANCELLED = (
    "the function cancelled the task that runs it, which is not its own; --resume goes on from here"
)


class Job:
    """A run of one function over one input into one output.

    Args:
        options: What the user asked for.
        target: The function.
        source: The input.
        sink: The output.
        journal: What knows of earlier runs, or None.

    Attributes:
        calls: What runs now.
        trouble: What ended the run early, if anything but a signal or the input did.
        stuck: Whether a coroutine would not be cancelled, so that the loop can't be closed.
    """

    def __init__(
        self,
        options: MapOptions,
        target: Target,
        source: Source,
        sink: Sink,
        journal: Journal | None = None,
    ) -> None:
        self.calls = Calls()
        self.trouble: UserError | None = None
        self.stuck = False
        self._options = options
        self._source = source
        self._books = Books(
            source, sink, timeout=options.timeout, skip_unfinished=options.on_unfinished == "skip"
        )
        self._stop_asked = asyncio.Event()
        self._stop_at = math.inf
        run = self.calls.wrap(target)
        if journal is not None:
            run = journal.wrap(run, is_async=target.is_async)
        self._stream: Stream[Outcome[Any]] = stream(
            run,
            source.items(),
            limit=options.limit,
            ordered=options.ordered,
            outcomes=True,
            timeout=options.timeout,
            retry=Retry(options.retries + 1, on=(Exception,)) if options.retries else None,
            rate=options.rate,
            name="map",
        )

    @property
    def tally(self) -> Tally:
        """What became of the items so far."""
        return self._books.tally

    @property
    def waiting(self) -> int:
        """Items that were pulled and neither run nor have run: for the rate, or for a retry."""
        taken = self._source.taken
        running = sum(item.index in taken for item in self.calls.running())
        return max(0, len(taken) - running - self._stream.stats().buffered)

    @property
    def grace_left_s(self) -> float | None:
        """Seconds until a stopping run gives up on what still runs; None if it would wait."""
        return None if self._stop_at == math.inf else max(0.0, self._stop_at - clock.now())

    async def run(self) -> None:
        """Run until the input is at its end, or :meth:`stop` was called and all is wound down."""
        work = asyncio.create_task(self._work(), name="holdfast map")
        stop = asyncio.create_task(self._stop_asked.wait(), name="holdfast map: stop")
        stall = asyncio.create_task(self._stop_if_stuck(), name="holdfast map: stall")
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        stall.cancel()
        if not work.done():
            await self._wind_down(work)
        elif work.cancelled():
            self.trouble = UserError(_CANCELLED, exit_code=FAILED)
        self._books.close()
        self.trouble = self._books.failure or self.trouble
        if not work.cancelled() and not self.stuck:
            work.result()

    def halt(self) -> None:
        """Let nothing new begin. May be called from anywhere, a signal handler included."""
        self.calls.stopping = True
        self._source.halt()

    def stop(self, grace: float = math.inf) -> None:
        """Let nothing new begin; what runs has ``grace`` seconds to end. Called on the loop."""
        self.halt()
        self._stop_at = min(self._stop_at, clock.now() + grace)
        self._source.stop()
        self._stop_asked.set()

    async def _work(self) -> None:
        books, tally, most = self._books, self.tally, self._options.max_failures
        try:
            async with self._stream as outcomes:
                async for outcome in outcomes:
                    books.settle(outcome)
                    if tally.failed == most:
                        self.stop()
        except UserError:  # the output can't be written any more; the books know why
            self._source.stop()

    async def _stop_if_stuck(self) -> None:
        """Stop a run in which nothing can begin any more; see ``stall.py``."""
        options = self._options
        if options.timeout is None:
            return
        await all_stuck(self._abandoned, options.limit, options.grace)
        msg = (
            f"all {self._abandoned()} threads are stuck in calls that ran past --timeout, and a "
            "thread can't be stopped; give the function a timeout of its own, or raise --limit"
        )
        self.trouble = UserError(msg, exit_code=FAILED)
        self.stop(grace=0)

    def _abandoned(self) -> int:
        taken = self._source.taken
        return sum(item.index not in taken for item in self.calls.running())

    async def _wind_down(self, work: asyncio.Task[None]) -> None:
        """Wait while something runs that can still be written, then end the rest."""
        quiet = 0
        # Twice quiet: what has just ended needs a turn of the loop to come through the stream.
        while not work.done() and quiet < 2 and clock.now() < self._stop_at:  # noqa: PLR2004
            await asyncio.wait({work}, timeout=_LOOK_S)
            taken = self._source.taken
            busy = any(item.index in taken for item in self.calls.running())
            quiet = 0 if busy else quiet + 1
        if not work.done():
            work.cancel()
            _, pending = await asyncio.wait({work}, timeout=_CANCEL_S)
            self.stuck = bool(pending)
