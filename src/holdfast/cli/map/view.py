"""One reading of a run, as the progress line shows it."""

from dataclasses import dataclass

from holdfast.sense.own import OwnReading

__all__ = ("View",)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that there is to show.

    Attributes:
        done: Items written with a value by this run.
        failed: Items written with an error by this run.
        in_flight: Calls that run now.
        queued: Items that were pulled and wait: for the rate, or for another attempt.
        per_second: Items per second, lately.
        fraction: How much of the input has been taken, from 0 to 1; None where nobody knows.
        left_s: Seconds to the end at this pace; None where nobody knows.
        stopping_s: Seconds of grace left to a run that is stopping, ``inf`` without a bound; None
            while it is not stopping.
        own: What the process holds.
    """

    done: int
    failed: int
    in_flight: int
    queued: int
    per_second: float
    fraction: float | None
    left_s: float | None
    stopping_s: float | None
    own: OwnReading
