"""The line that started each child."""

import os
import subprocess
import weakref
from typing import Any

from holdfast.adapters._patches import Patches
from holdfast.track._site import Site, caller

__all__ = ("Children",)


class Children:
    """Children that the program started with ``subprocess``, asyncio's included."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[subprocess.Popen[Any], Site] = (
            weakref.WeakKeyDictionary()
        )
        self._by_pid: dict[int, Site] = {}

    def install(self, patches: Patches) -> None:
        """Replace what starts them."""
        make, known, by_pid = subprocess.Popen.__init__, self._known, self._by_pid

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - replaces one of that name
            site = caller()
            make(self, *args, **kwargs)
            known[self] = site
            by_pid[self.pid] = site

        patches.set(subprocess.Popen, "__init__", __init__)

    def living(self) -> dict[str, int]:
        """Return how many children of each line still run."""
        found: dict[str, int] = {}
        ended: list[int] = []
        for pid, site in list(self._by_pid.items()):
            if _runs(pid):
                found[str(site)] = found.get(str(site), 0) + 1
            else:
                ended.append(pid)
        for pid in ended:
            self._by_pid.pop(pid, None)
        return found


def _runs(pid: int) -> bool:
    """Whether a child of this process runs; one that has ended and is not reaped does not."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (OSError, AttributeError):
        return False
    return found is None
