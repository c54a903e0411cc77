"""Argument checks with one wording: what was given, and what would do."""

import math
from collections.abc import Callable
from typing import Any

__all__ = ("callable_", "choice", "count", "kind", "seconds")


def count(name: str, value: object, *, least: int = 0) -> int:
    """Return ``value`` if it is a whole number of at least ``least``."""
    msg = f"{name} must be a whole number of at least {least}, not {value!r}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(msg)
    if value < least:
        raise ValueError(msg)
    return value


def seconds(name: str, value: object, *, zero: bool = False) -> float | None:
    """Return ``value`` if it is None or a finite number of seconds above (with ``zero``: from) 0."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{name} must be seconds as a number, or None for no bound, not {value!r}"
        raise TypeError(msg)
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        msg = f"{name} must be {'0 or more' if zero else 'more than 0'} seconds, not {value!r}; None means no bound"
        raise ValueError(msg)
    return float(value)


def choice(name: str, value: object, allowed: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``allowed``."""
    if value not in allowed:
        msg = f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}"
        raise ValueError(msg)
    return str(value)


def callable_(name: str, value: object) -> Callable[..., Any]:
    """Return ``value`` if it can be called."""
    if not callable(value):
        msg = f"{name} must be callable, not {value!r}"
        raise TypeError(msg)
    return value


def kind(name: str, value: object, wanted: type, words: str) -> None:
    """Refuse a ``value`` that is not of the class ``wanted``, which ``words`` describe."""
    if not isinstance(value, wanted):
        msg = f"{name} must be {words}, not {value!r}"
        raise TypeError(msg)
