"""The last look at a process that is watched: what an audit finds in it, as near to its end as can be.

Purpose: a process that has ended shows nothing any more, so it is looked at now and then while it lives,
and once more where the watch ends before the process does. Only the last look is kept.
Guarantees: looks take at most a fiftieth of the time; where they are quick, the last one is never older
than a fiftieth of the watch, nor than ten seconds; a later process with the same number is not taken for
it. What is in a state that a healthy program soon leaves is told only if an earlier look has seen it
too, as ``holdfast audit`` looks twice.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Final

from holdfast._core import clock
from holdfast.cli.trouble import UNSEEN, said
from holdfast.sense.other_sampler import OtherSampler
from holdfast.watch.audit import Audit, findings
from holdfast.watch.look import Look, look_once, passing

__all__ = ("Looks", "Seen")

_APART_S: Final = 0.9
"""From one look to the next, and to the one that confirms it: a second, less what a sample may be early."""
_SHARE: Final = 50
_MOST_APART_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the last look has seen.

    Attributes:
        audit: It, with its findings; None if there was no look.
        before_s: How many seconds before the end of the watch that was.
        at_end: Whether the process was there, and looked at, as the watch ended.
        why_not: Why there was none, or none later; empty if nothing went wrong.
    """

    audit: Audit | None
    before_s: float = 0.0
    at_end: bool = False
    why_not: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold: as ``holdfast audit --json`` has it, and how old it is."""
        found = {} if self.audit is None else self.audit.to_dict()
        return {
            "before_s": self.before_s,
            "at_end": self.at_end,
            "why_not": self.why_not,
        } | found


class Looks:
    """Looks at one process. Not for several threads at once.

    Args:
        pid: The process.

    Raises:
        ProcessLookupError: There is none, or it can't be seen.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._same = OtherSampler(pid)
        self._at_end = False
        self._due = float("-inf")
        self._last: tuple[float, Look] | None = None
        self._earlier: deque[tuple[float, frozenset[str]]] = deque(maxlen=2)
        self._why_not = "it has ended too soon"

    def now_and_then(self, second: float) -> None:
        """Look, if the last look is long enough ago.

        Args:
            second: Since the watch began.
        """
        if second >= self._due:
            self._take(second)

    def take_last(self, second: float) -> None:
        """Look, as the watch ends; where that can't be done, the earlier look stays the last one."""
        self._at_end = self._take(second)

    def _take(self, second: float) -> bool:
        time = clock.current()
        begun = time.now()
        try:
            found = look_once(self._pid)
            self._same.sample()
        except ProcessLookupError:
            return False  # it has ended, which whoever waits for it will say
        except UNSEEN as error:
            self._why_not = said(error)
            return False
        finally:
            took = time.now() - begun
            self._due = second + max(_APART_S, _SHARE * took, min(second / _SHARE, _MOST_APART_S))
        now = passing(found)
        for at, before in reversed(self._earlier):
            if second - at >= _APART_S:
                found = replace(found, lasting=before & now)
                break
        self._earlier.append((second, now))
        self._last, self._why_not = (second, found), ""
        return True

    def seen(self, second: float) -> Seen:
        """Return what the last look has seen, as of ``second``."""
        if self._last is None:
            return Seen(None, why_not=self._why_not)
        at, found = self._last
        return Seen(Audit(found, findings(found)), second - at, self._at_end, self._why_not)
