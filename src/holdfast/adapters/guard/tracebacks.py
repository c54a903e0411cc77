"""Tracebacks of uncaught errors without the frames of the guard."""

import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

from holdfast.adapters._patches import Patches

__all__ = ("show_no_frames_of_ours",)

_OURS: Final = str(Path(__file__).parents[1])


def show_no_frames_of_ours(patches: Patches) -> None:
    """Leave them out of what ``sys.excepthook`` and ``threading.excepthook`` print."""
    shown, in_thread = sys.excepthook, threading.excepthook

    def excepthook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        _strip(error)
        shown(kind, error, _without_ours(trace))

    def thread_excepthook(args: Any, /) -> None:
        if args.exc_value is not None:
            _strip(args.exc_value)
            args = threading.ExceptHookArgs(
                (args.exc_type, args.exc_value, _without_ours(args.exc_traceback), args.thread)
            )
        in_thread(args)

    patches.set(sys, "excepthook", excepthook)
    patches.set(threading, "excepthook", thread_excepthook)


def _strip(error: BaseException) -> None:
    seen: set[int] = set()
    todo: list[BaseException] = [error]
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = _without_ours(each.__traceback__)
        todo += [other for other in (each.__cause__, each.__context__) if other is not None]
        if isinstance(each, BaseExceptionGroup):
            todo += cast("BaseExceptionGroup[BaseException]", each).exceptions


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            kept.append(trace)
        trace = trace.tb_next
    found: TracebackType | None = None
    for each in reversed(kept):
        found = TracebackType(found, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return found
