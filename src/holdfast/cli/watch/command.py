"""The options of ``holdfast watch``."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from holdfast.cli.trouble import FINDINGS, HEALTHY, UNSEEN, Trouble, said

if TYPE_CHECKING:
    from holdfast.cli.watch.looks import Looks
    from holdfast.cli.watch.verdicts import Rule
    from holdfast.watch.process_watch import ProcessWatch

__all__ = ("watch_command",)

_HELP = """Watch process PID, or a command that is started, and say where it is heading.

Takes samples from outside; nothing in the process is changed. Tells when a level or a forecast changes,
and ends with a report: when the process ends, after --for, or on Ctrl-C.

\b
  holdfast watch 4711
  holdfast watch --fail-on leak --for 600 4711
  holdfast watch --fail-on leak -- python server.py

A command keeps its input and output, is passed all signals, and its exit code is that of the watch,
unless the watch fails. What the watch has to say then goes to standard error.
"""
_EPILOG = (
    "Exit codes: 0, or that of the command; 1 failed by --fail-on; 2 can't look, or the process ended "
    "before --for was over."
)
_CANT_LOOK = 2


@click.command("watch", help=_HELP, epilog=_EPILOG)
@click.argument("target", nargs=-1, metavar="PID | -- COMMAND...", type=click.UNPROCESSED)
@click.option(
    "--fail-on",
    "rules",
    multiple=True,
    type=click.Choice(("leak", "growth", "caution", "critical")),
    help="End with exit code 1 on: a leak of descriptors or threads; growth, of memory too; a limit "
    "that is near, or nearly reached. May be repeated. A PID is watched no further then.",
)
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after so long; a command is ended then (SIGTERM, and after 10 s SIGKILL).",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="From one sample to the next.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each sample, and the report, as JSON.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to a file.",
)
def watch_command(
    target: tuple[str, ...],
    rules: "tuple[Rule, ...]",
    seconds: float | None,
    interval: float,
    as_json: bool,
    output: Path | None,
) -> int:
    """Watch, report, and return the exit code."""
    if not target:
        sentence = "name a process (PID), or a command after --"
        raise click.UsageError(sentence)
    pid = _pid(target)
    from holdfast.cli.watch.child import start  # noqa: PLC0415 - `--help` needs none of it
    from holdfast.cli.watch.course import Course  # noqa: PLC0415 - as above
    from holdfast.cli.watch.signals import Signals  # noqa: PLC0415 - as above
    from holdfast.cli.watch.summary import Summary  # noqa: PLC0415 - as above
    from holdfast.cli.watch.voice import Records, Sentences  # noqa: PLC0415 - as above

    with ExitStack() as stack:
        out = _out(output, stack, command=pid is None)
        signals = stack.enter_context(Signals(command=pid is None))
        child = start(target, signals) if pid is None else None
        try:
            watch, looks = _look(pid or 0 if child is None else child.pid)
        except Trouble as trouble:
            if child is None:
                raise
            code = child.wait()
            click.echo(f"holdfast watch: not watched: {trouble.message}", err=True)
            return code
        voice = Records(out) if as_json else Sentences(out, live=pid is not None and out.isatty())
        what = f"process {pid}" if pid is not None else f"{target[0]} (process {watch.pid})"
        summary = Summary(what, rules=tuple(dict.fromkeys(rules)))
        ended = Course(watch, child, signals, voice, summary, looks, interval, seconds).run()
    if summary.failed:
        return FINDINGS
    if ended.code is not None:
        return ended.code
    return _CANT_LOOK if ended.early else HEALTHY


def _pid(target: tuple[str, ...]) -> int | None:
    if len(target) != 1 or not target[0].isdecimal():
        return None
    pid = int(target[0])
    if pid < 1:
        sentence = f"a process has a number of 1 or more, not {pid}"
        raise click.UsageError(sentence)
    return pid


def _look(pid: int) -> "tuple[ProcessWatch, Looks]":
    from holdfast.cli.watch.looks import Looks  # noqa: PLC0415 - as above
    from holdfast.sense.descriptor_kinds import open_descriptors  # noqa: PLC0415 - as above
    from holdfast.watch.process_watch import ProcessWatch  # noqa: PLC0415 - as above

    try:
        found = ProcessWatch(pid), Looks(pid)
        open_descriptors(pid)  # may be forbidden where the count is not
    except UNSEEN as error:
        raise Trouble(said(error)) from None
    return found


def _out(path: Path | None, stack: ExitStack, *, command: bool) -> TextIO:
    if path is None:
        return sys.stderr if command else sys.stdout
    try:
        return stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        msg = f"{path} can't be written: {error.strerror}"
        raise Trouble(msg) from None
