"""Calls that still run although nobody waits for them: what they are, for how long, and where they stand."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from holdfast.pools._deadlock_stacks import all_stacks, running_call
from holdfast.pools._timings import Timed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.pools._worker import Worker

__all__ = (
    "AbandonedCall",
    "RunningCall",
    "abandoned_calls",
    "describe",
    "running_calls",
    "stack_of",
)

_PACKAGE: Final = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib takes milliseconds to import
_FRAMES: Final = 20
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCall:
    """A call that a worker thread runs.

    Attributes:
        function: Its module and qualified name.
        thread: The name of its thread.
        stack: Where it stands: ``file:line in function`` for each frame, the innermost last, at most 20.
    """

    function: str
    thread: str
    stack: tuple[str, ...]

    def __str__(self) -> str:
        where = " <- ".join(reversed(self.stack[-_SHOWN:])) or "unknown"
        return f"{self.function} on thread {self.thread!r} at {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedCall(RunningCall):
    """A call that still runs although its caller has timed out or was cancelled.

    Attributes:
        function: Its module and qualified name.
        thread: The name of its thread.
        stack: Where it stands: ``file:line in function`` for each frame, the innermost last, at most 20.
        abandoned_s: For how many seconds nobody has waited for it.
    """

    abandoned_s: float

    def __str__(self) -> str:
        return f"{RunningCall.__str__(self)}, abandoned for {self.abandoned_s:.1f} s"


def running_calls(workers: "Iterable[Worker]") -> tuple[RunningCall, ...]:
    """Return what these workers run now; a snapshot, for people to read."""
    return tuple(
        RunningCall(function=_name(call), thread=name, stack=stack_of(frame))
        for call, name, frame in _calls(workers)
    )


def abandoned_calls(workers: "Iterable[Worker]", now: float) -> tuple[AbandonedCall, ...]:
    """Return those calls of these workers for which nobody waits any more, the oldest first."""
    found = [
        AbandonedCall(
            function=_name(call),
            thread=name,
            stack=stack_of(frame),
            abandoned_s=max(0.0, now - call.abandoned_at),
        )
        for call, name, frame in _calls(workers)
        if call.abandoned_at is not None
    ]
    return tuple(sorted(found, key=lambda call: -call.abandoned_s))


def describe(calls: "Iterable[RunningCall]") -> str:
    """Say where the first few of them stand, in one line."""
    told = [str(call) for call in calls]
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more


def stack_of(frame: FrameType | None) -> tuple[str, ...]:
    """Return the user's frames of a stack, the innermost last."""
    lines: list[str] = []
    while frame is not None and len(lines) < _FRAMES:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            lines.append(f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}")
        elif lines:
            break  # below this is the pool's own machinery
        frame = frame.f_back
    return tuple(reversed(lines))


def _calls(workers: "Iterable[Worker]") -> Iterator[tuple[Any, str, FrameType]]:
    stacks = all_stacks()
    for worker in workers:
        thread = worker.thread
        frame = None if thread is None or thread.ident is None else stacks.get(thread.ident)
        call = running_call(frame)
        if thread is not None and frame is not None and call is not None:
            yield call, thread.name, frame


def _name(call: Any) -> str:
    fn = call.fn
    if isinstance(fn, Timed):
        fn = fn.fn
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    module = getattr(fn, "__module__", None) or "builtins"
    return f"{module}.{name}"
