"""An error for each caller that shares it, like the original but its own."""

import copy
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

__all__ = ("own_copy",)

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: set for classes that a class statement has made
_MISSING = object()
_KEPT_APART = frozenset(
    {"__cause__", "__context__", "__dict__", "__suppress_context__", "__traceback__", "args"}
)


def own_copy(original: BaseException) -> BaseException:
    """Return an error of the same class and content, whose cause is ``original``.

    An error that several callers raise would collect the frames of all of them in one traceback, which
    then grows with their number and is written by several threads at once. A copy has its own.

    The class's own ``__init__`` is not called, as what it takes is seldom what it leaves in ``args``:
    the copy gets the attributes as they are, from the instance, from slots and from the fields that
    built-in classes keep in C. Where that can't be done, the class's own way of copying is tried; an
    error that can't be copied at all is returned itself.
    """
    try:
        twin = _blank(original)
    except (
        TypeError
    ):  # a class of an extension module, which holds what only its constructor can make
        return _copied(original)
    twin.args = original.args
    for name, value in vars(original).items():
        # A note that one caller adds is not the others'.
        vars(twin)[name] = list(value) if name == "__notes__" else value
    for name in _fields(type(original)):
        try:
            value = getattr(original, name)
            # A field that was never set reads as None, and is not the same once None was written.
            if getattr(twin, name, _MISSING) is not value:
                setattr(twin, name, value)
        except (AttributeError, TypeError):  # not set in the original, or read-only
            continue
    twin.__cause__ = original
    return twin


def _blank(original: BaseException) -> BaseException:
    """Make one of the same class by the constructor of the built-in class that it comes from."""
    kind = type(original)
    built_in = next(base for base in kind.__mro__ if not base.__flags__ & _HEAP_TYPE)
    args: tuple[object, ...] = original.args
    if isinstance(original, BaseExceptionGroup):  # which looks at what it is given
        args = original.args[:2]
    make: Any = built_in.__new__
    twin: BaseException = make(kind, *args)
    return twin


def _copied(original: BaseException) -> BaseException:
    """The copy that the class itself knows how to make; without one, the original."""
    try:
        twin = copy.copy(original)
    except Exception:  # noqa: BLE001 - the class may do anything in there
        return original
    if type(twin) is not type(original) or twin is original:
        return original
    twin.__cause__ = original
    return twin


def _fields(kind: type[BaseException]) -> list[str]:
    """What instances keep outside their dictionary."""
    return [
        name
        for base in kind.__mro__
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType | GetSetDescriptorType)
        and name not in _KEPT_APART
    ]
