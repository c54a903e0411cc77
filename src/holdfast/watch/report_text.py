"""A report as plain text."""

from collections.abc import Iterator
from textwrap import fill

from holdfast.watch.report import Report, Table
from holdfast.watch.verdict import amount

__all__ = ("in_brief", "report_text")

_WIDTH = 110
_MOST_BRIEF = 6


def report_text(report: Report) -> str:
    """Return the whole report as text."""
    return "\n".join(_lines(report)) + "\n"


def in_brief(report: Report, *, path: str = "") -> str:
    """Return the findings that are worse than a note, for a terminal; empty if there are none.

    Args:
        report: The report.
        path: Where the whole of it was written.
    """
    bad = [each for each in report.findings if each.severity != "note"]
    if not bad:
        return ""
    lines: list[str] = []
    for finding in bad[:_MOST_BRIEF]:
        lines.append(_folded(f"{finding.severity}: {finding.what}", "  "))
        lines += (f"    {each}" for each in finding.evidence[:3])
        lines.append(_folded(finding.do, "    "))
    if len(bad) > _MOST_BRIEF:
        lines.append(f"  and {len(bad) - _MOST_BRIEF} more findings")
    if path:
        lines.append(f"  the whole report: {path}")
    return "\n".join(lines)


def _lines(report: Report) -> Iterator[str]:
    yield f"holdfast report: {report.reason}"
    yield report.command
    yield ""
    width = max((len(name) for name, _ in report.facts), default=0)
    for name, value in report.facts:
        yield f"{name:<{width}}  {value}"
    yield ""
    yield f"Findings: {len(report.findings) or 'none'}"
    for finding in report.findings:
        yield ""
        yield _folded(f"{finding.severity}: {finding.what}", "")
        yield _folded(finding.means, "    ")
        yield _folded(finding.do, "    ")
        for each in finding.evidence:
            yield f"    - {each}"
    if report.series:
        yield ""
        yield "Readings: lowest, last, highest, bound"
        for series in report.series:
            if series.points:
                figures = (
                    min(each.low for each in series.points),
                    series.points[-1].mean,
                    max(each.high for each in series.points),
                )
                told = ", ".join(amount(series.name, figure) for figure in figures)
                bound = "none" if series.limit is None else amount(series.name, series.limit)
                source = f" ({series.source})" if series.source else ""
                yield f"    {series.name}: {told}, {bound}{source}"
                if series.verdict:
                    yield f"        {series.verdict}"
    for table in report.tables:
        yield from _table(table)
    if report.stacks:
        yield ""
        yield "Stacks"
        yield report.stacks.rstrip()


def _table(table: Table) -> Iterator[str]:
    yield ""
    yield table.title
    rows = (table.heads, *table.rows)
    widths = [max(len(row[nth]) for row in rows) for nth in range(len(table.heads))]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "    " + "  ".join(cells).rstrip()


def _folded(text: str, indent: str) -> str:
    return fill(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
