"""One thing that a look at a process has found: what, what it means, what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ("SEVERITIES", "Finding", "Severity", "worst_first")

Severity = Literal["critical", "warning", "note"]
"""How bad it is.

- ``"critical"``: something is about to run out;
- ``"warning"``: something is held that a healthy program does not hold;
- ``"note"``: worth knowing, and seen in healthy programs too.
"""

SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        severity: How bad it is.
        code: A word for scripts, such as ``"close-wait"``; the same kind of finding has always the
            same.
        what: What was seen, with its numbers, in one sentence.
        means: What that usually means.
        do: What to do.
        evidence: Who: peers, paths, names of threads, commands of children, each with its number.
    """

    severity: Severity
    code: str
    what: str
    means: str
    do: str
    evidence: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "evidence": list(self.evidence)
        }

    def __str__(self) -> str:
        return f"{self.severity}: {self.what} {self.means} {self.do}"


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings with the worst at the head; alike ones keep their order."""
    return tuple(sorted(findings, key=lambda each: SEVERITIES.index(each.severity)))
