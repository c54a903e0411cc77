"""Every event loop's default executor becomes a face of the shared pool."""

import weakref
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import TYPE_CHECKING, Any

from holdfast.adapters._patches import Patches
from holdfast.adapters._shared_pool import LoopExecutor

if TYPE_CHECKING:
    import asyncio

__all__ = ("bound_default_executors",)

Make = Callable[[], ThreadPoolExecutor]


def bound_default_executors(patches: Patches, make: Make = LoopExecutor) -> None:
    """Give each loop of asyncio and of uvloop such an executor when it first needs one.

    A loop to which the program has given an executor keeps it.
    """
    _treat(patches, BaseEventLoop, make)

    def uvloop(module: ModuleType) -> None:
        _treat(patches, module.Loop, make)

    patches.after_import("uvloop", uvloop)


def _treat(patches: Patches, kind: Any, make: Make) -> None:
    run, choose = kind.run_in_executor, kind.set_default_executor
    chosen: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    def run_in_executor(self: Any, executor: Any, func: Any, *args: Any) -> Any:
        if executor is None and self not in chosen:
            chosen.add(self)
            if getattr(self, "_default_executor", None) is None and not self.is_closed():
                choose(self, make())
        return run(self, executor, func, *args)

    def set_default_executor(self: Any, executor: Any) -> None:
        choose(self, executor)
        chosen.add(self)

    patches.set(kind, "run_in_executor", run_in_executor)
    patches.set(kind, "set_default_executor", set_default_executor)
