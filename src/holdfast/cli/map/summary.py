"""What came of a run: one line for people, one object for programs, one exit code for the shell."""

import json
from dataclasses import asdict, dataclass

from holdfast.cli.map.words import amount, pace, size, took

__all__ = ("SCHEMA", "Summary")

SCHEMA = 1
MOST_KINDS_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures at the end. ``total_seen`` is the sum of the five counts before it.

    Attributes:
        done: Items written with a value by this run.
        failed: Items written with an error by this run.
        skipped: Items that an earlier run had settled.
        not_started: Items that were pulled, but not called any more.
        unfinished: Items whose call had begun when the run gave up on it; they are not in OUTPUT.
        total_seen: Items of the input that this run has seen.
        skipped_failed: How many of ``skipped`` had failed in the earlier run.
        seconds: Length of the run.
        rate_per_s: Lines written per second.
        attempts: Calls of the function.
        limit: Most items that were allowed in flight at once.
        peak_in_flight: Most calls that were in flight at once.
        peak_threads: Most threads of the process, as far as was seen.
        peak_fds: Most open descriptors, as far as was seen.
        peak_rss_bytes: Most resident memory.
        interrupted: The signal that ended the run, or None.
        exit_code: What the process exits with.
        output: OUTPUT as the user wrote it.
        recorded: How many of ``done`` an earlier run had done and recorded (``--idempotent``).
        errors_by_type: Failures of this run by the type of the error.
    """

    done: int
    failed: int
    skipped: int
    not_started: int
    unfinished: int
    total_seen: int
    skipped_failed: int
    seconds: float
    rate_per_s: float
    attempts: int
    limit: int
    peak_in_flight: int
    peak_threads: int | None
    peak_fds: int | None
    peak_rss_bytes: int | None
    interrupted: str | None
    exit_code: int
    output: str
    recorded: int
    errors_by_type: dict[str, int]

    def as_json(self) -> str:
        """Return the summary as one JSON object in one line."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False)

    def as_line(self) -> str:
        """Return the summary as one line."""
        counts = [f"{self.done:,} done", self._failures()]
        if self.recorded:
            counts[0] += f" ({self.recorded:,} recorded before)"
        if self.skipped:
            counts.append(f"{self.skipped:,} skipped")
        if self.unfinished:
            counts.append(f"{self.unfinished:,} unfinished")
        if self.not_started:
            counts.append(f"{self.not_started:,} not started")
        peaks = [f"{self.peak_in_flight:,} in flight"]
        if self.peak_threads is not None:
            peaks.append(amount(self.peak_threads, "thread"))
        if self.peak_fds is not None:
            peaks.append(amount(self.peak_fds, "descriptor"))
        if self.peak_rss_bytes is not None:
            peaks.append(size(self.peak_rss_bytes))
        speed = f" ({pace(self.rate_per_s)})" if self.rate_per_s else ""
        return f"{', '.join(counts)} in {took(self.seconds)}{speed}; peaks: {', '.join(peaks)}"

    def _failures(self) -> str:
        if not self.errors_by_type:
            return f"{self.failed:,} failed"
        kinds = sorted(self.errors_by_type.items(), key=lambda pair: -pair[1])
        if len(kinds) == 1:
            return f"{self.failed:,} failed ({kinds[0][0]})"
        named = [f"{count:,} {kind}" for kind, count in kinds[:MOST_KINDS_NAMED]]
        rest = sum(count for _, count in kinds[MOST_KINDS_NAMED:])
        if rest:
            named.append(f"{rest:,} of other types")
        return f"{self.failed:,} failed ({', '.join(named)})"
