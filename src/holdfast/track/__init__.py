"""Who opened what: owners, scopes, the descriptor budget, and pools of resources.

The package can be called: ``holdfast.track(thing)`` is :func:`holdfast.track.track`, whether the name
``holdfast.track`` means the function or the package. Each name is imported when it is first asked for.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.track._pool_lease import Lease
    from holdfast.track._pool_slot import Holder
    from holdfast.track._pool_stats import ResourceStats
    from holdfast.track._registry import Opened
    from holdfast.track.bounded import aopen_bounded, open_bounded
    from holdfast.track.descriptors import DESCRIPTORS, DescriptorSupply, Draw
    from holdfast.track.log_handlers import (
        DuplicateHandlers,
        HandlerGuard,
        add_log_handler,
        duplicate_log_handlers,
        guard_log_handlers,
    )
    from holdfast.track.resource_pool import ResourcePool
    from holdfast.track.scopes import Scope, current_scope, scope
    from holdfast.track.servers import BoundedServer, ServerReading, start_server
    from holdfast.track.tracked import opened, report, track, untrack

__all__ = (
    "DESCRIPTORS",
    "BoundedServer",
    "DescriptorSupply",
    "Draw",
    "DuplicateHandlers",
    "HandlerGuard",
    "Holder",
    "Lease",
    "Opened",
    "ResourcePool",
    "ResourceStats",
    "Scope",
    "ServerReading",
    "add_log_handler",
    "aopen_bounded",
    "current_scope",
    "duplicate_log_handlers",
    "guard_log_handlers",
    "open_bounded",
    "opened",
    "report",
    "scope",
    "start_server",
    "track",
    "untrack",
)

_HOMES = {
    "BoundedServer": "holdfast.track.servers",
    "DESCRIPTORS": "holdfast.track.descriptors",
    "DescriptorSupply": "holdfast.track.descriptors",
    "Draw": "holdfast.track.descriptors",
    "DuplicateHandlers": "holdfast.track.log_handlers",
    "HandlerGuard": "holdfast.track.log_handlers",
    "Holder": "holdfast.track._pool_slot",
    "Lease": "holdfast.track._pool_lease",
    "Opened": "holdfast.track._registry",
    "ResourcePool": "holdfast.track.resource_pool",
    "ResourceStats": "holdfast.track._pool_stats",
    "Scope": "holdfast.track.scopes",
    "ServerReading": "holdfast.track.servers",
    "add_log_handler": "holdfast.track.log_handlers",
    "aopen_bounded": "holdfast.track.bounded",
    "current_scope": "holdfast.track.scopes",
    "duplicate_log_handlers": "holdfast.track.log_handlers",
    "guard_log_handlers": "holdfast.track.log_handlers",
    "open_bounded": "holdfast.track.bounded",
    "opened": "holdfast.track.tracked",
    "report": "holdfast.track.tracked",
    "scope": "holdfast.track.scopes",
    "start_server": "holdfast.track.servers",
    "track": "holdfast.track.tracked",
    "untrack": "holdfast.track.tracked",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Callable(ModuleType):
    """A package that is also the function that it is named after.

    Importing a package binds its name in the package around it, over whatever stood there.
    """

    def __call__(self, thing: Any, **options: Any) -> Any:
        """Do what :func:`holdfast.track.track` does."""
        from holdfast.track.tracked import track  # noqa: PLC0415 - when it is first called

        return track(thing, **options)


sys.modules[__name__].__class__ = _Callable
