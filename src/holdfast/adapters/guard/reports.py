"""What a guard has seen becomes a report, and the report two files."""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

from holdfast._core import clock
from holdfast.adapters.guard.children import Children
from holdfast.adapters.guard.findings import Seen, findings
from holdfast.adapters.guard.lines import Lines
from holdfast.adapters.guard.options import GuardOptions
from holdfast.adapters.guard.parked import ParkedWorkers
from holdfast.adapters.guard.select_users import SelectUsers
from holdfast.adapters.guard.shortage import Shortage
from holdfast.adapters.guard.tasks import Tasks
from holdfast.adapters.guard.thread_lines import thread_lines
from holdfast.adapters.guard.threads import ThreadGuard
from holdfast.adapters.guard.trim import Trimmer
from holdfast.sense._rlimits import own_rlimit
from holdfast.sense.fd_limit import FdLimit
from holdfast.track.log_handlers import duplicate_log_handlers
from holdfast.watch._words import counted, listed
from holdfast.watch.monitor import Monitor
from holdfast.watch.report import Report, Series, Table
from holdfast.watch.report_html import report_html
from holdfast.watch.report_text import report_text
from holdfast.watch.snapshot import Snapshot

__all__ = ("default_base", "make_report", "write_report")

T = TypeVar("T")

_SERIES: Final = ("descriptors", "threads", "memory", "cpus", "loop lag")
_MOST_ROWS: Final = 20
_DAY: Final = 86_400.0


class Watched(Protocol):
    """A guard, as a report sees it."""

    monitor: Monitor
    lines: Lines | None
    children: Children
    tasks: Tasks
    parked: ParkedWorkers
    threads: ThreadGuard
    select_users: SelectUsers
    shortage: Shortage
    trimmer: Trimmer
    options: GuardOptions
    fd_limit: FdLimit
    began: float


def make_report(guard: Watched, reason: str, *, at_exit: bool, stacks: str = "") -> Report:
    """Return a report on this process as it is now."""
    now = guard.monitor.sample()
    seen = _seen(guard, now, at_exit=at_exit)
    return Report(
        reason=reason,
        command=" ".join(sys.orig_argv),
        facts=tuple(_facts(guard, now)),
        findings=findings(seen),
        series=_series(guard, now),
        tables=tuple(table for table in _tables(seen, now) if table.rows),
        stacks=stacks,
    )


def write_report(report: Report, base: str, *, data: bool = False) -> str:
    """Write it as ``BASE.txt`` and ``BASE.html``; returns the path of the latter, or why not.

    With ``data`` there is a ``BASE.json``, too.

    Where the folder can't be written to, they go to the folder for temporary files.
    """
    for folder in (str(Path(base).parent), ""):
        try:
            path = Path(folder or tempfile.gettempdir()) / Path(base).name
            Path(f"{path}.txt").write_text(report_text(report), "utf-8")
            Path(f"{path}.html").write_text(report_html(report), "utf-8")
            if data:
                Path(f"{path}.json").write_text(json.dumps(report.to_dict()), "utf-8")
        except OSError:
            continue
        return f"{path}.html"
    return "it could not be written anywhere"


def _seen(guard: Watched, now: Snapshot, *, at_exit: bool) -> Seen:
    limit = own_rlimit("RLIMIT_NOFILE")
    return Seen(
        at_exit=at_exit,
        held=_safely(guard.lines.held, ()) if guard.lines is not None else (),
        threads=thread_lines(),
        children=guard.children.living(),
        tasks=dict(guard.tasks.peaks),
        parked=tuple(guard.parked.found.values()),
        queues=dict(guard.threads.full),
        held_s=dict(guard.threads.held_s),
        trends=now.trends,
        select_users=guard.select_users.lines,
        select_failed=guard.select_users.failed,
        fd_limit=None if limit is None else limit.soft,
        shortages=guard.shortage.met,
        relieved=guard.shortage.relieved,
        refused=guard.threads.refused,
        waited=guard.threads.waited,
        held_back=guard.threads.held_back,
        handlers=_safely(lambda: tuple(map(str, duplicate_log_handlers())), ()),
    )


def _safely(read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except (OSError, RuntimeError):
        return otherwise


def _facts(guard: Watched, now: Snapshot) -> list[tuple[str, str]]:
    mode = "watched only" if guard.options.observe else "guarded"
    ran = clock.now() - guard.began
    facts = [
        ("process", f"{now.pid}, {mode}, for {ran:,.1f} s"),
        ("Python", f"{now.python}, {sys.executable}"),
        ("CPU", f"{now.cpu_s:,.1f} s"),
        ("descriptors limit", guard.fd_limit.reason),
        (
            "budget",
            f"{counted(now.budget.threads, 'thread')}, {now.worker_threads} in use by pools",
        ),
    ]
    facts += [
        (
            f"pool {each.stats.name}",
            (
                f"{each.stats.in_flight} of {each.stats.limit} in flight, {each.stats.queued} queued, "
                f"{each.stats.abandoned} abandoned"
            ),
        )
        for each in now.pools
    ]
    if guard.trimmer.done:
        facts.append(("memory given back", counted(guard.trimmer.done, "time")))
    return facts


def _series(guard: Watched, now: Snapshot) -> tuple[Series, ...]:
    verdicts = {verdict.name: verdict for verdict in now.trends}
    bounds = {reading.name: reading for reading in now.bounds}
    found: list[Series] = []
    length = clock.now() - guard.began
    for name in _SERIES:
        points = guard.monitor.history(name, seconds=min(max(length, 60.0), _DAY))
        bound = bounds.get(name)
        if points:
            found.append(
                Series(
                    name,
                    points,
                    None if bound is None else bound.bound,
                    "" if bound is None else bound.source or "",
                    str(verdicts[name]) if name in verdicts and verdicts[name].growing else "",
                )
            )
    return tuple(found)


def _tables(seen: Seen, now: Snapshot) -> list[Table]:
    return [
        Table(
            "Descriptors by the line that opened them",
            ("open", "most at once", "closed by the collector", "oldest", "kinds", "line"),
            tuple(
                (
                    f"{it.living:,}",
                    f"{it.peak:,}",
                    f"{it.collected:,}",
                    f"{it.oldest_s:,.0f} s",
                    ", ".join(listed(it.kinds)),
                    it.line,
                )
                for it in seen.held[:_MOST_ROWS]
            ),
        ),
        Table(
            "Threads by the line that started them",
            ("running", "of pools", "names", "line"),
            tuple(
                (f"{it.count:,}", f"{it.pools:,}", ", ".join(it.names), it.line)
                for it in seen.threads[:_MOST_ROWS]
            ),
        ),
        Table(
            "Children that run, by the line that started them",
            ("running", "line"),
            tuple((f"{count:,}", line) for line, count in seen.children.items()),
        ),
        Table(
            "Descriptors by kind",
            ("open", "kind"),
            tuple((f"{count:,}", kind) for kind, count in now.kinds.items()),
        ),
    ]


def default_base() -> str:
    """Return where reports go if nobody says."""
    return str(Path.cwd() / f"holdfast-report-{os.getpid()}")
