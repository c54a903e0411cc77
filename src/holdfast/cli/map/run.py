"""Open everything in order, run, close in reverse, and say what came of it."""

import asyncio
import logging
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress

from holdfast.cli.leave import PATIENCE_S, disarm, end_after
from holdfast.cli.map.input import Input, open_input
from holdfast.cli.map.intake import Intake
from holdfast.cli.map.interrupt import Interrupts
from holdfast.cli.map.job import Job
from holdfast.cli.map.journal import open_journal
from holdfast.cli.map.key import FieldKey
from holdfast.cli.map.options import MapOptions
from holdfast.cli.map.output import open_output
from holdfast.cli.map.progress import Progress, open_progress, tell
from holdfast.cli.map.report import Ended
from holdfast.cli.map.resume import Past
from holdfast.cli.map.source import FileSource, PipeSource, Source
from holdfast.cli.map.stdio import claimed_stdin, claimed_stdout
from holdfast.cli.map.target import load_target
from holdfast.cli.map.user_error import UserError
from holdfast.cli.map.watch import Watch
from holdfast.cli.map.words import amount
from holdfast.pools.thread_pool import ThreadPool

__all__ = ("run_map",)


def run_map(options: MapOptions) -> int:
    """Do what ``holdfast map`` was asked for, and return its exit code."""
    # What the pools have to say is in OUTPUT and in the summary; whoever sets logging up gets it.
    logging.getLogger("holdfast").addHandler(logging.NullHandler())
    with ExitStack() as stack:
        try:
            takes_stdout = options.json or options.output == "-"
            stdout_fd = stack.enter_context(claimed_stdout()) if takes_stdout else 1
            stdin_fd = stack.enter_context(claimed_stdin()) if options.source == "-" else 0
            return _run(options, stdin_fd, stdout_fd)
        except UserError as error:
            tell(str(error))
            return error.exit_code


def _run(options: MapOptions, stdin_fd: int, stdout_fd: int) -> int:
    runner = asyncio.Runner()
    try:
        ended = _run_to_end(options, stdin_fd, stdout_fd, runner)
    except UserError:
        runner.close()
        raise
    code = _report(ended, stdout_fd)
    _close(runner, ended.job, code)
    return code


def _run_to_end(
    options: MapOptions, stdin_fd: int, stdout_fd: int, runner: asyncio.Runner
) -> Ended:
    """Run, and close all that was opened for it."""
    with ExitStack() as stack:
        progress = stack.enter_context(open_progress())
        opened = open_input(options.source, stdin_fd=stdin_fd)
        stack.callback(os.close, opened.fd)
        progress.note(f"importing {options.target}")
        target = load_target(options.target)
        progress.note(f"reading {options.output}")
        output = open_output(options, input_fd=opened.fd, stdout_fd=stdout_fd, tell=progress.say)
        stack.callback(output.sink.close)
        source = stack.enter_context(_source(opened, options, output.past))
        journal = stack.enter_context(open_journal(options, options.target))
        job = Job(options, target, source, output.sink, journal)
        watch = Watch(job, source, progress)
        interrupts = stack.enter_context(_interrupts(job, options, progress, runner))
        runner.run(_main(job, watch))
        return Ended(options, source, output.past, job, watch, interrupts)


@contextmanager
def _source(opened: Input, options: MapOptions, past: Past | None) -> Generator[Source]:
    intake = Intake(
        opened.name,
        raw=options.raw,
        key=FieldKey(options.key) if options.key is not None else None,
        skip_bad=options.skip_bad,
        past=past,
    )
    if not opened.waits:
        yield FileSource(opened.fd, intake)
        return
    pool = ThreadPool(1, name="input")
    source = PipeSource(opened.fd, intake, pool)
    try:
        yield source
    finally:
        # A read that was left behind may never return; its thread ends with the process.
        pool.shutdown(wait=source.exhausted)


def _interrupts(
    job: Job, options: MapOptions, progress: Progress, runner: asyncio.Runner
) -> Interrupts:
    loop = runner.get_loop()

    def stop() -> None:
        job.stop(options.grace)
        progress.say(
            f"stopping: {amount(job.calls.in_flight, 'item')} in flight, "
            f"{options.grace:g} s at most; the same signal again ends at once"
        )

    def on_first() -> None:
        job.halt()
        loop.call_soon_threadsafe(stop)

    return Interrupts(grace=options.grace, on_first=on_first, on_second=progress.abandon)


async def _main(job: Job, watch: Watch) -> None:
    watching = asyncio.create_task(watch.keep(), name="holdfast map: watch")
    try:
        await job.run()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        watch.gauge.read()


def _report(ended: Ended, stdout_fd: int) -> int:
    for sentence in ended.sentences():
        tell(sentence)
    summary = ended.summary()
    tell(summary.as_line())
    if ended.options.json:
        with suppress(OSError):  # nobody reads it
            os.write(stdout_fd, f"{summary.as_json()}\n".encode())
    return summary.exit_code


def _close(runner: asyncio.Runner, job: Job, code: int) -> None:
    """Close the loop, and with it what the user's function has left on it; not for ever."""
    if job.stuck:
        # A coroutine that will not be cancelled would hold the loop; let it go with the process.
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        return
    end_after(PATIENCE_S, code)
    try:
        runner.close()
    finally:
        disarm()
