"""One run: pull, call, write; and stop in good order.

Purpose: join the source, the stream and the sink, and bring them to an end whatever happens.
Guarantees: an item is counted in exactly one of done, failed, unfinished, not started; its line is
written before it is counted. After :meth:`Job.stop` nothing new begins, and :meth:`Job.run` returns
within the grace and a second, whatever still runs.
Assumptions: one run, on one loop.
"""

import asyncio
import math
from typing import TYPE_CHECKING, Any

from holdfast._core import clock
from holdfast._core.outcome import Outcome
from holdfast.cli.map.calls import NOT_STARTED, Calls
from holdfast.cli.map.item import Item
from holdfast.cli.map.options import MapOptions
from holdfast.cli.map.record import BAD_INPUT, NotJSONError, error_line, value_line
from holdfast.cli.map.sink import Sink
from holdfast.cli.map.source import Source
from holdfast.cli.map.tally import Tally
from holdfast.cli.map.target import Target
from holdfast.cli.map.user_error import UserError
from holdfast.flow.stream import stream
from holdfast.limits.retry import Retry

if TYPE_CHECKING:
    from holdfast.pools.stream import Stream

__all__ = ("Job",)

# How often a stopping run looks whether it may end, and how long it lets coroutines be cancelled.
_LOOK_S = 0.05
_CANCEL_S = 1.0
NOT_JSON = "NotJSON"


class Job:
    """A run of one function over one input into one output.

    Args:
        options: What the user asked for.
        target: The function.
        source: The input.
        sink: The output.

    Attributes:
        calls: What runs now.
        tally: What became of the items so far.
        trouble: What ended the run early, if anything but a signal did.
        stuck: Whether a coroutine would not be cancelled, so that the loop can't be closed.
    """

    def __init__(self, options: MapOptions, target: Target, source: Source, sink: Sink) -> None:
        self.calls = Calls()
        self.tally = Tally()
        self.trouble: UserError | None = None
        self.stuck = False
        self._options = options
        self._source = source
        self._sink = sink
        self._stop_asked = asyncio.Event()
        self._stop_at = math.inf
        self._stream: Stream[Outcome[Any]] = stream(
            self.calls.wrap(target),
            source.items(),
            limit=options.limit,
            ordered=options.ordered,
            outcomes=True,
            timeout=options.timeout,
            retry=Retry(options.retries + 1) if options.retries else None,
            rate=options.rate,
        )

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
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not work.done():
            await self._wind_down(work)
        self._close_books()
        if work.done() and not work.cancelled():
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
        try:
            async with self._stream as outcomes:
                async for outcome in outcomes:
                    self._settle(outcome)
        except UserError as error:  # the output could not be written
            self.trouble = error
            self._source.stop()

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

    def _settle(self, outcome: Outcome[Any]) -> None:
        """Write what became of one item, and count it."""
        item: Item = outcome.item
        if outcome.value is NOT_STARTED:
            self._settle_unrun(item)
        elif outcome.error is not None:
            kind = type(outcome.error).__name__
            self._fail(item, kind, _text(outcome.error), outcome.attempts, outcome.seconds)
        else:
            self._succeed(item, outcome.value, outcome.attempts, outcome.seconds)
        # Only now: an item whose line could not be written stays on the books.
        del self._source.taken[item.index]
        self.tally.attempts += outcome.attempts if item.attempts else 0

    def _settle_unrun(self, item: Item) -> None:
        if item.bad is not None:
            message = f"line {item.line} of {self._source.intake.name} {item.bad}"
            self._fail(item, BAD_INPUT, message, 0, 0.0)
        else:
            self._leave_out(item)

    def _leave_out(self, item: Item) -> None:
        """Count an item that is not written, so that a later run does it."""
        if item.attempts:
            self.tally.add_unfinished(item.line)
        else:
            self.tally.not_started += 1

    def _succeed(self, item: Item, value: Any, attempts: int, seconds: float) -> None:
        try:
            line = value_line(item, value, attempts, seconds)
        except NotJSONError as error:
            self._fail(item, NOT_JSON, str(error), attempts, seconds)
            return
        self._sink.write(line)
        self.tally.done += 1

    def _fail(self, item: Item, kind: str, message: str, attempts: int, seconds: float) -> None:
        self._sink.write(error_line(item, kind, message, attempts, seconds))
        self.tally.add_failure(kind)
        if self.tally.failed == self._options.max_failures:
            self.stop()

    def _close_books(self) -> None:
        """Write what has ended and waited for its turn; count the rest as it stands."""
        taken = self._source.taken
        for item in list(taken.values()):
            del taken[item.index]
            self.tally.attempts += item.attempts
            if item.finished and self.trouble is None:
                self._write_late(item)
            else:
                self._leave_out(item)

    def _write_late(self, item: Item) -> None:
        try:
            self._succeed(item, item.result, item.attempts, item.ended - item.began)
        except UserError as error:
            self.trouble = error
            self.tally.add_unfinished(item.line)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as unprintable:  # noqa: BLE001 - the user's class may do anything in there
        return f"(its message could not be made: {type(unprintable).__name__})"
