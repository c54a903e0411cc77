"""What a report holds: findings, series over time, tables, stacks.

It is printed by ``report_text`` and ``report_html``, and holds nothing that these would have to work out.
"""

from dataclasses import dataclass
from typing import Any

from holdfast.watch.finding import Finding, Severity
from holdfast.watch.history import Point

__all__ = ("Report", "Series", "Table")


@dataclass(frozen=True, slots=True)
class Series:
    """One reading over time.

    Attributes:
        name: What was read.
        points: The oldest first.
        limit: The most that there may be; None where nothing sets a bound.
        source: Where the bound comes from.
        verdict: Where it is heading, in a sentence; empty if nobody says.
    """

    name: str
    points: tuple[Point, ...]
    limit: float | None = None
    source: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of words.

    Attributes:
        title: What they are.
        heads: The names of the columns.
        rows: One after the other; each has a word for each column.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report on a program.

    Attributes:
        reason: Why it was made, such as ``"exit"``.
        command: The program's command line.
        facts: Names and words for its head: process, interpreter, duration.
        findings: The worst first.
        series: Readings over time.
        tables: Who holds what.
        stacks: The stacks of all threads; empty if they were not asked for.
    """

    reason: str
    command: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    series: tuple[Series, ...]
    tables: tuple[Table, ...]
    stacks: str = ""

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding; None without findings."""
        return self.findings[0].severity if self.findings else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "reason": self.reason,
            "command": self.command,
            "facts": dict(self.facts),
            "findings": [finding.to_dict() for finding in self.findings],
            "series": [
                {
                    "name": series.name,
                    "limit": series.limit,
                    "source": series.source,
                    "verdict": series.verdict,
                    "points": [[each.at, each.low, each.mean, each.high] for each in series.points],
                }
                for series in self.series
            ],
            "tables": [
                {
                    "title": table.title,
                    "heads": list(table.heads),
                    "rows": [list(r) for r in table.rows],
                }
                for table in self.tables
            ],
            "stacks": self.stacks,
        }
