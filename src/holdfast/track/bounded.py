"""Opening within the descriptor budget: draw first, open, back off where the system refuses, track."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from holdfast._core import check, clock
from holdfast.errors import UnderPressure
from holdfast.track._backing_off import Pauses, is_shortage
from holdfast.track._closing import closer_of
from holdfast.track._draws import Draw
from holdfast.track._registry import REGISTRY
from holdfast.track._site import Site, caller
from holdfast.track.descriptors import DESCRIPTORS
from holdfast.track.scopes import current_scope

__all__ = ("aopen_bounded", "open_bounded")

T = TypeVar("T")


def open_bounded(
    fn: Callable[[], T],
    *,
    descriptors: int = 1,
    timeout: float = 10.0,
    owner: str | None = None,
    name: str = "",
) -> T:
    """Open something from blocking code within the process's descriptor budget, and track it.

    Waits for room in the budget, then calls ``fn``. If the system refuses all the same (``EMFILE`` and
    its like, also as the cause of another error), it waits a little, longer each time, with jitter, and
    calls again; so ``fn`` must be safe to repeat after such a refusal. What it returns is tracked as by
    :func:`holdfast.track`, at the caller's line: its descriptors are given back when it is closed or
    collected, and a scope around the caller closes it. Of a tuple, such as a reader and a writer, the
    first member that can be closed is tracked.

    Args:
        fn: Opens it: a function without arguments.
        descriptors: How many it will have open, at least 1.
        timeout: For how many seconds to try, in all.
        owner: Who answers for it; None is the scope around the caller, or the process.
        name: For reports.

    Returns:
        What ``fn`` has returned.

    Raises:
        UnderPressure: There was no room in time. Its cause is the system's refusal, if there was one.
        Exception: Whatever else ``fn`` raised; the descriptors are given back.

    Example:
        >>> import os
        >>> with open_bounded(lambda: open(os.devnull)) as nothing:
        ...     nothing.read()
        ''
    """
    order = _Order(descriptors, timeout, owner, name, caller())
    while True:
        draw = DESCRIPTORS.take(descriptors, owner=order.owner, timeout=order.left())
        try:
            return order.tracked(fn(), draw)
        except BaseException as error:  # noqa: BLE001 - raised again, unless it is a shortage
            draw.give_back()
            pause = order.pause(error)
        clock.sleep(pause)


async def aopen_bounded(
    fn: Callable[[], Awaitable[T]],
    *,
    descriptors: int = 1,
    timeout: float = 10.0,
    owner: str | None = None,
    name: str = "",
) -> T:
    """Do the same as :func:`open_bounded` for what is awaited: ``lambda: asyncio.open_connection(...)``."""
    order = _Order(descriptors, timeout, owner, name, caller())
    while True:
        draw = await DESCRIPTORS.atake(descriptors, owner=order.owner, timeout=order.left())
        try:
            return order.tracked(await fn(), draw)
        except BaseException as error:  # noqa: BLE001 - raised again, unless it is a shortage
            draw.give_back()
            pause = order.pause(error)
        await asyncio.sleep(pause)


class _Order:
    """One opening, over all its attempts."""

    def __init__(
        self, descriptors: int, timeout: float, owner: str | None, name: str, site: Site
    ) -> None:
        seconds = check.seconds("timeout", timeout)
        if seconds is None:
            msg = "timeout must be seconds: what can't be opened would be tried for ever"
            raise TypeError(msg)
        self._until = clock.now() + seconds
        self._timeout = seconds
        self._descriptors = check.count("descriptors", descriptors, least=1)
        self._pauses = Pauses()
        self._name = name
        self._site = site
        self._keeper = current_scope()
        scope = "process" if self._keeper is None else self._keeper.path
        self.owner = scope if owner is None else owner

    def left(self) -> float:
        """Seconds that are left, at least a moment."""
        return max(0.001, self._until - clock.now())

    def pause(self, error: BaseException) -> float:
        """How long to wait before the next attempt; raises if there is to be none."""
        if not is_shortage(error):
            raise error
        pause = self._pauses.next(error)
        if clock.now() + pause < self._until:
            return pause
        msg = (
            f"the system has refused {self._descriptors} more descriptors of {self.owner} "
            f"{self._pauses.refusals} times within {self._timeout:g} s ({error}); close something, or raise the "
            "limit with holdfast.raise_fd_limit()"
        )
        raise UnderPressure(msg) from error

    def tracked(self, result: T, draw: Draw) -> T:
        """Record what was opened, with its descriptors."""
        draw.opened()
        thing = _closable(result)
        if thing is None:
            msg = f"{type(result).__qualname__} has neither close nor aclose, so nobody could close it"
            raise TypeError(msg)
        record = REGISTRY.add(thing, site=self._site, owner=self.owner, name=self._name, draw=draw)
        if record.draw is not draw:
            record.draw = record.draw or draw
        if not record.weak and self._keeper is None:
            record.drop()
            msg = (
                f"{type(thing).__qualname__} can't be referenced weakly, so tracking it would keep it open "
                "for ever: open it inside a `holdfast.scope`, or in a ResourcePool"
            )
            raise TypeError(msg)
        if self._keeper is not None and record.keeper is None:
            self._keeper.take(record)
        return result


def _closable(result: Any) -> Any:
    """What of a result can be closed: itself, or the first such member of a tuple."""
    members: list[Any] = [result]
    if type(result) is tuple:
        members += result
    return next((one for one in members if closer_of(one, awaitable=False) is not None), None)
