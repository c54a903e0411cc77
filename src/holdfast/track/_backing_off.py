"""Pauses after the system has refused a descriptor: longer each time, with jitter, never a busy loop."""

import errno
import sys
from typing import Final

from holdfast.limits import Retry

__all__ = ("Pauses", "is_shortage")

_SHORTAGE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def is_shortage(error: BaseException) -> bool:
    """Whether the system has refused for want of descriptors, or of memory for one.

    An error that wraps such a refusal (``httpx.ConnectError``, ``aiohttp.ClientConnectorError``) counts
    too: its cause and its context are looked at.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, OSError) and at.errno in _SHORTAGE:
            return True
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return False


class Pauses:
    """How long to wait after each refusal in a row: doubling, a random share between half and all of it.

    Args:
        shortest: The first pause in seconds, before jitter.
        longest: The longest.
    """

    __slots__ = ("_retry", "refusals")

    def __init__(self, shortest: float = 0.01, longest: float = 1.0) -> None:
        self._retry = Retry(sys.maxsize, on=(Exception,), wait=shortest, wait_max=longest)
        self.refusals = 0

    def next(self, error: BaseException) -> float:
        """Count one more refusal; seconds to wait now."""
        self.refusals += 1
        pause = self._retry.delay(self.refusals, error)
        return self._retry.wait_max if pause is None else pause

    def over(self) -> None:
        """One attempt has succeeded."""
        self.refusals = 0
