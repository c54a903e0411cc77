"""Functions that are sent as nothing but a name: the pickle of each is made once, not for every call.

Pickling a function of a module means to look it up by its name, and to see that it is what is found there.
That costs more than all the rest of a small call. So its pickle is kept, and what is looked at for each
call is whether the name still leads to the same function; if not, pickle decides, as for any other.

Kept are functions at the top level of a module, written in Python or in C. Whatever has a state of its
own (bound methods, partials, callable objects) is pickled anew for each call.
"""

import sys
from collections.abc import Callable
from pickle import dumps
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from holdfast.pools._child import wire

__all__ = ("MAIN", "Named", "name_of")

MAIN: Final = b"\x8c\x08__main__"
"""How a pickle names the main module."""

_PLAIN: Final = frozenset({FunctionType, BuiltinFunctionType})
_MOST: Final = 256
"""Functions that are kept; with one more, all are forgotten."""

_LONGEST: Final = 1024
"""Bytes of the longest pickle that is kept."""


class Named:
    """One function.

    Attributes:
        data: Its pickle.
        kind: Of a message that begins with that, and goes on with a pickle of the arguments.
        plain: Of one that goes on with arguments as ``marshal`` writes them.
        module: Where it is looked for,
        module_name: by which name that is to be found,
        home: and what is defined there,
        name: it under this one.
    """

    __slots__ = ("data", "home", "kind", "module", "module_name", "name", "plain")

    def __init__(self, module: ModuleType, fn: Any, data: bytes, kind: int) -> None:
        self.module_name: str = fn.__module__
        self.module = module
        self.home = module.__dict__
        self.name: str = fn.__qualname__
        self.data = data
        self.kind = kind | wire.CALL_NAMED
        self.plain = kind | wire.CALL_PLAIN


_modules: Final = sys.modules
_known: dict[Any, Named] = {}


def name_of(fn: Callable[..., Any], can_read_main: Callable[[], bool]) -> Named | None:
    """Return what stands for ``fn``; None if it is more than a name.

    Args:
        fn: Anything that can be called.
        can_read_main: Whether workers can be sent names out of the main program.
    """
    if type(fn) not in _PLAIN:
        return None
    found = _known.get(fn)
    if (
        found is not None  # and its name is still that of fn
        and found.home.get(found.name) is fn
        and _modules.get(found.module_name) is found.module
    ):
        return found
    return _learn(fn, can_read_main)


def _learn(fn: Any, can_read_main: Callable[[], bool]) -> Named | None:
    module = _modules.get(fn.__module__)
    if type(module) is not ModuleType or module.__dict__.get(fn.__qualname__) is not fn:
        return None
    data = dumps(fn, 5)
    if len(data) > _LONGEST:
        return None
    kind = len(data) << wire.NAME_SHIFT
    if MAIN in data:
        if not can_read_main():
            return None
        kind |= wire.NEEDS_MAIN
        _modules["__mp_main__"] = module  # so that replies find it
    if len(_known) >= _MOST:
        _known.clear()
    found = _known[fn] = Named(module, fn, data, kind)
    return found
