"""From what a guard has seen to findings: what, what it means, what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from holdfast.adapters.guard.lines import ACCEPTED, Held
from holdfast.adapters.guard.parked import Parked
from holdfast.adapters.guard.thread_lines import ThreadLine
from holdfast.watch._words import counted, listed
from holdfast.watch.finding import Finding, worst_first
from holdfast.watch.verdict import Verdict

__all__ = ("Seen", "findings")

_MANY: Final = 20
_MANY_CHILDREN: Final = 5
_MANY_POOLS: Final = 10
_COLLECTED: Final = 16
_HIGH_WATER: Final = 64
_MANY_TASKS: Final = 10_000
_LONG_PARKED: Final = 10
_FD_SETSIZE: Final = 1024
_SOON_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a guard knows at one moment.

    Attributes:
        at_exit: Whether the program ends.
        held: Lines that hold, or have held, descriptors.
        threads: Lines that have started threads which run.
        children: Children that run, by line.
        tasks: The most tasks alive at once, by line.
        parked: Pools that stood still.
        queues: The longest queue of an executor at which somebody had to wait, by line.
        held_s: For how long that was, in seconds, by line.
        trends: Where things are heading.
        select_users: Lines that call ``select.select``.
        select_failed: How often that failed for a descriptor above 1023.
        fd_limit: The limit on descriptors.
        shortages: How often no descriptor was left.
        relieved: How often a collection has made room.
        refused: How often the system has refused a thread.
        waited: Threads that it gave after a wait.
        held_back: Workers that were not started, because their pool had some.
        handlers: Log handlers that write to the same file, in words.
    """

    at_exit: bool
    held: tuple[Held, ...] = ()
    threads: tuple[ThreadLine, ...] = ()
    children: dict[str, int]
    tasks: dict[str, int]
    parked: tuple[Parked, ...] = ()
    queues: dict[str, int]
    held_s: dict[str, float]
    trends: tuple[Verdict, ...] = ()
    select_users: tuple[str, ...] = ()
    select_failed: int = 0
    fd_limit: int | None = None
    shortages: int = 0
    relieved: int = 0
    refused: int = 0
    waited: int = 0
    held_back: int = 0
    handlers: tuple[str, ...] = ()


def findings(seen: Seen) -> tuple[Finding, ...]:
    """Return what is to be said, the worst first."""
    makers = (
        _shortage, _refused, _trends, _held, _collected, _threads, _children, _tasks, _parked,
        _queues, _handlers, _select, _peaks,
    )  # fmt: skip
    return worst_first(finding for maker in makers for finding in maker(seen))


def _shortage(seen: Seen) -> Iterator[Finding]:
    if seen.shortages:
        helped = (
            f"; {counted(seen.relieved, 'time')} a collection made room and the call went on"
            if seen.relieved
            else ""
        )
        yield Finding(
            "critical",
            "no-descriptors",
            f"No descriptor was left, {counted(seen.shortages, 'time')}{helped}.",
            "Everything that opens a file or a connection fails then.",
            "Close what the lines below open, or raise the limit if they need it all.",
            tuple(f"{it.line} ({counted(it.living, 'descriptor')})" for it in seen.held[:5]),
        )


def _refused(seen: Seen) -> Iterator[Finding]:
    if seen.refused:
        yield Finding(
            "critical",
            "no-threads",
            f"The system refused a thread, {counted(seen.refused, 'time')}; {seen.waited} were given after a "
            f"wait, and {counted(seen.held_back, 'time')} a pool went on with the workers it had.",
            "Without the guard each of these is `RuntimeError: can't start new thread`.",
            "Use fewer and smaller pools, or raise the limit on processes (ulimit -u, pids.max).",
            tuple(f"{it.line} ({counted(it.count, 'thread')})" for it in seen.threads[:5]),
        )


def _trends(seen: Seen) -> Iterator[Finding]:
    for verdict in seen.trends:
        if verdict.growing:
            soon = verdict.left_s is not None and verdict.left_s < _SOON_S
            sure = verdict.evidence in {"strong", "certain"}
            yield Finding(
                "critical" if sure and soon else "warning" if sure else "note",
                f"growing-{verdict.name}",
                f"{str(verdict)[:1].upper()}{str(verdict)[1:]}.",
                f"The evidence for a leak is {verdict.evidence}.",
                "See the lines that open what is not closed."
                if sure
                else "See whether it levels off.",
                tuple(str(growth) for growth in verdict.growth[:5]),
            )


def _held(seen: Seen) -> Iterator[Finding]:
    for it in seen.held:
        if it.living >= _MANY:
            clients = set(it.kinds) == {ACCEPTED}
            ends = "the program ends, and " if seen.at_exit else ""
            yield Finding(
                "warning" if seen.at_exit and not clients else "note",
                "held-descriptors",
                f"{ends[:1].upper()}{ends[1:]}{counted(it.living, 'descriptor')} opened at one line "
                f"{'are' if seen.at_exit else 'are held'} open ({', '.join(listed(it.kinds))}): {it.line}.",
                "Each call of that line opens some, and nothing closes them."
                if seen.at_exit
                else "That is right for connections in use, and a leak if the number only rises.",
                "Close them where they are opened (`with`), or share one (a client, a connection, a handler).",
                it.stack[1:],
            )


