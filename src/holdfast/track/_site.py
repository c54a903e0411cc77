"""The line of the user's code at which something was asked for.

Purpose: name the caller in a message, cheaply enough to do it each time something is opened or lent.
How: a walk up the stack that keeps at most three frames as they are (code and position); the lines are
looked up when somebody reads them.

Whose line: the innermost frames of the application, not those of holdfast, of the standard library or
of an installed package. Where there are none (a task that a library has started, a program that is
installed as a package), the innermost frame of a package, and else of the standard library. The walk
ends where an event loop or a thread begins: what stands below has not called anybody. Who has, where no
frame of the application was met, :data:`BEYOND` may know: the task that awaits this one, the line that
gave a call to a worker.
"""

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

__all__ = (
    "BEYOND",
    "NOWHERE",
    "Frames",
    "Site",
    "caller",
    "caller_frames",
    "frames_from",
    "is_application",
)

Frames = tuple[tuple[CodeType, int], ...]
"""Code and position of each frame, the innermost first."""

_PACKAGE: Final = str(Path(__file__).parents[1])
_STANDARD: Final = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_ENDS: Final = (
    "/asyncio/events.py",
    "/asyncio/base_events.py",
    "/asyncio/runners.py",
    "/uvloop/__init__.py",
    "/threading.py",
)
_ENDING: Final = frozenset(
    {
        "_run",
        "_run_once",
        "run",
        "run_forever",
        "run_until_complete",
        "_bootstrap",
        "_bootstrap_inner",
    }
)
"""Functions in these files at which a task or a thread begins; the others are called by somebody."""
_APPLICATION, _INSTALLED, _LIBRARY, _OURS, _END = range(5)
_MOST_FILES: Final = 4096

BEYOND: Final[list[Callable[[], Frames]]] = []
"""Asked in turn for the frames of whoever has started this task or thread, until one knows some."""

_kinds: dict[str, int] = {}  # of files that were met


class Site:
    """Where something was asked for: up to three frames of the caller, the innermost first."""

    __slots__ = ("_frames",)

    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    @property
    def frames(self) -> Frames:
        """The frames as they are."""
        return self._frames

    def __str__(self) -> str:
        return _told(*self._frames[0]) if self._frames else "an unknown line"

    @property
    def stack(self) -> tuple[str, ...]:
        """``file:line in function`` for each frame, the innermost first."""
        return tuple(_told(code, position) for code, position in self._frames)


NOWHERE: Final = Site(())


def caller() -> Site:
    """Return the line of the user's code that has led here."""
    return Site(caller_frames(2))


def caller_frames(depth: int = 1, known: dict[int, Frames] | None = None) -> Frames:
    """Return the frames of :func:`caller` as they are.

    Args:
        depth: The walk begins so many frames above this one.
        known: What was found before, by line. A line that is met again has the callers that it had the
            first time: for those who count lines, and show the callers of one of each.
    """
    return frames_from(sys._getframe(depth), known)  # noqa: SLF001 - the stack of whoever asks


def frames_from(frame: FrameType | None, known: dict[int, Frames] | None = None) -> Frames:
    """Return the frames of :func:`caller`, where the walk begins at this frame.

    Args:
        frame: The first that is looked at.
        known: As for :func:`caller_frames`. Who opens often may look for the first frame in it by itself,
            under ``id(frame.f_code) + frame.f_lasti``: what is there is a line of the application.
    """
    second: FrameType | None = None
    third: FrameType | None = None
    kinds = _kinds
    while frame is not None:
        code = frame.f_code
        try:  # cheaper than `get`, and nearly always there
            kind = kinds[code.co_filename]
        except KeyError:
            kind = _kind(code.co_filename)
        if kind == _APPLICATION:
            return _with_callers(frame) if known is None else _known(frame, code, known)
        if kind == _LIBRARY:
            third = third or frame
        elif kind == _INSTALLED:
            second = second or frame
        elif kind == _END:
            if code.co_name in _ENDING:
                break
            third = third or frame
        frame = frame.f_back
    for beyond in BEYOND:
        elsewhere = beyond()
        if elsewhere:
            return elsewhere
    fallback = second or third
    return () if fallback is None else ((fallback.f_code, fallback.f_lasti),)


def _known(frame: FrameType, code: CodeType, known: dict[int, Frames]) -> Frames:
    """The frames of a line that may have been met before.

    A code object holds its instructions, so the sum is an address inside of it; as it is kept, of no other.
    A number is found more cheaply than a pair.
    """
    key = id(code) + frame.f_lasti
    try:
        return known[key]
    except KeyError:
        if len(known) >= _MOST_FILES:  # a program that compiles code without end
            known.clear()
        found = known[key] = _with_callers(frame)
        return found


def _with_callers(frame: FrameType) -> Frames:
    """The first frame of the application, and those of the two above it that are, too."""
    first = (frame.f_code, frame.f_lasti)
    above = frame.f_back
    if above is None:
        return (first,)
    code = above.f_code
    kind = _kinds.get(code.co_filename)
    if kind is None:
        kind = _kind(code.co_filename)
    if kind == _END and code.co_name in _ENDING:
        return (first,)
    second = (code, above.f_lasti) if kind == _APPLICATION else None
    above = above.f_back
    if above is not None:
        code = above.f_code
        kind = _kinds.get(code.co_filename)
        if kind is None:
            kind = _kind(code.co_filename)
        if kind == _APPLICATION:
            third = (code, above.f_lasti)
            return (first, third) if second is None else (first, second, third)
    return (first,) if second is None else (first, second)


def is_application(code: CodeType) -> bool:
    """Whether a frame is of the application: not of holdfast, the standard library, or a package."""
    kind = _kinds.get(code.co_filename)
    return (_kind(code.co_filename) if kind is None else kind) == _APPLICATION


def _kind(file: str) -> int:
    if len(_kinds) >= _MOST_FILES:  # a program that compiles files without end
        _kinds.clear()
    if file.startswith(_PACKAGE):
        kind = _OURS
    elif file.endswith(_ENDS):
        kind = _END
    elif "site-packages" in file or "dist-packages" in file:
        kind = _INSTALLED
    elif file.startswith((*_STANDARD, "<frozen ")):
        kind = _LIBRARY
    else:
        kind = _APPLICATION
    _kinds[file] = kind
    return kind


def _told(code: CodeType, position: int) -> str:
    line = next(
        (line for start, end, line in code.co_lines() if start <= position < end),
        code.co_firstlineno,
    )
    return f"{code.co_filename}:{line} in {code.co_qualname}"
