"""Whether the user's function can be called the way ``holdfast map`` calls it."""

import functools
import inspect
from typing import Any

from holdfast.cli.map.user_error import UserError

__all__ = ("check_signature", "is_async")


def check_signature(function: Any, spec: str) -> None:
    """Make sure that ``function`` can be called with one argument and returns one value.

    Args:
        function: What TARGET named.
        spec: TARGET, for the message.

    Raises:
        UserError: It is no function, a generator function, or wants another number of arguments.
    """
    if not callable(function):
        msg = f"{spec} is not a function: it is {_article(type(function).__name__)}"
        raise UserError(msg)
    inner = _innermost(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        msg = f"{spec} is a generator function; it has to return one value for each line"
        raise UserError(msg)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none; the first call will tell
        return
    try:
        signature.bind(None)
    except TypeError:
        msg = f"{spec} {_demand(signature)}; it is called with one: the line"
        raise UserError(msg) from None


def _demand(signature: inspect.Signature) -> str:
    needed = [p for p in signature.parameters.values() if p.default is p.empty]
    only_named = [p.name for p in needed if p.kind is p.KEYWORD_ONLY]
    if only_named:
        return f"needs the keyword argument {only_named[0]!r}"
    names = [p.name for p in needed if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if names:
        return f"needs {len(names)} arguments ({', '.join(names)})"
    return "takes no argument"


def is_async(function: Any) -> bool:
    """Whether calling ``function`` gives a coroutine; partials and callable objects included."""
    inner = _innermost(function)
    if inspect.iscoroutinefunction(inner):
        return True
    # An object with `async def __call__`; a class is called to make an instance, not to await it.
    return not inspect.isclass(inner) and inspect.iscoroutinefunction(type(inner).__call__)


def _innermost(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
