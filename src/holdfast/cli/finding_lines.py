"""A finding as lines of text, and a verdict on all of them."""

from collections.abc import Iterable
from typing import Final

from holdfast.watch._words import counted
from holdfast.watch.finding import Finding

__all__ = ("finding_lines", "printable", "verdict")

_INDENT: Final = "  "


def finding_lines(finding: Finding) -> list[str]:
    """Return what was seen, who it was, what it means, and what to do, a line each."""
    return [
        f"{finding.severity.upper()} {printable(finding.what)}",
        *(f"{_INDENT * 2}{printable(who)}" for who in finding.evidence),
        f"{_INDENT}{finding.means}",
        f"{_INDENT}-> {finding.do}",
    ]


def verdict(findings: Iterable[Finding]) -> str:
    """Say in one line how it stands."""
    bad = [each.severity != "note" for each in findings]
    notes = counted(bad.count(False), "note")
    if any(bad):
        told = counted(bad.count(True), "finding")
        return told if all(bad) else f"{told}, {notes}"
    return f"healthy, {notes}" if bad else "healthy: nothing found"


def printable(text: str) -> str:
    """Without what would move the cursor, or can't be written: names come from the program."""
    return "".join(each if each.isprintable() else "?" for each in text)
