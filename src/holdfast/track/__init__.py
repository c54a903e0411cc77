"""Who opened what: owners, scopes, the descriptor budget, and pools of resources.

The package can be called: ``holdfast.track(thing)`` is :func:`holdfast.track.track`, whether the name
``holdfast.track`` means the function or the package. Each name is imported when it is first asked for.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.track._registry import Opened
    from holdfast.track.descriptors import DESCRIPTORS, DescriptorSupply, Draw
    from holdfast.track.scopes import Scope, current_scope, scope
    from holdfast.track.tracked import opened, report, track, untrack

__all__ = (
    "DESCRIPTORS",
    "DescriptorSupply",
    "Draw",
    "Opened",
    "Scope",
    "current_scope",
    "opened",
    "report",
    "scope",
    "track",
    "untrack",
)

_HOMES = {
    "DESCRIPTORS": "holdfast.track.descriptors",
    "DescriptorSupply": "holdfast.track.descriptors",
    "Draw": "holdfast.track.descriptors",
    "Opened": "holdfast.track._registry",
    "Scope": "holdfast.track.scopes",
    "current_scope": "holdfast.track.scopes",
    "opened": "holdfast.track.tracked",
    "report": "holdfast.track.tracked",
    "scope": "holdfast.track.scopes",
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
