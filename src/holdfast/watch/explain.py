"""From an error to what causes it: ``holdfast.explain(error)``.

All that it needs is imported with it, so that it still works when no descriptor is left.
"""

from dataclasses import dataclass
from typing import Any, Final

from holdfast.sense.descriptors import descriptor_readings
from holdfast.sense.reading import Reading
from holdfast.watch._audit_record import reading_record
from holdfast.watch._causes import cause_of, chain
from holdfast.watch._words import figure
from holdfast.watch.audit import audit
from holdfast.watch.finding import Finding
from holdfast.watch.look import Look

__all__ = ("Explanation", "explain")

_NEARLY: Final = 0.8
# Findings that say something about each resource; those about its limit come first.
_CODES: Final = {
    "descriptors": (
        "descriptors-",
        "close-wait",
        "connections-",
        "sqlite-",
        "duplicated-",
        "same-file",
        "many-",
        "deleted-",
        "pipes",
        "own-pipes",
        "event-loops",
        "unix-",
        "low-",
    ),
    "machine descriptors": ("descriptors-", "close-wait", "connections-", "many-"),
    "threads": ("threads-", "many-threads", "pool-per-call", "zombies", "address-", "memory-"),
    "processes": ("processes-", "zombies", "many-children", "many-threads", "threads-", "pipes"),
    "memory": ("memory-", "address-", "committed-", "many-threads", "many-children"),
    "connections": ("close-wait", "connections-", "unanswered", "sqlite-", "descriptors-"),
    "disk": ("deleted-", "many-inotify"),
}
_DO: Final = {
    "descriptors": "Close what is held below; `holdfast.raise_fd_limit()` gives more room meanwhile.",
    "machine descriptors": "Look for the program that holds most: `holdfast audit PID`; raise fs.file-max.",
    "threads": "Share one pool with a bound instead of starting threads for each call.",
    "processes": "Bound how many children run at once, and wait for each.",
    "memory": "Hold fewer items at once: a stream with a limit instead of a list of all.",
    "connections": "Close each response; bound the calls in flight below the client's connections.",
    "disk": "Free space, or stop watchers of files.",
}
_UNKNOWN: Final = (
    "Nothing is known of this error: it is none of a process that has run out of descriptors, threads,"
    " processes, memory or connections."
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an error came, as far as the process shows it now.

    Attributes:
        error: Type and message of the error that tells the cause: the one that was given, or one that
            it was raised from.
        resource: What ran out: ``"descriptors"``, ``"machine descriptors"``, ``"threads"``,
            ``"processes"``, ``"memory"``, ``"connections"``, ``"disk"``; empty if that is not known.
        says: What the error means.
        reading: What is held of the resource now, against its tightest limit; None where there is no
            such figure.
        do: What to do; empty if that is not known.
        findings: What this process holds that has to do with it, the worst first.
    """

    error: str
    resource: str
    says: str
    reading: Reading | None
    do: str
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        told = {name: getattr(self, name) for name in self.__slots__}
        told["reading"] = None if self.reading is None else reading_record(self.reading)
        told["findings"] = [each.to_dict() for each in self.findings]
        return {"version": 1} | told

    def __str__(self) -> str:
        lines = [self.error, self.says]
        if self.reading is not None:
            held = figure(self.reading.value, self.reading.unit)
            most = (
                "no limit"
                if self.reading.bound is None
                else figure(self.reading.bound, self.reading.unit)
            )
            lines.append(
                f"Now: {self.reading.name} {held} of {most} ({self.reading.source or 'no source'})."
            )
        if self.do:
            lines.append(self.do)
        for each in self.findings:
            lines += [f"- {each}", *(f"    {who}" for who in each.evidence)]
        return "\n".join(lines)


def explain(error: BaseException) -> Explanation:
    """Say what has run out, what the limit is, and what this process holds of it.

    Knows ``Too many open files`` (of the process, of the machine), ``can't start new thread``,
    ``MemoryError``, a refused child process, SQLite that can't open its file, and the pools of HTTP
    clients and databases that have no connection left; also where these are the cause of another error,
    or inside of an exception group. The figures are those of the moment in which it is asked: ask while
    the error is handled.

    May be called from any thread, also when no descriptor is left. A look at the whole process: some
    milliseconds, and more for each descriptor (``benchmarks/bench_sense.py``).

    Args:
        error: What was caught.

    Returns:
        What is known; with an empty ``resource`` if the error speaks of none of these.

    Example:
        >>> print(explain(KeyError("name")).resource or "not about a resource")
        not about a resource
    """
    for each in chain(error):
        cause = cause_of(each)
        if cause is not None:
            return _explained(each, *cause)
    return Explanation(_told(error), "", _UNKNOWN, None, "", ())


def _explained(error: BaseException, resource: str, says: str) -> Explanation:
    try:
        seen = audit()
    except (OSError, NotImplementedError):  # not this system, or nothing may be read here
        return Explanation(_told(error), resource, says, None, _DO[resource], ())
    reading = _reading(resource, seen.look)
    held = [each for each in seen.findings if each.code.startswith(_CODES[resource])]
    if resource == "descriptors" and reading is not None and (reading.used or 0.0) < _NEARLY:
        says += (
            " Now there is room: what held them has been closed since, or the limit was another one"
            " (fs.inotify.max_user_instances; a path that is not there)."
        )
    return Explanation(_told(error), resource, says, reading, _DO[resource], tuple(held))


def _reading(resource: str, seen: Look) -> Reading | None:
    if resource == "machine descriptors":
        return next((it for it in descriptor_readings() if it.scope == "machine"), None)
    return next((each for each in seen.bounds if each.name == resource), None)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
