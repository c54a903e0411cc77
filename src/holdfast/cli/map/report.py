"""Why the run ended as it did: sentences for the user, and the exit code.

Exit codes, the first that fits: 130 or 143 after Ctrl-C or SIGTERM; 141 if nobody read the output
any more; 1 if it could not be written; 2 if the input could not be read to its end; 1 if an item
failed, in this run or in an earlier one that was not repeated; 0 otherwise.
"""

from dataclasses import dataclass

from holdfast._core import clock
from holdfast.cli.map.interrupt import Interrupts
from holdfast.cli.map.job import Job
from holdfast.cli.map.options import MapOptions
from holdfast.cli.map.resume import Past
from holdfast.cli.map.sink import OUTPUT_CLOSED
from holdfast.cli.map.source import Source
from holdfast.cli.map.summary import Summary
from holdfast.cli.map.user_error import BAD_USAGE, FAILED
from holdfast.cli.map.watch import Watch
from holdfast.cli.map.words import amount

__all__ = ("Ended",)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, with all that took part in it.

    Attributes:
        options: What the user asked for.
        source: The input.
        past: What earlier runs had settled, or None.
        job: The run.
        watch: Its peaks.
        interrupts: The signals that came.
    """

    options: MapOptions
    source: Source
    past: Past | None
    job: Job
    watch: Watch
    interrupts: Interrupts

    def exit_code(self) -> int:
        """Return what the process should exit with."""
        if self.interrupts.received is not None:
            return self.interrupts.exit_code
        if self.job.trouble is not None:
            return self.job.trouble.exit_code
        if self.source.trouble is not None:
            return BAD_USAGE
        tally = self.job.tally
        left = tally.failed or tally.unfinished or self.source.intake.skipped_failed
        return FAILED if left else 0

    def summary(self) -> Summary:
        """Return the figures."""
        tally, intake, gauge = self.job.tally, self.source.intake, self.watch.gauge
        seconds = clock.now() - self.watch.began
        return Summary(
            done=tally.done,
            failed=tally.failed,
            skipped=intake.skipped_done + intake.skipped_failed,
            not_started=tally.not_started,
            unfinished=tally.unfinished,
            total_seen=intake.seen,
            skipped_failed=intake.skipped_failed,
            seconds=round(seconds, 6),
            rate_per_s=round(tally.written / seconds, 6) if seconds else 0.0,
            attempts=tally.attempts,
            limit=self.options.limit,
            peak_in_flight=self.job.calls.peak,
            peak_threads=gauge.threads,
            peak_fds=gauge.fds,
            peak_rss_bytes=gauge.rss_bytes,
            interrupted=self.interrupts.received,
            exit_code=self.exit_code(),
            output=self.options.output,
            recorded=tally.recorded,
            errors_by_type=dict(tally.errors),
        )

    def sentences(self) -> list[str]:
        """Return what the user should know besides the figures."""
        said = (self._why_stopped(), self._unfinished(), self._left_failed(), self._strangers())
        return [sentence for sentence in said if sentence]

    def _why_stopped(self) -> str | None:
        trouble, signal = self.job.trouble, self.interrupts.received
        if trouble is not None:
            # `| head` is no mishap: a program that ends with its reader does so without a word.
            return None if trouble.exit_code == OUTPUT_CLOSED else str(trouble)
        if signal is not None:
            rest = "; --resume goes on from here" if self.options.output != "-" else ""
            return f"stopped by {signal}{rest}"
        if self.source.trouble is not None:
            return self.source.trouble
        most = self.options.max_failures
        if most is not None and self.job.tally.failed >= most:
            return f"stopped after {amount(most, 'failure')} (--max-failures {most})"
        return None

    def _unfinished(self) -> str | None:
        tally, trouble = self.job.tally, self.job.trouble
        if not tally.unfinished or (trouble is not None and trouble.exit_code == OUTPUT_CLOSED):
            return None
        lines = ", ".join(f"{line:,}" for line in sorted(tally.unfinished_lines))
        more = ", …" if tally.unfinished > len(tally.unfinished_lines) else ""
        where = f"line{'' if tally.unfinished == 1 else 's'} {lines}{more}"
        had = "had begun and was" if tally.unfinished == 1 else "had begun and were"
        return f"{amount(tally.unfinished, 'item')} {had} given up ({where}), not written"

    def _left_failed(self) -> str | None:
        left = self.source.intake.skipped_failed
        if not left:
            return None
        return f"{amount(left, 'item')} had failed before; --retry-failed runs such items again"

    def _strangers(self) -> str | None:
        """Lines of OUTPUT that no item of the input has claimed: the input is not what it was."""
        if self.past is None or not self.source.exhausted:
            return None
        intake = self.source.intake
        strangers = self.past.settled - intake.skipped_done - intake.skipped_failed
        if strangers <= 0:
            return None
        return f"{amount(strangers, 'line')} of OUTPUT belong to no item of INPUT as it is now"
