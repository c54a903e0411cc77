"""What the tests of a program under load need. Each name is imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.testing.clock import FakeClock
    from holdfast.testing.leaks import assert_no_leaks, holdings
    from holdfast.testing.model_server import ModelServer, ServerStats

__all__ = ("FakeClock", "ModelServer", "ServerStats", "assert_no_leaks", "holdings")

_HOMES = {
    "FakeClock": "holdfast.testing.clock",
    "assert_no_leaks": "holdfast.testing.leaks",
    "holdings": "holdfast.testing.leaks",
    "ModelServer": "holdfast.testing.model_server",
    "ServerStats": "holdfast.testing.model_server",
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
