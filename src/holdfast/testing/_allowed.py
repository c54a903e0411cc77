"""What may stay after a test, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

__all__ = ("KINDS", "Allowed", "from_lines", "from_mapping")

KINDS: Final = ("thread", "task", "child", "descriptor", "socket")


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the list.

    Attributes:
        kind: One of :data:`KINDS`; ``"descriptor"`` means sockets as well.
        pattern: For the label, with ``*`` and ``?``.
        reason: Why it may stay.
    """

    kind: str
    pattern: str
    reason: str

    def fits(self, kind: str, label: str) -> bool:
        """Whether something that is left may stay."""
        same = self.kind == kind or (self.kind == "descriptor" and kind == "socket")
        return same and fnmatchcase(label, self.pattern)


def from_lines(lines: Iterable[str]) -> tuple[Allowed, ...]:
    """Return the entries of an ini file: ``thread metrics-*: one for the whole process``.

    Raises:
        ValueError: A line has another form, or no reason.
    """
    return tuple(_entry(*_parted(line), line) for line in lines)


def from_mapping(given: Mapping[str, str]) -> tuple[Allowed, ...]:
    """Return the entries of a marker: ``{"thread metrics-*": "one for the whole process"}``.

    Raises:
        ValueError: An entry has another form, or no reason.
    """
    return tuple(_entry(what, reason, what) for what, reason in given.items())


def _parted(line: str) -> tuple[str, str]:
    what, _, reason = line.rpartition(": ")
    return what, reason


def _entry(what: str, reason: str, told: str) -> Allowed:
    kind, _, pattern = what.strip().partition(" ")
    if kind not in KINDS or not pattern.strip() or not reason.strip():
        msg = (
            f"{told!r} must be a kind ({', '.join(KINDS)}), a pattern, and a reason,"
            " as in 'thread metrics-*: one for the whole process'"
        )
        raise ValueError(msg)
    return Allowed(kind, pattern.strip(), reason.strip())
