"""A program from its start to its end, with what was captured of its output."""

import asyncio
from collections.abc import Callable
from typing import Final

from holdfast.errors import CallTimeout, ProcessFailed
from holdfast.track.process.reaping import reap_late
from holdfast.track.process.result import ProcessResult
from holdfast.track.process.spec import Spec
from holdfast.track.process.start import Started, start
from holdfast.track.process.tool import Tool

__all__ = ("check_status", "follow", "run")

_SHOWN: Final = 500
"""Most bytes of its standard error that are shown in a message."""


async def run(spec: Spec) -> ProcessResult:
    """Run the program; see :func:`holdfast.run_process`."""
    tool = await follow(spec)
    result = tool.result()
    check_status(spec, result)
    return result


async def follow(
    spec: Spec,
    sink: Callable[[bytes], bool] | None = None,
    begun: Callable[[Tool], None] | None = None,
) -> Tool:
    """Start the program and wait for its end; it is ended if this is cancelled or anything is raised.

    Args:
        spec: What to run.
        sink: Takes its standard output in place of the capture.
        begun: Called when it runs.

    Raises:
        CallTimeout: It was ended after ``timeout`` seconds.
    """
    reap_late()
    tool = _take_over(spec, await start(spec), sink)
    timer = asyncio.timeout(spec.timeout)
    try:
        async with timer:
            if begun is not None:
                begun(tool)
            await tool.finish()
    except GeneratorExit:
        tool.kill_now()
        raise
    except BaseException as error:
        await tool.end()
        if isinstance(error, TimeoutError) and timer.expired():
            raise _timed_out(spec, tool) from None
        raise
    return tool


def _take_over(spec: Spec, started: Started, sink: Callable[[bytes], bool] | None) -> Tool:
    tool = Tool(spec, started, sink)
    try:
        tool.attend()
    except BaseException:
        tool.kill_now()
        raise
    return tool


def _timed_out(spec: Spec, tool: Tool) -> CallTimeout:
    left = ", ".join(f"{one.pid}{' (of another user)' if one.denied else ''}" for one in tool.left)
    became = (
        f"these of its processes could not be ended: {left}"
        if left
        else "it was ended with all that it had started"
    )
    msg = f"{spec.shown[0]!r} ran longer than its timeout of {spec.timeout:g} s; {became}"
    return CallTimeout(msg, stopped=not left, result=tool.result())


def check_status(spec: Spec, result: ProcessResult) -> None:
    """Raise if the caller wants an exit status other than 0 to be an error, and it is.

    Raises:
        ProcessFailed: It is.
    """
    if not spec.check or result.ok:
        return
    how = (
        "has an exit status that nobody knows"
        if result.returncode is None
        else f"was ended by signal {result.signal!r}"
        if result.signal is not None
        else f"ended with exit status {result.returncode}"
    )
    said = result.stderr[-_SHOWN:].decode(errors="replace").strip()
    msg = f"{spec.shown[0]!r} {how} after {result.seconds:.2f} s"
    raise ProcessFailed(f"{msg}: {said}" if said else msg, result=result)
