"""Look at the run a few times a second: for the progress line, and for the peaks."""

import asyncio

from holdfast._core import clock
from holdfast.cli.map.gauge import Gauge
from holdfast.cli.map.job import Job
from holdfast.cli.map.pace import Pace
from holdfast.cli.map.progress import Progress
from holdfast.cli.map.source import Source
from holdfast.cli.map.view import View
from holdfast.sense.own import OwnReading

__all__ = ("Watch",)


class Watch:
    """The eyes on one run.

    Args:
        job: The run.
        source: Its input.
        progress: Where the figures go.

    Attributes:
        gauge: The peaks so far.
        began: When the watch began, on the monotonic clock.
    """

    def __init__(self, job: Job, source: Source, progress: Progress) -> None:
        self.gauge = Gauge()
        self.began = clock.now()
        self._job = job
        self._source = source
        self._progress = progress
        self._pace = Pace(self.began)

    async def keep(self) -> None:
        """Look until cancelled. Never in the way of the run: a look takes less than 2 ms."""
        while True:
            self.look()
            await asyncio.sleep(self._progress.interval_s)

    def look(self) -> None:
        """Read everything once, and show it."""
        own = self.gauge.read()
        self._pace.add(clock.now(), self._job.tally.written)
        self._progress.show(self.view(own))

    def view(self, own: OwnReading) -> View:
        """Return the figures as they are now."""
        job = self._job
        per_second = self._pace.per_second()
        fraction = self._source.fraction()
        return View(
            done=job.tally.done,
            failed=job.tally.failed,
            in_flight=job.calls.in_flight,
            queued=job.waiting,
            per_second=per_second,
            fraction=fraction,
            left_s=self._left_s(fraction, per_second),
            stopping_s=job.grace_left_s,
            own=own,
        )

    def _left_s(self, fraction: float | None, per_second: float) -> float | None:
        """Seconds to the end: items that are still to come, by the size of those that came."""
        if fraction is None or fraction == 0 or per_second == 0:
            return None
        to_come = self._source.intake.seen * (1 / fraction - 1)
        return (to_come + len(self._source.taken)) / per_second
