"""The line that starts a thread, where a library does it for the application again and again.

Purpose: a server that starts a thread for each connection does so at one line of its own, some calls below
the application's line, at every request. To look at each frame between costs more than all else that is
noted of a thread.
How: at how many frames above a library's line that of the application was found is remembered, and looked
at first. If the same line stands there again, it is the one that a walk would find; unless the library has
come from it to its own line another way, equally long, on which it has called the application back.
"""

import sys
from types import CodeType, FrameType
from typing import Final

from holdfast.track._site import Frames, frames_from, is_application

__all__ = ("Starters",)

_ITSELF: Final = 2
_FARTHEST: Final = 16
_MOST_LINES: Final = 512

_Way = tuple[CodeType, int, CodeType, int, Frames]
"""Of a line its code, which is kept so that its address is no other's; how far from ``frames`` the line of
the application stands; code and position of that; what a walk has found."""


class Starters:
    """Finds the frames of whoever starts a thread. Any thread may call it."""

    def __init__(self) -> None:
        self._known: dict[int, Frames] = {}
        self._ways: dict[int, _Way] = {}

    def frames(self, frame: FrameType, code: CodeType) -> Frames:
        """Return the frames of whoever has called the caller: what ``frame`` is, and its code."""
        line = id(code) + frame.f_lasti
        way = self._ways.get(line)
        if way is not None:
            _, far, found, position, frames = way
            if far == _ITSELF:
                return frames
            try:
                above = sys._getframe(far)  # noqa: SLF001 - without an object for each frame between
            except ValueError:  # the stack ends before
                return self._walked(line, frame)
            if above.f_code is found and above.f_lasti == position:
                return frames
        return self._walked(line, frame)

    def _walked(self, line: int, frame: FrameType) -> Frames:
        frames = frames_from(frame, self._known)
        far = _distance(frame, frames)
        if far is not None:
            if len(self._ways) >= _MOST_LINES:  # a program that compiles code without end
                self._ways.clear()
            self._ways[line] = frame.f_code, far, *frames[0], frames
        return frames


def _distance(frame: FrameType | None, frames: Frames) -> int | None:
    """How far from ``frames`` the first of these stands; None if it is of another stack."""
    first = frames[0] if frames else None
    for far in range(_ITSELF, _FARTHEST):
        if frame is None:
            break
        if (frame.f_code, frame.f_lasti) == first:
            return far if is_application(frame.f_code) else None
        frame = frame.f_back
    return None
