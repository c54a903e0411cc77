"""Programs as one-liners: run within bounds, in a pool, and ended with all that they start."""

import os
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Iterable, Mapping
from typing import Unpack

from holdfast.flow._process_blocking import run_blocking
from holdfast.flow._process_pool import default_pool
from holdfast.flow.process_lines import ProcessLines
from holdfast.pools import AsyncCalls
from holdfast.track.process.result import ProcessResult
from holdfast.track.process.run import run
from holdfast.track.process.spec import (
    GRACE,
    LINGER,
    MOST_OUTPUT,
    TIMEOUT,
    Command,
    Input,
    Options,
    Stderr,
    Stdout,
    make_spec,
)

__all__ = ("process_lines", "run_process", "run_process_sync")


class RunOptions(Options, total=False):
    """The options of :func:`run_process`."""

    timeout: float | None
    stdout: Stdout
    pool: AsyncCalls | None


async def run_process(
    cmd: Command,
    *,
    timeout: float | None = TIMEOUT,
    input: Input = None,  # noqa: A002 - the standard library's name for it
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdout: Stdout = "capture",
    stderr: Stderr = "capture",
    max_output_bytes: int = MOST_OUTPUT,
    check: bool = False,
    kill_grace: float = GRACE,
    linger: float = LINGER,
    shell: bool = False,
    pass_fds: Iterable[int] = (),
    pool: AsyncCalls | None = None,
) -> ProcessResult:
    """Run a program to its end, within bounds, and return what became of it.

    When this returns or raises, however it does (the program's end, the timeout, a cancellation),
    nothing that the program started runs any more, and no zombie and no descriptor is left. The
    program is in a session of its own, without a terminal, and inherits no descriptor but its
    standard ones and ``pass_fds``. If this process is killed, the program is ended too.

    For coroutines, in any loop (uvloop too) and any thread; :func:`run_process_sync` is the same for
    blocking code. It needs no child watcher, no signal handler and no thread.

    Args:
        cmd: The program and its arguments. With ``shell`` one string.
        timeout: Longest run in seconds, counted from the start of the program; None is no bound.
        input: Its standard input: bytes; an open file or its descriptor, which the program reads by
            itself; or an iterable or asynchronous iterable of bytes, pulled on the loop as fast as
            the program reads. None is an empty one.
        env: Its environment; None is this process's. ``HOLDFAST_TREE`` is added: by that what it
            starts is found.
        cwd: The folder in which it starts; None is this process's.
        stdout: ``"capture"`` or ``"discard"``.
        stderr: ``"capture"``, ``"discard"``, or ``"stdout"``: into the same capture.
        max_output_bytes: Most bytes that are kept of each output, 0 or more: half of them from its
            beginning, half from its end. What is beyond is read, counted and dropped.
        check: Whether another exit status than 0 is an error.
        kill_grace: Seconds between SIGTERM and SIGKILL for what has to be ended, 0 or more.
        linger: Seconds for which the output is still waited for after the program itself has ended
            and others hold it, 0 or more. Then those are ended.
        shell: Give ``cmd`` to ``/bin/sh``. Never with words that come from outside.
        pass_fds: Further descriptors that it inherits.
        pool: Where it runs: its limit is how many programs run at once. None is a pool of the whole
            process, with as many as the budget has processes.

    Returns:
        Exit status, output, and figures. A program that a signal ended has a negative status.

    Raises:
        TypeError, ValueError: Before start: an argument is none.
        OSError: Before start: there is no such program or folder, or it may not be run.
        UnderPressure: Before start: there was no room for its pipes among the process's descriptors
            (:data:`holdfast.track.DESCRIPTORS`) within ten seconds, or ``timeout`` if that is shorter,
            and the message names who holds them; or the system had no descriptor or process for it,
            several times.
        Rejected: Before start: the pool refused.
        CallTimeout: After start: it ran longer than ``timeout``, and was ended. ``result`` is what
            there was until then; ``stopped`` is False if something could not be ended.
        ProcessFailed: After start: ``check``, and its exit status is not 0. It has the ``result``.
        Exception: After start: whatever its ``input`` raised; the program was ended.

    Cost:
        ``benchmarks/bench_subprocess.py``.
    """
    spec = make_spec(
        cmd,
        shell=shell,
        timeout=timeout,
        input=input,
        env=env,
        cwd=cwd,
        stdout=stdout,
        stderr=stderr,
        max_output_bytes=max_output_bytes,
        check=check,
        kill_grace=kill_grace,
        linger=linger,
        pass_fds=pass_fds,
    )
    return await (default_pool() if pool is None else pool).run(run, spec)


def run_process_sync(cmd: Command, **options: Unpack[RunOptions]) -> ProcessResult:
    r"""Do what :func:`run_process` does, in blocking code; from any thread.

    The program is looked after by this thread, on a loop that is made for the call. An interrupt
    (Ctrl-C) ends the program first.

    Args:
        cmd: See :func:`run_process`.
        options: Those of :func:`run_process`.

    Returns:
        Exit status, output, and figures.

    Raises:
        RuntimeError: Before start: this thread runs an event loop, which it would freeze.
        Exception: See :func:`run_process`.

    Example:
        >>> run_process_sync(["echo", "hello"], timeout=10).stdout
        b'hello\n'
    """
    if _get_running_loop() is not None:
        msg = "run_process_sync in a coroutine would freeze its event loop; use `await run_process(...)`"
        raise RuntimeError(msg)
    return run_blocking(lambda: run_process(cmd, **options))


def process_lines(
    cmd: Command,
    *,
    timeout: float | None = None,
    max_line_bytes: int = 65536,
    max_buffer_bytes: int = 262144,
    pool: AsyncCalls | None = None,
    **options: Unpack[Options],
) -> ProcessLines:
    r"""Run a program and read its standard output line by line, as it comes. See :class:`ProcessLines`.

    Nothing starts before the first line is asked for.

    Args:
        cmd: See :func:`run_process`.
        timeout: Longest run in seconds; None is no bound: whoever reads the lines can leave.
        max_line_bytes: A longer line comes in pieces of so many bytes, at least 1; only the last of
            them ends with a line end.
        max_buffer_bytes: About so many bytes of lines are read ahead, at least 1. Then reading stops,
            and the program waits.
        pool: Where it runs, see :func:`run_process`.
        options: Those of :func:`run_process`. Captured standard error is in the result; with
            ``stderr="stdout"`` it is among the lines.

    Returns:
        The lines, for one pass with ``async for`` or ``for``.

    Example:
        >>> with process_lines(["printf", "one\ntwo\n"], timeout=10) as lines:
        ...     list(lines)
        [b'one\n', b'two\n']
    """
    spec = make_spec(cmd, timeout=timeout, **options)
    return ProcessLines(
        spec, pool, max_line_bytes=max_line_bytes, max_buffer_bytes=max_buffer_bytes
    )
