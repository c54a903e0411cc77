"""The pools that there are, so that a snapshot can show them all. Held weakly: it keeps none alive."""

import itertools
import os
import threading
import weakref
from typing import Final, Literal, Protocol

from holdfast.pools._stats import PoolStats

__all__ = ("Kind", "Living", "enrol", "living_pools")

Kind = Literal["coroutines", "threads", "processes"]


class Living(Protocol):
    """A pool, as whoever shows pools sees it."""

    @property
    def name(self) -> str:
        """The pool's name."""
        ...

    def stats(self) -> PoolStats:
        """One consistent reading."""
        ...


class _Register:
    def __init__(self) -> None:
        # May be taken again by the thread that has it: the collector and signal handlers come at any time.
        self.lock = threading.RLock()
        self.pools: dict[int, tuple[Kind, weakref.ref[Living]]] = {}
        self.numbers = itertools.count()


_REGISTER: Final = _Register()


def enrol(pool: Living, kind: Kind) -> None:
    """Take in a pool, for as long as it lives."""
    number = next(_REGISTER.numbers)

    def forget(
        _: object, pools: dict[int, tuple[Kind, weakref.ref[Living]]] = _REGISTER.pools
    ) -> None:
        pools.pop(number, None)

    with _REGISTER.lock:
        _REGISTER.pools[number] = (kind, weakref.ref(pool, forget))


def living_pools() -> list[tuple[Kind, Living]]:
    """Return all pools that there are, with what each runs, in the order in which they were made."""
    with _REGISTER.lock:
        found = list(_REGISTER.pools.values())
    return [(kind, pool) for kind, ref in found if (pool := ref()) is not None]


def _after_fork() -> None:
    _REGISTER.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
