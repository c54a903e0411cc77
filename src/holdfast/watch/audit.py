"""One look at a process, and what it means: ``holdfast.audit()`` and ``holdfast audit``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from holdfast._core import check, clock
from holdfast.sense.process_tree import family
from holdfast.watch._audit_record import record
from holdfast.watch._findings_files import of_files
from holdfast.watch._findings_kinds import of_kinds
from holdfast.watch._findings_limits import of_limits
from holdfast.watch._findings_sockets import of_sockets
from holdfast.watch._findings_tasks import of_children, of_threads
from holdfast.watch._words import counted, size
from holdfast.watch.finding import Finding, worst_first
from holdfast.watch.look import Look, confirmed, look, look_once, passing

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("Audit", "Tree", "Unseen", "audit", "audit_tree", "findings")

_RULES: Final = (of_limits, of_sockets, of_files, of_kinds, of_threads, of_children)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was seen in one process, and what it means.

    Attributes:
        look: All that was read.
        findings: The worst first.
    """

    look: Look
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing was found that is worse than a note."""
        return all(each.severity == "note" for each in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold; ``version`` rises when a field goes or changes."""
        return record(self.look, self.findings) | {"healthy": self.healthy}

    def __str__(self) -> str:
        seen = self.look
        held = (
            counted(len(seen.descriptors), "descriptor"),
            counted(len(seen.threads), "thread"),
            counted(len(seen.children), "child", "children"),
            size(seen.resident.value or 0),
        )
        lines = [f"process {seen.process.pid}: {', '.join(held)}"]
        for each in self.findings:
            lines += [str(each), *(f"  {who}" for who in each.evidence)]
        return "\n".join(lines if self.findings else [*lines, "nothing found"])


@dataclass(frozen=True, slots=True)
class Unseen:
    """A process of a tree that could not be looked at.

    Attributes:
        pid: Its number.
        why: What kept it from being seen, and what to do.
    """

    pid: int
    why: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A process and all its descendants.

    Attributes:
        audits: The process first, each followed by its children.
        unseen: Those that could not be looked at.
    """

    audits: tuple[Audit, ...]
    unseen: tuple[Unseen, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing was found in any of them that is worse than a note."""
        return all(each.healthy for each in self.audits)

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "version": 1,
            "healthy": self.healthy,
            "processes": [each.to_dict() for each in self.audits],
            "unseen": [{"pid": each.pid, "why": each.why} for each in self.unseen],
        }


def audit(pid: int | None = None, *, confirm_s: float = 0.0) -> Audit:
    """Look at a process and say what is wrong with it, in plain words.

    Nothing is changed in it, and nothing is started. May be called from any thread, also when this
    process has no descriptor left; with ``confirm_s`` it blocks for that long, so not from a
    coroutine then. A look costs two system calls for each descriptor and each thread
    (``benchmarks/bench_sense.py``: 10,000 descriptors).

    Args:
        pid: The process; None is this one.
        confirm_s: If connections or children are in a state that a healthy program soon leaves, look
            again after so many seconds, and find only what is still so. With 0, the default, such
            findings are notes unless there are very many.

    Returns:
        What was seen, and the findings, the worst first.

    Raises:
        ProcessLookupError: There is no process ``pid``, or it can't be seen.
        PermissionError: It belongs to another user; the message says what to do.
        NotImplementedError: This is not Linux, and psutil is not installed.

    Example:
        >>> audit().look.own
        True
    """
    seen = look(pid, confirm_s=confirm_s)
    return Audit(seen, findings(seen))


def audit_tree(pid: int | None = None, *, confirm_s: float = 0.0) -> Tree:
    """Look at a process and all its descendants. Arguments and errors as :func:`audit`.

    Args:
        pid: The process; None is this one.
        confirm_s: As for :func:`audit`; one pause for all of them.
    """
    pause_s = check.seconds("confirm_s", confirm_s, zero=True) or 0.0
    looks = [look_once(pid)]
    unseen: list[Unseen] = []
    for each in family(pid)[1:]:
        if each.state == "Z":
            continue  # of it nothing is left to be seen but that it has ended
        try:
            looks.append(look_once(each.pid))
        except ProcessLookupError:
            continue  # it has ended meanwhile
        except OSError as error:
            unseen.append(Unseen(each.pid, error.strerror or str(error)))
    if pause_s and any(map(passing, looks)):
        clock.sleep(pause_s)
        looks = [confirmed(each) for each in looks]
    return Tree(tuple(Audit(each, findings(each)) for each in looks), tuple(unseen))


def findings(seen: Look) -> tuple[Finding, ...]:
    """Return what a look means, the worst first. Pure: the same look gives the same findings.

    Args:
        seen: From :func:`holdfast.watch.look.look`.
    """
    found: list[Iterable[Finding]] = [rule(seen) for rule in _RULES]
    return worst_first(each for part in found for each in part)