def _collected(seen: Seen) -> Iterator[Finding]:
    for it in seen.held:
        if it.collected >= _COLLECTED:
            yield Finding(
                "warning",
                "dropped-descriptors",
                f"{counted(it.collected, 'descriptor')} opened at {it.line} "
                "were dropped and not closed: only the collector has closed them.",
                f"Up to {it.peak} were open at once; how many depends on when the collector runs.",
                "Close them (`with`, or contextlib.closing for SQLite, whose `with` only commits).",
                it.stack[1:],
            )


def _peaks(seen: Seen) -> Iterator[Finding]:
    for it in seen.held:
        if it.peak >= _HIGH_WATER and it.living < _MANY and it.collected < _COLLECTED:
            yield Finding(
                "note",
                "many-descriptors",
                f"Up to {counted(it.peak, 'descriptor')} opened at {it.line} were open at once.",
                "They were closed later.",
                "Bound how many run at once if the limit is near.",
                it.stack[1:],
            )


def _threads(seen: Seen) -> Iterator[Finding]:
    for it in seen.threads:
        if it.pools >= _MANY_POOLS:
            yield Finding(
                "warning",
                "pool-per-call",
                f"{counted(it.pools, 'executor')} made at one line hold {counted(it.count, 'thread')}: {it.line}.",
                "Each call makes a pool, and a pool's threads outlive it when a call in it is stuck.",
                "Use one pool for all calls (holdfast.ThreadPool counts the stuck ones and bounds them).",
                it.stack[1:],
            )
        elif it.count - it.pooled >= _MANY:
            ends = "still run as the program ends" if seen.at_exit else "run"
            yield Finding(
                "warning" if seen.at_exit else "note",
                "many-threads",
                f"{counted(it.count - it.pooled, 'thread')} started at one line {ends}: {it.line}.",
                "A thread for each call is bounded by nothing but the system.",
                "Give the calls to a pool.",
                it.stack[1:],
            )


def _children(seen: Seen) -> Iterator[Finding]:
    for line, count in seen.children.items():
        if seen.at_exit or count >= _MANY_CHILDREN:
            yield Finding(
                "warning" if seen.at_exit and count >= _MANY_CHILDREN else "note",
                "children-left",
                f"{counted(count, 'child process', 'child processes')} started at {line} "
                f"still run{' as the program ends' if seen.at_exit else ''}.",
                "A timeout that stops waiting does not stop the program that was waited for.",
                "End them with all that they started: holdfast.run_process does.",
            )


def _tasks(seen: Seen) -> Iterator[Finding]:
    for line, count in seen.tasks.items():
        many = count >= _MANY_TASKS
        yield Finding(
            "warning" if many else "note",
            "many-tasks",
            f"About {counted(count, 'task')} were alive at once, made at {line}.",
            "Each holds its coroutine, its arguments and its result until all are done.",
            "Stream them: holdfast.stream(fn, items, limit=...) holds as many as run.",
        )


def _parked(seen: Seen) -> Iterator[Finding]:
    for it in seen.parked:
        bad = it.grown or it.looks >= _LONG_PARKED
        yield Finding(
            "warning" if bad else "note",
            "parked-workers",
            f"{str(it)[:1].upper()}{str(it)[1:]}.",
            "Work waits for workers, and every worker waits for something that may be that work."
            + (" The guard started more of them, so that it went on." if it.grown else ""),
            "Await in a coroutine instead of blocking a worker, and give work that waits for work a pool of "
            "its own.",
        )


_LONG_HELD_S = 1.0
_LONG_QUEUE = 10_000
"""From here on a queue is no longer that of a batch that is soon done."""


def _queues(seen: Seen) -> Iterator[Finding]:
    for line, length in seen.queues.items():
        bad = seen.held_s.get(line, 0.0) >= _LONG_HELD_S or length >= _LONG_QUEUE
        yield Finding(
            "warning" if bad else "note",
            "endless-queue",
            f"Calls are submitted faster than they are worked off: {length:,} waited, submitted at {line}.",
            "The queue of an executor has no bound and keeps every argument. The guard let `submit` wait.",
            "Use a pool with a bounded queue (holdfast.ThreadPool), or drop what may be dropped.",
        )


def _handlers(seen: Seen) -> Iterator[Finding]:
    if seen.handlers:
        yield Finding(
            "warning",
            "log-handlers",
            "Several log handlers write to the same file.",
            "Each holds a descriptor, and every record is written once for each.",
            "Add the handler once (holdfast.track.add_log_handler).",
            seen.handlers,
        )


def _select(seen: Seen) -> Iterator[Finding]:
    if seen.select_users and (seen.select_failed or (seen.fd_limit or 0) > _FD_SETSIZE):
        failed = seen.select_failed
        yield Finding(
            "critical" if failed else "note",
            "select",
            "select.select is called, which fails for descriptors above 1023"
            + (f", and did {failed:,} times." if failed else "."),
            f"The limit on descriptors is {seen.fd_limit:,}.",
            "Use `selectors` or `poll`, or keep the limit (`holdfast run --keep-fd-limit`).",
            seen.select_users,
        )
