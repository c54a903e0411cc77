"""Tasks that are alive at once, by the line that made them.

They are counted when there may be many: at the thousandth that is made, and then whenever half as many
were made as lived at the last look.
"""

import asyncio
from collections import Counter
from typing import Any, Final

from holdfast.adapters.guard.callers import await_frames, parent_of
from holdfast.track._site import Site, caller

__all__ = ("Tasks",)

_EVERY: Final = 1000
_SAMPLE: Final = 64


class Tasks:
    """How many tasks there were at once, and who made them."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        self._begun = False

    def created(self) -> int:
        """Look at what is alive, in the loop's thread; returns after how many more to look again."""
        if not self._begun:
            self._begun = True
            return _EVERY
        return max(_EVERY, self._look() // 2)

    def _look(self) -> int:
        try:
            living = asyncio.all_tasks()
        except RuntimeError:  # tasks come and go in other threads
            return 0
        if len(living) < _EVERY:
            return 0
        here = str(caller())
        made: Counter[str] = Counter()
        sample = list(living)[:: max(1, len(living) // _SAMPLE)]
        for task in sample:
            made[_line(task)] += 1
        for line, count in made.items():
            told = line or here
            share = count * len(living) // len(sample)
            if share > self.peaks.get(told, 0):
                self.peaks[told] = share
        return len(living)


def _line(task: Any) -> str:
    """Where the task that made it stands: awaiting its ``gather``, say; empty if that runs now."""
    parent = parent_of(task)
    if parent is None or parent is asyncio.current_task():
        return ""
    frames = await_frames(parent)
    return str(Site(frames)) if frames else ""
