"""The line of the user's code at which something was asked for.

Purpose: name the caller in a message, cheaply enough to do it each time something is opened or lent.
How: a walk up the stack that keeps at most three frames as they are (code and position); the lines are
looked up when somebody reads them.

Whose line: the innermost frames of the application, not those of holdfast, of the standard library or
of an installed package. Where there are none (a task that a library has started, a program that is
installed as a package), the innermost frame of a package, and else of the standard library. The walk
ends where an event loop or a thread begins: what stands below has not called anybody.
"""

import sys
import sysconfig
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

__all__ = ("NOWHERE", "Site", "caller")

_PACKAGE: Final = str(Path(__file__).parents[1])
_STANDARD: Final = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_ENDS: Final = (
    "/asyncio/events.py",
    "/asyncio/base_events.py",
    "/asyncio/runners.py",
    "/uvloop/__init__.py",
    "/threading.py",
)
_APPLICATION, _INSTALLED, _LIBRARY, _OURS, _END = range(5)
_FRAMES: Final = 3
_MOST_FILES: Final = 4096

_kinds: dict[str, int] = {}  # of files that were met


class Site:
    """Where something was asked for: up to three frames of the caller, the innermost first."""

    __slots__ = ("_frames",)

    def __init__(self, frames: tuple[tuple[CodeType, int], ...]) -> None:
        self._frames = frames

    def __str__(self) -> str:
        return _told(*self._frames[0]) if self._frames else "an unknown line"

    @property
    def stack(self) -> tuple[str, ...]:
        """``file:line in function`` for each frame, the innermost first."""
        return tuple(_told(code, position) for code, position in self._frames)


NOWHERE: Final = Site(())


def caller() -> Site:
    """Return the line of the user's code that has led here."""
    frames: list[tuple[CodeType, int]] = []
    second: tuple[CodeType, int] | None = None
    third: tuple[CodeType, int] | None = None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the stack of whoever asks
    while frame is not None:
        code = frame.f_code
        kind = _kinds.get(code.co_filename)
        if kind is None:
            kind = _kind(code.co_filename)
        if kind == _APPLICATION:
            frames.append((code, frame.f_lasti))
            if len(frames) == _FRAMES:
                break
        elif kind == _END:
            break
        elif kind == _INSTALLED:
            second = second or (code, frame.f_lasti)
        elif kind == _LIBRARY:
            third = third or (code, frame.f_lasti)
        frame = frame.f_back
    if not frames and (fallback := second or third) is not None:
        frames = [fallback]
    return Site(tuple(frames))


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
