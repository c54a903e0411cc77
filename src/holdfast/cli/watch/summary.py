"""What is kept of all readings for the report: bounded, however long it is watched."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.cli.finding_lines import finding_lines, verdict as verdict_on
from holdfast.cli.watch.looks import Seen
from holdfast.cli.watch.verdicts import Rule, broken
from holdfast.watch.process_watch import ProcessReading
from holdfast.watch.verdict import Verdict, amount

__all__ = ("MOST_CHANGES", "Range", "Summary")

MOST_CHANGES: Final = 100
_MOST_PLACES: Final = 5
_MOST_KINDS: Final = 6
_EVIDENCE: Final = ("none", "weak", "strong", "certain")


@dataclass(slots=True)
class Range:
    """A figure over time.

    Attributes:
        first: At the first sample that had it.
        last: At the last one.
        low: The lowest.
        high: The highest.
    """

    first: float
    last: float
    low: float
    high: float

    def add(self, value: float) -> None:
        """Take in one more."""
        self.last, self.low, self.high = value, min(self.low, value), max(self.high, value)


@dataclass(slots=True)
class Summary:
    """A watch in few words.

    Attributes:
        what: The process, in words.
        rules: What it shall fail on.
        samples: Readings that were taken.
        seconds: From the first to the last.
        ranges: Of descriptors, threads, memory, by name.
        verdicts: For each trend the surest verdict that there was.
        changes: The last of them, each with its second.
        broken: Which rule was broken first by what: sentences by rule.
        seen: What an audit finds, at the end or shortly before.
    """

    what: str
    rules: tuple[Rule, ...] = ()
    samples: int = 0
    seconds: float = 0.0
    ranges: dict[str, Range] = field(default_factory=dict[str, Range])
    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    changes: deque[tuple[float, str]] = field(
        default_factory=lambda: deque[tuple[float, str]](maxlen=MOST_CHANGES)
    )
    broken: dict[str, str] = field(default_factory=dict[str, str])
    seen: Seen | None = None
    last: ProcessReading | None = None
    _kinds: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, second: float, reading: ProcessReading) -> None:
        """Take in one reading, ``second`` seconds after the first."""
        self.samples += 1
        self.seconds, self.last = second, reading
        self._kinds = self._kinds or dict(reading.kinds)
        for name, value in _figures(reading).items():
            if value is not None:
                known = self.ranges.setdefault(name, Range(value, value, value, value))
                known.add(value)
        for verdict in reading.trends:
            before = self.verdicts.get(verdict.name)
            if before is None or _sureness(verdict) >= _sureness(before):
                self.verdicts[verdict.name] = verdict
        self.changes += ((second, text) for text in reading.changes)
        for rule in self.rules:
            why = broken(rule, reading)
            if why:
                self.broken.setdefault(rule, why)

    @property
    def failed(self) -> bool:
        """Whether a rule was broken."""
        return bool(self.broken)

    def lines(self, ended: str) -> list[str]:
        """Return the report as text.

        Args:
            ended: Why it is over, in words.
        """
        told = [f"{self.what}: watched for {span(self.seconds)}, {self.samples:,} samples; {ended}"]
        for name, figure in self.ranges.items():
            low, high = amount(name, figure.low), amount(name, figure.high)
            ends = f"{amount(name, figure.first)} to {amount(name, figure.last)}"
            told.append(f"  {name:<12} {ends}, lowest {low}, highest {high}{self._limit(name)}")
        told += [f"  {text}" for text in self._kinds_told()]
        for verdict in self.verdicts.values():
            told.append(f"  {_said(verdict)}")
            told += [
                f"    {amount(verdict.name, part.per_minute)} a minute: {part}"
                for part in verdict.growth[:_MOST_PLACES]
            ]
        told += [f"  {text}" for text in self._audit_told()]
        told += [f"  FAILED on {rule}: {why}" for rule, why in self.broken.items()]
        return told

    def to_dict(self, ended: str) -> dict[str, Any]:
        """Return the report as what JSON can hold."""
        return {
            "kind": "report",
            "what": self.what,
            "ended": ended,
            "seconds": self.seconds,
            "samples": self.samples,
            "ranges": {
                name: {end: getattr(figure, end) for end in ("first", "last", "low", "high")}
                for name, figure in self.ranges.items()
            },
            "trends": [verdict.to_dict() for verdict in self.verdicts.values()],
            "changes": [{"second": second, "text": text} for second, text in self.changes],
            "audit": None if self.seen is None else self.seen.to_dict(),
            "failed_on": dict(self.broken),
        }

    def _limit(self, name: str) -> str:
        bounds = () if self.last is None else self.last.bounds
        for reading in bounds:
            if reading.name == name and reading.bound is not None:
                return f"; the limit is {amount(name, reading.bound)} ({reading.source})"
        return ""

    def _kinds_told(self) -> list[str]:
        now: dict[str, int] = {} if self.last is None else dict(self.last.kinds)
        changed = {kind: now.get(kind, 0) - self._kinds.get(kind, 0) for kind in now}
        most = sorted(changed.items(), key=lambda each: -abs(each[1]))[:_MOST_KINDS]
        told = ", ".join(f"{kind} {by:+,}" for kind, by in most if by)
        return [f"by kind      {told}"] if told else []

    def _audit_told(self) -> list[str]:
        if self.seen is None or self.seen.audit is None:
            return [] if self.seen is None else [f"no audit: {self.seen.why_not}"]
        found = self.seen.audit.findings
        when = "at the end"
        if not self.seen.at_end:
            when = f"{self.seen.before_s:.1f} s before the end"
        later = f"; no later one: {self.seen.why_not}" if self.seen.why_not else ""
        lines = [line for each in found for line in finding_lines(each)]
        return [f"audit {when}: {verdict_on(found)}{later}", *(f"  {line}" for line in lines)]


def _figures(reading: ProcessReading) -> dict[str, float | None]:
    return {
        "descriptors": reading.fds,
        "threads": reading.threads,
        "memory": reading.rss_bytes,
    }


def _said(verdict: Verdict) -> str:
    return f"{verdict} ({verdict.evidence} evidence)" if verdict.growing else str(verdict)


def _sureness(verdict: Verdict) -> int:
    return _EVIDENCE.index(verdict.evidence)


def span(seconds: float) -> str:
    """Say a time that has passed: ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
